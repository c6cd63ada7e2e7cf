// SPDX-License-Identifier: MIT
// After a crash the sidecar is the truth as far as the media bears it out: the media is cut after
// the last frame that the sidecar tells of, the sidecar after the last frame that is whole in the
// media. What is cut is asked for again from the node, or becomes a `missing` line.
#include "tools/rec/recover.h"

#include "tools/rec/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const media_suffixes[] = {".mkv", ".mp4", ""};
enum { SUFFIXES = sizeof media_suffixes / sizeof media_suffixes[0] };

/** A power cut can leave a file with holes where nothing was written yet. (The end is not looked
 * at: cameras may pad their own JPEGs.) */
static bool is_jpeg(int fd, uint64_t offset)
{
    unsigned char begin[2];
    return pread(fd, begin, 2, (off_t)offset) == 2 && begin[0] == 0xff && begin[1] == 0xd8;
}

/** The media of a segment under either of its names; *is_final says which. */
static bool find_media(const char *stem, char *path, bool *is_final)
{
    for (int final = 0; final < 2; final++)
        for (int i = 0; i < SUFFIXES; i++) {
            rec_segment_path(path, stem, media_suffixes[i], final == 0);
            struct stat status;
            if (stat(path, &status) == 0) {
                *is_final = final == 1;
                return true;
            }
        }
    return false;
}

static bool is_whole(int fd, const struct rec_line *line)
{
    struct stat status;
    if (fd < 0)
        return false;
    if (line->file[0] == '\0')
        return fstat(fd, &status) == 0 && (uint64_t)status.st_size >= line->end &&
               is_jpeg(fd, line->offset);
    int file = openat(fd, line->file, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool result =
        fstat(file, &status) == 0 && (uint64_t)status.st_size == line->bytes && is_jpeg(file, 0);
    close(file);
    return result;
}

/** Removes the files of a folder that come after the last one told of: names sort by sequence. */
static void cut_folder(int fd, const char *last)
{
    DIR *folder = fdopendir(dup(fd));
    if (folder == NULL)
        return;
    rewinddir(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, last) > 0)
            unlinkat(fd, entry->d_name, 0);
    closedir(folder);
}

struct survey {
    uint64_t frames, lines, media_end;
    off_t sidecar_end;
    char last_file[32];
};

static struct survey look(struct rec_reader *sidecar, int media_fd)
{
    struct survey found = {0};
    struct rec_line line;
    for (; rec_reader_next(sidecar, &line); found.sidecar_end = rec_reader_at(sidecar)) {
        if (line.type == REC_LINE_FRAME) {
            if (!is_whole(media_fd, &line))
                break;
            found.frames++;
            found.media_end = line.end;
            memcpy(found.last_file, line.file, sizeof found.last_file);
        }
        found.lines += line.type != REC_LINE_OTHER;
    }
    return found;
}

/** Cuts sidecar and media to what both have. */
static int cut(const char *sidecar, const struct survey *found, int media_fd, bool is_final)
{
    int fd = open(sidecar, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = ftruncate(fd, found->sidecar_end) < 0 ? -errno : 0;
    char *line = rec_sidecar_end("recovered", found->frames, "the recorder had ended unexpectedly");
    if (line != NULL && error == 0) // only says what happened: a full disk may lack it
        if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
            (void)!ftruncate(fd, found->sidecar_end);
    free(line);
    if (fsync(fd) < 0 && error == 0)
        error = -errno;
    close(fd);
    if (media_fd < 0 || error < 0 || found->frames == 0)
        return error;
    if (found->last_file[0] != '\0')
        cut_folder(media_fd, found->last_file);
    else if (!is_final && ftruncate(media_fd, (off_t)found->media_end) < 0)
        return -errno;
    return fsync(media_fd) < 0 ? -errno : 0;
}

static int recover(const char *stem)
{
    char sidecar[REC_PATH_SIZE], media[REC_PATH_SIZE], final[REC_PATH_SIZE];
    bool is_final = false;
    int media_fd = -1;
    struct rec_reader *reader;
    int error = rec_reader_open(&reader, rec_segment_path(sidecar, stem, ".jsonl", true));
    if (error < 0)
        return error;
    const bool has_media = find_media(stem, media, &is_final);
    if (has_media) {
        media_fd = open(media, O_RDWR | O_CLOEXEC);
        if (media_fd < 0 && errno == EISDIR)
            media_fd = open(media, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    struct survey found = look(reader, media_fd);
    rec_reader_close(reader);
    if (found.lines > 0)
        error = cut(sidecar, &found, media_fd, is_final);
    if (media_fd >= 0)
        close(media_fd);
    if (error < 0)
        return error;
    if (has_media && found.frames == 0) {
        rec_segment_unlink(media);
    } else if (has_media && !is_final) {
        snprintf(final, sizeof final, "%.*s", (int)(strlen(media) - strlen(".part")), media);
        error = rename(media, final) < 0 ? -errno : 0;
    }
    if (found.lines == 0)
        unlink(sidecar);
    else if (error == 0)
        error = rename(sidecar, rec_segment_path(final, stem, ".jsonl", false)) < 0 ? -errno : 0;
    rec_segment_sync_folder(sidecar);
    if (error == 0)
        rec_say("%s: recovered, %llu frames", stem, (unsigned long long)found.frames);
    return error;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

static void make_stem(char *out, const char *folder, const char *name, const char *suffix)
{
    snprintf(out, REC_PATH_SIZE, "%s/%.*s", folder, (int)(strlen(name) - strlen(suffix)), name);
}

/** A deletion that was begun: its sidecar has the name .gone until the media is away. */
static void finish_deletion(const char *stem)
{
    char path[REC_PATH_SIZE];
    bool is_final;
    if (find_media(stem, path, &is_final))
        rec_segment_unlink(path);
    unlink(rec_segment_path(path, stem, ".jsonl.gone", false));
}

void rec_recover_folder(const char *folder)
{
    char stem[REC_PATH_SIZE];
    DIR *handle = opendir(folder);
    if (handle == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(handle)) != NULL;) {
        if (ends_with(entry->d_name, ".jsonl.gone")) {
            make_stem(stem, folder, entry->d_name, ".jsonl.gone");
            finish_deletion(stem);
        } else if (ends_with(entry->d_name, ".jsonl.part")) {
            make_stem(stem, folder, entry->d_name, ".jsonl.part");
            int error = recover(stem);
            if (error < 0)
                rec_say("%s: cannot be recovered: %s", stem, strerror(-error));
        }
    }
    closedir(handle);
}

static int by_serial(const void *a, const void *b)
{
    const struct rec_found *left = a, *right = b;
    return left->serial < right->serial ? -1 : left->serial > right->serial;
}

static uint64_t folder_bytes(const char *path)
{
    uint64_t bytes = 0;
    struct stat status;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && fstatat(dirfd(folder), entry->d_name, &status, 0) == 0)
            bytes += (uint64_t)status.st_size;
    closedir(folder);
    return bytes;
}

static void weigh(const char *folder, struct rec_found *found)
{
    char stem[REC_PATH_SIZE], path[REC_PATH_SIZE];
    bool is_final;
    struct stat status;
    make_stem(stem, folder, found->name, "");
    if (stat(rec_segment_path(path, stem, ".jsonl", false), &status) == 0) {
        found->bytes = (uint64_t)status.st_size;
        found->time_ns = (uint64_t)status.st_mtim.tv_sec * REC_NS_PER_S;
    }
    if (find_media(stem, path, &is_final) && stat(path, &status) == 0)
        found->bytes += S_ISDIR(status.st_mode) ? folder_bytes(path) : (uint64_t)status.st_size;
}

int rec_recover_list(const char *folder, struct rec_found **out)
{
    int count = 0, room = 0;
    *out = NULL;
    DIR *handle = opendir(folder);
    if (handle == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(handle)) != NULL;) {
        char *after;
        uint64_t serial = strtoull(entry->d_name, &after, 10);
        const size_t length = strlen(entry->d_name) - strlen(".jsonl");
        if (!ends_with(entry->d_name, ".jsonl") || after == entry->d_name || *after != '_' ||
            length >= sizeof out[0]->name)
            continue;
        if (count == room) {
            room = room > 0 ? 2 * room : 64;
            struct rec_found *grown = realloc(*out, (size_t)room * sizeof **out);
            if (grown == NULL) {
                closedir(handle);
                free(*out);
                *out = NULL;
                return -ENOMEM;
            }
            *out = grown;
        }
        struct rec_found *found = &(*out)[count++];
        memset(found, 0, sizeof *found);
        found->serial = serial;
        memcpy(found->name, entry->d_name, length);
        weigh(folder, found);
    }
    closedir(handle);
    if (count > 0)
        qsort(*out, (size_t)count, sizeof **out, by_serial);
    return count;
}

struct rec_position rec_recover_position(const char *folder, const struct rec_found *found,
                                         int count)
{
    struct rec_position position = {0};
    for (int i = count - 1; i >= 0 && !position.is_known; i--) {
        char stem[REC_PATH_SIZE], path[REC_PATH_SIZE];
        struct rec_line line;
        make_stem(stem, folder, found[i].name, "");
        struct rec_reader *reader;
        if (rec_reader_open(&reader, rec_segment_path(path, stem, ".jsonl", false)) < 0)
            continue;
        while (rec_reader_next(reader, &line))
            rec_position_follow(&position, &line);
        rec_reader_close(reader);
    }
    return position;
}
