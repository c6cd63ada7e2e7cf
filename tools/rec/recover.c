// SPDX-License-Identifier: MIT
// After a crash the sidecar is the truth as far as the media bears it out. The media is cut after
// the last frame that the sidecar has, the sidecar after the last frame that is whole in the media.
// What is cut is asked for again from the node, or becomes a `missing` line.
//
// A media file that lacks its index is then written again with one, beside the old one, and its
// sidecar with it. The new sidecar gets its final name last. Until then the old pair is there, and
// a start that finds both begins over.
#include "tools/rec/recover.h"

#include "tools/rec/crc32c.h"
#include "tools/rec/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const file_suffixes[] = {".mkv", ".mp4"};
static const char ended[] = "the recorder had ended unexpectedly";

/** An unfinished segment and what is known of it. */
struct remains {
    int folder_fd;
    const char *folder;
    char stem[REC_FILE_SIZE];
    char media[REC_FILE_SIZE]; /**< "" = there is none */
    bool is_final;             /**< the media has its final name */
    int media_fd;
    uint64_t frames, lines, media_end; /**< what the sidecar says and the media bears out */
    off_t sidecar_end;                 /**< of that */
    char last_file[32];                /**< of that, in a folder */
    struct rec_position at;            /**< where the recording stands after that */
    bool is_cut;                       /**< the sidecar has more */
    struct rec_boot lost; /**< up to where the next segment goes on behind that; last 0 = nowhere */
};

static void make_stem(char *out, const char *name, const char *suffix)
{
    snprintf(out, REC_FILE_SIZE, "%.*s", (int)(strlen(name) - strlen(suffix)), name);
}

/** Is it the picture of the line? 1, 0 or -errno. A power cut can leave a file with holes where
 * nothing was written yet, and a sync that failed anywhere. */
static int is_picture(int fd, uint64_t offset, const struct rec_line *line)
{
    int error;
    uint8_t *jpeg = rec_media_read(fd, offset, line->bytes, &error);
    if (jpeg == NULL)
        return error;
    const bool is_jpeg = line->bytes >= 2 && jpeg[0] == 0xff && jpeg[1] == 0xd8;
    const bool is_it =
        is_jpeg && (!line->has_crc || rec_crc32c(jpeg, (size_t)line->bytes) == line->crc32c);
    free(jpeg);
    return is_it;
}

/** Has the media the whole frame? 1, 0 or -errno. A line that speaks of the other kind of media (a
 * file in a folder, a place in a file) is not borne out. */
static int is_whole(int fd, const struct rec_line *line)
{
    struct stat status;
    if (fd < 0)
        return 0;
    if (fstat(fd, &status) < 0)
        return -errno;
    const bool is_file = line->file[0] != '\0';
    if (is_file != S_ISDIR(status.st_mode))
        return 0;
    int file = is_file ? openat(fd, line->file, O_RDONLY | O_CLOEXEC) : fd;
    if (file < 0)
        return errno == ENOENT ? 0 : -errno;
    int result = is_file && fstat(file, &status) < 0 ? -errno : 0;
    const uint64_t size = (uint64_t)status.st_size;
    if (result == 0 &&
        (is_file ? size == line->bytes : size >= line->end && line->end >= line->bytes))
        result = is_picture(file, is_file ? 0 : line->offset, line);
    if (is_file)
        close(file);
    return result;
}

/** Removes the pictures of a folder that come after the last one of the sidecar: names sort by
 * sequence. */
static void cut_folder(int fd, const char *last)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    if (folder == NULL) {
        if (copy >= 0)
            close(copy);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (rec_is_picture_name(entry->d_name) && strcmp(entry->d_name, last) > 0)
            unlinkat(fd, entry->d_name, 0);
    closedir(folder);
}

static int open_sidecar(const struct remains *r, struct rec_reader **reader)
{
    char name[REC_FILE_SIZE];
    int fd =
        openat(r->folder_fd, rec_segment_name(name, r->stem, ".jsonl", true), O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : rec_reader_open(reader, fd);
}

static int survey(struct remains *r)
{
    char name[REC_FILE_SIZE];
    struct stat status;
    struct rec_line line;
    struct rec_reader *reader = NULL;
    int result = open_sidecar(r, &reader);
    if (result < 0)
        return result;
    while ((result = rec_reader_next(reader, &line)) > 0) {
        if (line.type == REC_LINE_FRAME) {
            result = is_whole(r->media_fd, &line);
            if (result <= 0)
                break;
            r->frames++;
            r->media_end = line.end;
            memcpy(r->last_file, line.file, sizeof r->last_file);
        }
        r->lines += line.type != REC_LINE_OTHER && line.type != REC_LINE_SEGMENT;
        r->sidecar_end = rec_reader_at(reader);
        rec_position_follow(&r->at, &line);
    }
    rec_reader_close(reader);
    rec_segment_name(name, r->stem, ".jsonl", true);
    r->is_cut = fstatat(r->folder_fd, name, &status, 0) == 0 && status.st_size > r->sidecar_end;
    return result < 0 ? result : 0;
}

/** The sidecar of the segment after this one, finished or not; "" = there is none. -errno. */
static int find_next(const struct remains *r, char out[REC_FILE_SIZE])
{
    uint64_t nearest = UINT64_MAX;
    const uint64_t own = rec_segment_serial(r->stem);
    struct dirent *entry;
    int result;
    out[0] = '\0';
    DIR *handle = opendir(r->folder);
    if (handle == NULL)
        return -errno;
    while ((result = rec_folder_next(handle, &entry)) > 0) {
        const uint64_t serial = rec_segment_serial(entry->d_name);
        if (serial <= own || serial >= nearest || strlen(entry->d_name) >= REC_FILE_SIZE ||
            (!rec_name_ends(entry->d_name, ".jsonl") &&
             !rec_name_ends(entry->d_name, ".jsonl.part")))
            continue;
        nearest = serial;
        snprintf(out, REC_FILE_SIZE, "%.*s", REC_FILE_SIZE - 1, entry->d_name);
    }
    closedir(handle);
    return result;
}

/** Does the next segment go on behind what this one has? 0 or -errno. Segments between may have
 * been deleted on purpose. */
static int look_ahead(struct remains *r)
{
    struct rec_line line = {0};
    struct rec_reader *reader = NULL;
    char name[REC_FILE_SIZE];
    int result = find_next(r, name);
    if (result < 0 || name[0] == '\0' || !r->at.is_known)
        return result;
    int fd = openat(r->folder_fd, name, O_RDONLY | O_CLOEXEC);
    result = fd < 0 ? -errno : rec_reader_open(&reader, fd);
    if (result == 0)
        result = rec_reader_next(reader, &line);
    rec_reader_close(reader);
    const struct rec_boot *next = rec_position_find(&line.position, r->at.boots[0].boot_id);
    const bool is_next = r->is_cut || rec_segment_serial(name) == rec_segment_serial(r->stem) + 1;
    if (is_next && next != NULL && next->last > r->at.boots[0].last)
        r->lost = *next;
    return result < 0 ? result : 0;
}

static int append(int fd, const char *text, size_t bytes)
{
    const ssize_t done = write(fd, text, bytes);
    return done < 0 ? -errno : (size_t)done == bytes ? 0 : -ENOSPC;
}

/** Takes the line from the heap over; NULL: there was no memory for it. */
static int append_line(int fd, char *line)
{
    const int error = line != NULL ? append(fd, line, strlen(line)) : -ENOMEM;
    free(line);
    return error;
}

/** The last lines. The node is asked again for what is cut, unless a later segment goes on behind
 * it. */
static int append_end(const struct remains *r, int fd)
{
    int error = 0;
    if (r->lost.last != 0)
        error = append_line(fd, rec_sidecar_missing(r->lost.boot_id, r->at.boots[0].last + 1,
                                                    r->lost.last, "damaged"));
    return error < 0 ? error : append_line(fd, rec_sidecar_end("recovered", r->frames, ended));
}

/** Cuts sidecar and media to what both have. */
static int cut(const struct remains *r)
{
    char name[REC_FILE_SIZE];
    int fd = openat(r->folder_fd, rec_segment_name(name, r->stem, ".jsonl", true),
                    O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = ftruncate(fd, r->sidecar_end) < 0 ? -errno : 0;
    // Mostly the last line only says what happened: a full disk may lack it.
    const int appended = error == 0 ? append_end(r, fd) : 0;
    if (appended < 0)
        (void)!ftruncate(fd, r->sidecar_end);
    if (appended < 0 && r->lost.last != 0)
        error = appended;
    if (fsync(fd) < 0 && error == 0)
        error = -errno;
    close(fd);
    if (r->media_fd < 0 || error < 0 || r->frames == 0)
        return error;
    if (r->last_file[0] != '\0')
        cut_folder(r->media_fd, r->last_file);
    else if (!r->is_final && ftruncate(r->media_fd, (off_t)r->media_end) < 0)
        return -errno;
    return fsync(r->media_fd) < 0 ? -errno : 0;
}

/** The pair as it is: cut, and without an index. */
static int complete_as_it_is(const struct remains *r)
{
    char part[REC_FILE_SIZE], final[REC_FILE_SIZE];
    int error = cut(r);
    if (error == 0 && r->media[0] != '\0' && !r->is_final) {
        make_stem(final, r->media, ".part");
        error = rec_segment_rename(r->folder_fd, r->media, final);
    }
    if (error == 0)
        error = rec_segment_rename(r->folder_fd, rec_segment_name(part, r->stem, ".jsonl", true),
                                   rec_segment_name(final, r->stem, ".jsonl", false));
    return error;
}

/** A media file with an index, and its sidecar, being written beside the old pair. */
struct copy {
    const struct remains *r;
    const struct rec_media_ops *ops;
    struct rec_media *media;
    bool was_media_made;
    int sidecar_fd;
    char title[REC_NAME_SIZE];
};

static int copy_frame(struct copy *copy, struct rec_reader *reader, const struct rec_line *line,
                      uint8_t *jpeg)
{
    char name[REC_FILE_SIZE];
    struct rec_place place;
    size_t bytes;
    const struct pinhole_frame frame = {.jpeg = jpeg,
                                        .jpeg_bytes = (size_t)line->bytes,
                                        .sequence = line->first,
                                        .width = (uint16_t)line->width,
                                        .height = (uint16_t)line->height,
                                        .timestamp_ns = line->captured_ns,
                                        .realtime_ns = line->realtime_ns,
                                        .frame_duration_us = line->frame_duration_us};
    const ssize_t got = pread(copy->r->media_fd, jpeg, (size_t)line->bytes, (off_t)line->offset);
    if (got != (ssize_t)line->bytes)
        return got < 0 ? -errno : -EIO;
    int error = 0;
    if (copy->media == NULL)
        error = copy->ops->open(&copy->media, copy->r->folder_fd,
                                rec_segment_name(name, copy->r->stem, copy->ops->suffix, false),
                                copy->title, &frame);
    copy->was_media_made = copy->media != NULL;
    if (error == 0)
        error = copy->ops->write(copy->media, &frame, &place);
    if (error < 0)
        return error;
    const char *text = rec_reader_text(reader, &bytes);
    return append_line(copy->sidecar_fd, rec_sidecar_moved(text, bytes, &place));
}

static int copy_line(struct copy *copy, struct rec_reader *reader, const struct rec_line *line)
{
    size_t bytes;
    if (line->type != REC_LINE_FRAME) {
        const char *text = rec_reader_text(reader, &bytes);
        return append(copy->sidecar_fd, text, bytes);
    }
    if (line->bytes > SIZE_MAX / 2 || line->bytes > line->end || line->end > copy->r->media_end)
        return -EBADMSG;
    uint8_t *jpeg = malloc((size_t)line->bytes);
    int error = jpeg != NULL ? copy_frame(copy, reader, line, jpeg) : -ENOMEM;
    free(jpeg);
    return error;
}

static int copy_lines(struct copy *copy)
{
    struct rec_line line;
    struct rec_reader *reader = NULL;
    int error = open_sidecar(copy->r, &reader);
    if (error < 0)
        return error;
    while (error == 0 && rec_reader_at(reader) < copy->r->sidecar_end) {
        error = rec_reader_next(reader, &line);
        error = error > 0 ? copy_line(copy, reader, &line) : error < 0 ? error : -EBADMSG;
    }
    rec_reader_close(reader);
    if (error == 0)
        error = append_end(copy->r, copy->sidecar_fd);
    if (error == 0 && copy->media != NULL)
        error = copy->ops->finish(copy->media);
    if (error == 0 && fsync(copy->sidecar_fd) < 0)
        error = -errno;
    return error;
}

/** The media and its sidecar written again with an index. -errno: nothing has changed. */
static int complete_with_index(const struct remains *r)
{
    char sidecar[REC_FILE_SIZE], fresh[REC_FILE_SIZE], media[REC_FILE_SIZE];
    struct copy copy = {
        .r = r, .ops = rec_media_of(rec_name_ends(r->media, ".mp4.part") ? REC_MP4 : REC_MATROSKA)};
    if (copy.ops == NULL)
        return -ENOSYS;
    const char *slash = strrchr(r->folder, '/');
    snprintf(copy.title, sizeof copy.title, "%s", slash != NULL ? slash + 1 : r->folder);
    rec_segment_name(fresh, r->stem, ".jsonl.new", false);
    copy.sidecar_fd = openat(r->folder_fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (copy.sidecar_fd < 0)
        return -errno;
    int error = copy_lines(&copy);
    close(copy.sidecar_fd);
    if (copy.media != NULL)
        copy.ops->close(copy.media);
    if (error == 0)
        error = rec_segment_rename(r->folder_fd, fresh,
                                   rec_segment_name(sidecar, r->stem, ".jsonl", false));
    if (error < 0) {
        unlinkat(r->folder_fd, fresh, 0);
        if (copy.was_media_made)
            unlinkat(r->folder_fd, rec_segment_name(media, r->stem, copy.ops->suffix, false), 0);
        return error;
    }
    fsync(r->folder_fd);
    unlinkat(r->folder_fd, r->media, 0);
    unlinkat(r->folder_fd, rec_segment_name(sidecar, r->stem, ".jsonl", true), 0);
    return 0;
}

/** Takes away what an earlier recovery has left. True: it had completed the segment. */
static bool tidy(const struct remains *r)
{
    char name[REC_FILE_SIZE], part[REC_FILE_SIZE];
    const bool is_done =
        rec_name_exists(r->folder_fd, rec_segment_name(name, r->stem, ".jsonl", false));
    unlinkat(r->folder_fd, rec_segment_name(name, r->stem, ".jsonl.new", false), 0);
    for (int i = 0; i < 2; i++) {
        rec_segment_name(part, r->stem, file_suffixes[i], true);
        rec_segment_name(name, r->stem, file_suffixes[i], false);
        if (rec_name_exists(r->folder_fd, part) && rec_name_exists(r->folder_fd, name))
            unlinkat(r->folder_fd, is_done ? part : name, 0);
    }
    if (is_done)
        unlinkat(r->folder_fd, rec_segment_name(name, r->stem, ".jsonl", true), 0);
    return is_done;
}

static int complete(struct remains *r)
{
    char name[REC_FILE_SIZE];
    if (r->lines == 0 && r->lost.last == 0) {
        if (r->media[0] != '\0')
            rec_segment_unlink(r->folder_fd, r->media);
        unlinkat(r->folder_fd, rec_segment_name(name, r->stem, ".jsonl", true), 0);
        return 0;
    }
    if (r->frames == 0) {
        if (r->media[0] != '\0')
            rec_segment_unlink(r->folder_fd, r->media);
        r->media[0] = '\0';
    } else if (!r->is_final && r->last_file[0] == '\0') {
        int error = complete_with_index(r);
        if (error == 0)
            return 0;
        say("%s/%s: no index can be written: %s; players have to search", r->folder, r->stem,
            strerror(-error));
    }
    return complete_as_it_is(r);
}

static int recover(int folder_fd, const char *folder, const char *stem)
{
    struct remains r = {.folder_fd = folder_fd, .folder = folder, .media_fd = -1};
    snprintf(r.stem, sizeof r.stem, "%s", stem);
    if (tidy(&r))
        return 0;
    if (rec_segment_media(folder_fd, stem, r.media, &r.is_final)) {
        r.media_fd = openat(folder_fd, r.media, O_RDWR | O_CLOEXEC);
        if (r.media_fd < 0 && errno == EISDIR)
            r.media_fd = openat(folder_fd, r.media, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    int error = r.media[0] != '\0' && r.media_fd < 0 ? -errno : 0;
    if (error == 0)
        error = survey(&r);
    if (error == 0)
        error = look_ahead(&r);
    if (error == 0)
        error = complete(&r);
    if (r.media_fd >= 0)
        close(r.media_fd);
    fsync(folder_fd);
    if (error < 0)
        say("%s/%s: cannot be recovered: %s", folder, stem, strerror(-error));
    else
        say("%s/%s: recovered, %" PRIu64 " frames", folder, stem, r.frames);
    return error;
}

/** A deletion that was begun: its sidecar has the name .gone until the media is away. */
static void finish_deletion(int folder_fd, const char *stem)
{
    char name[REC_FILE_SIZE];
    bool is_final;
    if (rec_segment_media(folder_fd, stem, name, &is_final))
        rec_segment_unlink(folder_fd, name);
    unlinkat(folder_fd, rec_segment_name(name, stem, ".jsonl.gone", false), 0);
}

/** Is the unfinished sidecar of this group? NULL: of none. */
static bool is_of(int folder_fd, const char *sidecar, const char *address)
{
    struct rec_line line = {0};
    struct rec_reader *reader = NULL;
    int fd = openat(folder_fd, sidecar, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || rec_reader_open(&reader, fd) < 0)
        return address == NULL; // whoever recovers it says what is wrong
    const int result = rec_reader_next(reader, &line);
    rec_reader_close(reader);
    if (result <= 0 || strncmp(line.address, REC_GROUP, strlen(REC_GROUP)) != 0)
        return address == NULL;
    return address != NULL && strncmp(line.address, address, sizeof line.address - 1) == 0;
}

int rec_recover_folder(const char *folder, const char *address)
{
    char stem[REC_FILE_SIZE];
    struct dirent *entry;
    int result, error = 0;
    DIR *handle = opendir(folder);
    if (handle == NULL)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    while ((result = rec_folder_next(handle, &entry)) > 0) {
        if (strlen(entry->d_name) >= REC_FILE_SIZE)
            continue;
        if (rec_name_ends(entry->d_name, ".jsonl.gone")) {
            make_stem(stem, entry->d_name, ".jsonl.gone");
            finish_deletion(dirfd(handle), stem);
        } else if (rec_name_ends(entry->d_name, ".jsonl.part")) {
            if (!is_of(dirfd(handle), entry->d_name, address))
                continue;
            make_stem(stem, entry->d_name, ".jsonl.part");
            int recovered = recover(dirfd(handle), folder, stem);
            error = error < 0 ? error : recovered;
        }
    }
    closedir(handle);
    return result < 0 ? result : error;
}

/** Removes an unfinished segment. Its sidecar goes last: while it is there, this is done again. */
static void remove_segment(int folder_fd, const char *sidecar)
{
    char stem[REC_FILE_SIZE], name[REC_FILE_SIZE];
    bool is_final;
    make_stem(stem, sidecar, ".jsonl.part");
    for (int i = 0; i < 2 && rec_segment_media(folder_fd, stem, name, &is_final); i++)
        rec_segment_unlink(folder_fd, name);
    unlinkat(folder_fd, rec_segment_name(name, stem, ".jsonl.new", false), 0);
    unlinkat(folder_fd, sidecar, 0);
}

/** Cuts the sidecar. Recovery cuts the media to it. */
static int cut_sidecar(int folder_fd, const char *sidecar, uint64_t bytes)
{
    struct stat status;
    int fd = openat(folder_fd, sidecar, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    if (error == 0 && (uint64_t)status.st_size > bytes && ftruncate(fd, (off_t)bytes) < 0)
        error = -errno;
    if (error == 0 && fsync(fd) < 0)
        error = -errno;
    close(fd);
    return error;
}

int rec_recover_cut(const char *folder, const char *address, const struct rec_mark *mark)
{
    struct dirent *entry;
    int result;
    DIR *handle = opendir(folder);
    if (handle == NULL)
        return errno == ENOENT ? 0 : -errno;
    while ((result = rec_folder_next(handle, &entry)) > 0) {
        const uint64_t serial = rec_segment_serial(entry->d_name);
        if (serial < mark->serial || serial == 0 || !rec_name_ends(entry->d_name, ".jsonl.part") ||
            !is_of(dirfd(handle), entry->d_name, address))
            continue;
        if (serial > mark->serial || mark->sidecar_bytes == 0) {
            remove_segment(dirfd(handle), entry->d_name);
            say("%s/%s: taken away, it was not acknowledged", folder, entry->d_name);
        } else {
            result = cut_sidecar(dirfd(handle), entry->d_name, mark->sidecar_bytes);
        }
        if (result < 0)
            break;
    }
    closedir(handle);
    return result;
}
