// SPDX-License-Identifier: MIT
// Writing a segment. The order of writes is what makes a crash harmless: a frame's bytes, then its
// line; the media's final name, then the sidecar's.
#include "tools/rec/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char *rec_segment_path(char *out, const char *stem, const char *suffix, bool is_part)
{
    snprintf(out, REC_PATH_SIZE, "%.*s%s%s", REC_PATH_SIZE - 32, stem, suffix,
             is_part ? ".part" : "");
    return out;
}

void rec_segment_unlink(const char *path)
{
    if (unlink(path) == 0 || (errno != EISDIR && errno != EPERM))
        return;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(path);
}

void rec_segment_sync_folder(const char *path)
{
    char folder[REC_PATH_SIZE];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

static void make_stem(struct rec_segment *segment, const struct rec_source *source)
{
    char date[32];
    time_t now = (time_t)(clock_realtime_ns() / REC_NS_PER_S);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &parts);
    snprintf(segment->stem, sizeof segment->stem, "%.*s/%08" PRIu64 "_%s", REC_PATH_SIZE - 96,
             source->folder, segment->serial, date);
}

int rec_segment_open(struct rec_segment **out, const struct rec_source *source, uint64_t serial,
                     uint64_t boot_id)
{
    char path[REC_PATH_SIZE], media[REC_PATH_SIZE];
    struct rec_segment *segment = calloc(1, sizeof *segment);
    if (segment == NULL)
        return -ENOMEM;
    segment->serial = serial;
    segment->ops = rec_media_of(source->container);
    segment->opened_ns = segment->synced_ns = clock_now_ns();
    memcpy(segment->title, source->name, sizeof segment->title);
    make_stem(segment, source);
    rec_segment_path(path, segment->stem, ".jsonl", true);
    segment->sidecar_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (segment->sidecar_fd < 0) {
        int error = errno;
        free(segment);
        return -error;
    }
    rec_segment_path(media, strrchr(segment->stem, '/') + 1, segment->ops->suffix, false);
    int error = rec_segment_line(segment, rec_sidecar_segment(source, media, boot_id, serial));
    segment->lines = 0;
    if (error < 0) {
        rec_segment_discard(segment);
        return error;
    }
    *out = segment;
    return 0;
}

int rec_segment_line(struct rec_segment *segment, char *lines)
{
    if (lines == NULL)
        return -ENOMEM;
    const size_t length = strlen(lines);
    ssize_t done;
    do
        done = write(segment->sidecar_fd, lines, length);
    while (done < 0 && errno == EINTR);
    int error = done < 0 ? -errno : (size_t)done < length ? -ENOSPC : 0;
    free(lines);
    if (error < 0) {
        (void)!ftruncate(segment->sidecar_fd, (off_t)segment->sidecar_bytes);
        return error;
    }
    segment->sidecar_bytes += length;
    segment->lines++;
    return 0;
}

int rec_segment_frame(struct rec_segment *segment, const struct pinhole_frame *frame)
{
    struct rec_place place;
    int error;
    if (segment->media == NULL) {
        char path[REC_PATH_SIZE];
        rec_segment_path(path, segment->stem, segment->ops->suffix, true);
        error = segment->ops->open(&segment->media, path, segment->title, frame);
        if (error < 0)
            return error;
    }
    error = segment->ops->write(segment->media, frame, &place);
    if (error < 0)
        return error;
    error = rec_segment_line(segment, rec_sidecar_frame(frame, &place));
    if (error < 0)
        segment->ops->undo(segment->media, &place);
    return error;
}

uint64_t rec_segment_bytes(const struct rec_segment *segment)
{
    return segment->sidecar_bytes + (segment->media != NULL ? segment->media->good_bytes : 0);
}

uint64_t rec_segment_frames(const struct rec_segment *segment)
{
    return segment->media != NULL ? segment->media->frames : 0;
}

void rec_segment_sync(struct rec_segment *segment, uint64_t sync_ns)
{
    uint64_t now_ns = clock_now_ns();
    if (sync_ns == 0 || now_ns - segment->synced_ns < sync_ns)
        return;
    segment->synced_ns = now_ns;
    if (segment->media != NULL)
        segment->ops->sync(segment->media);
    fdatasync(segment->sidecar_fd);
}

/** The media's last bytes and its final name. Adds to *bytes what its end takes. */
static int complete_media(struct rec_segment *segment, bool is_broken, int64_t *bytes)
{
    struct stat status;
    char part[REC_PATH_SIZE], final[REC_PATH_SIZE];
    const struct rec_media_ops *ops = segment->ops;
    rec_segment_path(part, segment->stem, ops->suffix, true);
    rec_segment_path(final, segment->stem, ops->suffix, false);
    int error = 0;
    const uint64_t frames = segment->media->frames;
    const int64_t before = (int64_t)segment->media->good_bytes;
    if (!is_broken && frames > 0)
        error = ops->finish(segment->media);
    ops->close(segment->media); // what could not be finished ends after its last frame
    segment->media = NULL;
    if (frames == 0) {
        rec_segment_unlink(part);
        return 0;
    }
    // Without its trailer it is still readable, and the trailer may be what there is no room for.
    if (error != 0 && error != -ENOSPC && error != -EDQUOT)
        return error;
    if (stat(part, &status) == 0 && S_ISREG(status.st_mode))
        *bytes += status.st_size - before;
    return rename(part, final) < 0 ? -errno : 0;
}

int64_t rec_segment_close(struct rec_segment *segment, const char *reason, bool is_broken)
{
    char part[REC_PATH_SIZE], final[REC_PATH_SIZE];
    rec_segment_path(part, segment->stem, ".jsonl", true);
    rec_segment_path(final, segment->stem, ".jsonl", false);
    if (rec_segment_frames(segment) == 0 && segment->lines == 0) {
        rec_segment_discard(segment);
        return 0;
    }
    int64_t bytes = (int64_t)rec_segment_bytes(segment);
    if (!is_broken) // a segment is whole without this line
        (void)rec_segment_line(segment,
                               rec_sidecar_end("end", rec_segment_frames(segment), reason));
    int error = segment->media != NULL ? complete_media(segment, is_broken, &bytes) : 0;
    if (fsync(segment->sidecar_fd) < 0 && error == 0)
        error = -errno;
    if (error == 0 && rename(part, final) < 0)
        error = -errno;
    rec_segment_sync_folder(final);
    close(segment->sidecar_fd);
    free(segment);
    return error < 0 ? error : bytes;
}

void rec_segment_discard(struct rec_segment *segment)
{
    char path[REC_PATH_SIZE];
    if (segment->media != NULL) {
        segment->ops->close(segment->media);
        rec_segment_unlink(rec_segment_path(path, segment->stem, segment->ops->suffix, true));
    }
    unlink(rec_segment_path(path, segment->stem, ".jsonl", true));
    close(segment->sidecar_fd);
    free(segment);
}
