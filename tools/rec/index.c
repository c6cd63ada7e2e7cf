// SPDX-License-Identifier: MIT
#include "tools/rec/index.h"

#ifdef HAVE_SQLITE

#include "tools/rec/recover.h"
#include "tools/rec/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME ".pinhole-rec.index"
enum { BUSY_MS = 60000 };

/** Another layout gets another number, and the index is made anew. */
#define LAYOUT "2"
static const char schema[] =
    "DROP TABLE IF EXISTS segment; DROP TABLE IF EXISTS frame;"
    "CREATE TABLE segment (id INTEGER PRIMARY KEY, folder TEXT, name TEXT, is_whole INTEGER,"
    " UNIQUE (folder, name));"
    "CREATE TABLE frame (segment INTEGER, camera TEXT, path TEXT, boot TEXT, sequence INTEGER,"
    " realtime INTEGER, trigger INTEGER, offset INTEGER, bytes INTEGER, crc INTEGER);"
    "CREATE INDEX by_time ON frame (camera, realtime);"
    "CREATE INDEX by_trigger ON frame (trigger);"
    "CREATE INDEX by_segment ON frame (segment);"
    "PRAGMA user_version = " LAYOUT ";";

struct rec_index {
    sqlite3 *db;
    const char *folder;
    sqlite3_stmt *has_segment, *add_segment, *add_frame;
    int error; /**< SQLite's, which is not said yet */
    char why[200];
    bool is_whole; /**< all of the folder could be read */
};

/** A sidecar that is being read. */
struct sidecar {
    char path[REC_PATH_SIZE];
    const char *place; /**< its camera's folder, from the index's folder on */
    int64_t segment;
    char camera[REC_NAME_SIZE], media[REC_PATH_SIZE];
    bool is_in_folder;               /**< the media */
    uint64_t damaged, first_damaged; /**< lines */
};

static bool fail(struct rec_index *index)
{
    index->error = sqlite3_errcode(index->db);
    snprintf(index->why, sizeof index->why, "%s", sqlite3_errmsg(index->db));
    return false;
}

static void say_unreadable(struct rec_index *index, const char *path, int error)
{
    say("%s: cannot be read: %s", path, strerror(error));
    index->is_whole = false;
}

static bool run(struct rec_index *index, const char *sql)
{
    return sqlite3_exec(index->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(index);
}

static sqlite3_stmt *prepare(struct rec_index *index, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(index->db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail(index);
    return statement;
}

static bool read_layout(struct rec_index *index, int64_t *out)
{
    sqlite3_stmt *statement = prepare(index, "PRAGMA user_version");
    const bool is_read = sqlite3_step(statement) == SQLITE_ROW || fail(index);
    *out = is_read ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return is_read;
}

static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    sqlite3_bind_text(statement, place, text, -1, SQLITE_TRANSIENT);
}

/** Runs a statement that returns nothing. */
static bool step(struct rec_index *index, sqlite3_stmt *statement)
{
    const bool is_done = sqlite3_step(statement) == SQLITE_DONE || fail(index);
    sqlite3_reset(statement);
    return is_done;
}

// --- filling -------------------------------------------------------------------------------------

static bool add_frame(struct rec_index *index, int64_t segment, const char *camera,
                      const char *media, const struct rec_line *line)
{
    char path[REC_PATH_SIZE], boot[20];
    snprintf(path, sizeof path, "%.700s%s%s", media, line->file[0] != '\0' ? "/" : "", line->file);
    snprintf(boot, sizeof boot, "%016" PRIx64, line->boot_id);
    sqlite3_stmt *add = index->add_frame;
    sqlite3_bind_int64(add, 1, segment);
    bind_text(add, 2, camera);
    bind_text(add, 3, path);
    bind_text(add, 4, boot);
    const uint64_t numbers[] = {line->first,  line->realtime_ns, line->trigger_id,
                                line->offset, line->bytes,       line->crc32c};
    for (int i = 0; i < 6; i++)
        sqlite3_bind_int64(add, 5 + i, (int64_t)numbers[i]);
    if (!line->has_crc)
        sqlite3_bind_null(add, 10);
    return step(index, add);
}

static bool take_line(struct rec_index *index, struct sidecar *sidecar, const struct rec_line *line)
{
    if (line->type == REC_LINE_SEGMENT) {
        const char *place = sidecar->place;
        snprintf(sidecar->camera, sizeof sidecar->camera, "%s", line->camera);
        const bool is_here = strcmp(place, ".") == 0;
        snprintf(sidecar->media, sizeof sidecar->media, "%.300s%s%s", is_here ? "" : place,
                 is_here ? "" : "/", line->media);
        sidecar->is_in_folder = strchr(line->media, '/') == NULL;
    }
    const bool is_picture =
        line->type == REC_LINE_FRAME && sidecar->is_in_folder && strchr(line->file, '/') == NULL;
    return !is_picture || add_frame(index, sidecar->segment, sidecar->camera, sidecar->media, line);
}

/** Takes all lines but damaged ones. 0; -errno: it cannot be read; 1: SQLite failed. */
static int read_lines(struct rec_index *index, struct sidecar *sidecar, struct rec_reader *reader)
{
    struct rec_line line;
    for (uint64_t number = 1;; number++) {
        int result = rec_reader_next(reader, &line);
        if (result > 0 && !take_line(index, sidecar, &line))
            return 1;
        if (result > 0)
            continue;
        if (result == 0)
            result = rec_reader_skip(reader);
        if (result <= 0)
            return result;
        if (sidecar->damaged++ == 0)
            sidecar->first_damaged = number;
    }
}

/** What it has not of the sidecar is said, and the next time it reads it again. */
static bool read_sidecar(struct rec_index *index, const char *place, const char *stem)
{
    struct sidecar sidecar = {.place = place};
    char sql[100];
    snprintf(sidecar.path, sizeof sidecar.path, "%.400s/%.300s/%s.jsonl", index->folder, place,
             stem);
    struct rec_reader *reader = NULL;
    int fd = open(sidecar.path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true; // deleted meanwhile
    int result = fd < 0 ? -errno : rec_reader_open(&reader, fd);
    bind_text(index->add_segment, 1, place);
    bind_text(index->add_segment, 2, stem);
    const bool is_added = step(index, index->add_segment);
    sidecar.segment = sqlite3_last_insert_rowid(index->db);
    if (result == 0 && is_added)
        result = read_lines(index, &sidecar, reader);
    rec_reader_close(reader);
    if (!is_added || result > 0)
        return false;
    if (result < 0)
        say_unreadable(index, sidecar.path, -result);
    if (sidecar.damaged > 0) {
        say("%s: damaged lines: %" PRIu64 ", the first is line %" PRIu64, sidecar.path,
            sidecar.damaged, sidecar.first_damaged);
        index->is_whole = false;
    }
    if (result == 0 && sidecar.damaged == 0)
        return true;
    snprintf(sql, sizeof sql, "UPDATE segment SET is_whole = 0 WHERE id = %lld",
             (long long)sidecar.segment);
    return run(index, sql);
}

static bool is_known(struct rec_index *index, const char *place, const char *stem)
{
    bind_text(index->has_segment, 1, place);
    bind_text(index->has_segment, 2, stem);
    const bool is_there = sqlite3_step(index->has_segment) == SQLITE_ROW;
    sqlite3_reset(index->has_segment);
    return is_there;
}

static bool read_camera(struct rec_index *index, const char *place)
{
    char path[REC_PATH_SIZE];
    struct rec_found *found;
    bool is_good = true;
    snprintf(path, sizeof path, "%.400s/%.300s", index->folder, place);
    const int count = rec_recover_list(path, &found);
    if (count < 0)
        say_unreadable(index, path, -count);
    for (int i = 0; i < count && is_good; i++)
        if (!is_known(index, place, found[i].name))
            is_good = read_sidecar(index, place, found[i].name);
    free(found);
    return is_good;
}

/** Forgets segments whose sidecar is gone, or could not be read wholly. */
static bool forget(struct rec_index *index)
{
    char path[REC_PATH_SIZE], sql[200];
    bool is_good = true;
    int result = SQLITE_DONE;
    sqlite3_stmt *all = prepare(index, "SELECT id, folder, name, is_whole FROM segment");
    while (is_good && (result = sqlite3_step(all)) == SQLITE_ROW) {
        snprintf(path, sizeof path, "%.400s/%.300s/%.60s.jsonl", index->folder,
                 (const char *)sqlite3_column_text(all, 1),
                 (const char *)sqlite3_column_text(all, 2));
        if (sqlite3_column_int(all, 3) != 0 && access(path, F_OK) == 0)
            continue;
        const long long id = sqlite3_column_int64(all, 0);
        snprintf(sql, sizeof sql,
                 "DELETE FROM frame WHERE segment = %lld; DELETE FROM segment WHERE id = %lld", id,
                 id);
        is_good = run(index, sql);
    }
    if (is_good && result != SQLITE_DONE)
        is_good = fail(index);
    sqlite3_finalize(all);
    return is_good;
}

/** The folder itself may be a camera's; else those in it are. */
static bool read_folders(struct rec_index *index)
{
    DIR *folder = opendir(index->folder);
    if (folder == NULL) {
        say_unreadable(index, index->folder, errno);
        return false;
    }
    struct dirent *entry;
    int result = 0;
    bool is_good = read_camera(index, ".");
    while (is_good && (result = rec_folder_next(folder, &entry)) > 0)
        if (entry->d_name[0] != '.')
            is_good = read_camera(index, entry->d_name);
    if (result < 0)
        say_unreadable(index, index->folder, -result);
    closedir(folder);
    return is_good;
}

static bool refresh(struct rec_index *index)
{
    index->has_segment = prepare(index, "SELECT id FROM segment WHERE folder = ?1 AND name = ?2");
    index->add_segment =
        prepare(index, "INSERT INTO segment (folder, name, is_whole) VALUES (?1, ?2, 1)");
    index->add_frame =
        prepare(index, "INSERT INTO frame VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    return index->add_frame != NULL && forget(index) && read_folders(index);
}

// --- the outside ---------------------------------------------------------------------------------

/** Opens this file. One of another layout is emptied: another `find` may wait for the lock. */
static bool open_file(struct rec_index *index, const char *path)
{
    if (sqlite3_open(path, &index->db) != SQLITE_OK)
        return fail(index);
    sqlite3_busy_timeout(index->db, BUSY_MS);
    int64_t layout;
    if (!run(index, "BEGIN IMMEDIATE") || !read_layout(index, &layout))
        return false;
    if (layout == strtoll(LAYOUT, NULL, 10))
        return true;
    if (layout != 0)
        say("%s is of another version, and is made again", path);
    return run(index, schema);
}

static void shut(struct rec_index *index)
{
    sqlite3_finalize(index->has_segment);
    sqlite3_finalize(index->add_segment);
    sqlite3_finalize(index->add_frame);
    sqlite3_close(index->db);
    index->has_segment = index->add_segment = index->add_frame = NULL;
    index->db = NULL;
}

/** False: it is shut, and `error` tells why, or it was said. */
static bool fill(struct rec_index *index, const char *path)
{
    index->error = SQLITE_OK;
    index->is_whole = true;
    if (open_file(index, path) && refresh(index) && run(index, "COMMIT"))
        return true;
    shut(index);
    return false;
}

static bool fill_any(struct rec_index *index)
{
    char path[REC_PATH_SIZE];
    snprintf(path, sizeof path, "%.900s/" FILE_NAME, index->folder);
    bool is_filled = fill(index, path);
    if ((index->error == SQLITE_CORRUPT || index->error == SQLITE_NOTADB) && unlink(path) == 0) {
        say("%s is damaged, and is made again: %s", path, index->why);
        is_filled = fill(index, path);
    }
    if (is_filled || index->error == SQLITE_OK)
        return is_filled;
    if (index->error == SQLITE_BUSY)
        say("%s is in use by another `find`; all sidecars are read", path);
    else if (access(index->folder, W_OK) == 0)
        say("%s cannot be used: %s; all sidecars are read", path, index->why);
    return fill(index, ":memory:");
}

struct rec_index *rec_index_open(const char *folder)
{
    struct rec_index *index = calloc(1, sizeof *index);
    if (index == NULL)
        return NULL;
    index->folder = folder;
    if (fill_any(index))
        return index;
    if (index->error != SQLITE_OK)
        say("%s: %s", folder, index->why);
    rec_index_close(index);
    return NULL;
}

void rec_index_close(struct rec_index *index)
{
    if (index == NULL)
        return;
    shut(index);
    free(index);
}

static const char *text_at(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    return text != NULL ? (const char *)text : "";
}

bool rec_index_find(struct rec_index *index, const struct rec_query *query,
                    void (*visit)(void *user, const struct rec_hit *hit), void *user)
{
    char path[REC_PATH_SIZE];
    char sql[400];
    snprintf(sql, sizeof sql,
             "SELECT camera, path, boot, offset, bytes, realtime, trigger, sequence, crc"
             " FROM frame WHERE realtime BETWEEN ?2 AND ?3%s%s"
             " ORDER BY realtime, camera, sequence",
             query->camera != NULL ? " AND camera = ?1" : "",
             query->trigger != 0 ? " AND trigger = ?4" : "");
    sqlite3_stmt *rows = prepare(index, sql);
    if (rows == NULL) {
        say("%s: %s", index->folder, index->why);
        return false;
    }
    if (query->camera != NULL)
        bind_text(rows, 1, query->camera);
    sqlite3_bind_int64(rows, 2, query->from_ns);
    sqlite3_bind_int64(rows, 3, query->until_ns);
    if (query->trigger != 0)
        sqlite3_bind_int64(rows, 4, query->trigger);
    int result;
    while ((result = sqlite3_step(rows)) == SQLITE_ROW) {
        snprintf(path, sizeof path, "%.400s/%.600s", index->folder, text_at(rows, 1));
        const struct rec_hit hit = {.camera = text_at(rows, 0),
                                    .path = path,
                                    .boot_id = text_at(rows, 2),
                                    .offset = sqlite3_column_int64(rows, 3),
                                    .bytes = sqlite3_column_int64(rows, 4),
                                    .realtime_ns = sqlite3_column_int64(rows, 5),
                                    .trigger = sqlite3_column_int64(rows, 6),
                                    .sequence = sqlite3_column_int64(rows, 7),
                                    .has_crc = sqlite3_column_type(rows, 8) != SQLITE_NULL,
                                    .crc32c = (uint32_t)sqlite3_column_int64(rows, 8)};
        visit(user, &hit);
    }
    if (result != SQLITE_DONE)
        say("%s: %s", index->folder, sqlite3_errmsg(index->db));
    sqlite3_finalize(rows);
    return result == SQLITE_DONE && index->is_whole;
}

#endif
