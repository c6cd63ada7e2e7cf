// SPDX-License-Identifier: MIT
// The order of writes is what makes a crash harmless: a frame's bytes, then its line; the media's
// final name, then the sidecar's.
#include "tools/rec/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void make_stem(struct rec_segment *segment)
{
    char date[32];
    time_t now = (time_t)(clock_realtime_ns() / NS_PER_S);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &parts);
    snprintf(segment->stem, sizeof segment->stem, "%08" PRIu64 "_%s", segment->serial, date);
}

static void release(struct rec_segment *segment)
{
    if (segment->sidecar_fd >= 0)
        close(segment->sidecar_fd);
    if (segment->folder_fd >= 0)
        close(segment->folder_fd);
    free(segment);
}

static int open_sidecar(struct rec_segment *segment)
{
    char name[REC_FILE_SIZE];
    segment->folder_fd = open(segment->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (segment->folder_fd < 0)
        return -errno;
    segment->sidecar_fd =
        openat(segment->folder_fd, rec_segment_name(name, segment->stem, ".jsonl", true),
               O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    return segment->sidecar_fd < 0 ? -errno : 0;
}

int rec_segment_open(struct rec_segment **out, const struct rec_source *source, uint64_t serial,
                     const struct rec_position *position)
{
    char media[REC_FILE_SIZE];
    struct rec_segment *segment = calloc(1, sizeof *segment);
    *out = NULL;
    if (segment == NULL)
        return -ENOMEM;
    segment->folder_fd = segment->sidecar_fd = -1;
    segment->serial = serial;
    segment->ops = rec_media_of(source->container);
    segment->opened_ns = segment->synced_ns = clock_now_ns();
    memcpy(segment->folder, source->folder, sizeof segment->folder);
    memcpy(segment->title, source->camera, sizeof segment->title);
    make_stem(segment);
    int error = open_sidecar(segment);
    if (error < 0) {
        release(segment);
        return error;
    }
    rec_segment_name(media, segment->stem, segment->ops->suffix, false);
    error = rec_segment_line(segment, rec_sidecar_segment(source, position, media, serial));
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
    struct rec_shape shape;
    int error;
    if (segment->media == NULL) {
        char name[REC_FILE_SIZE];
        rec_segment_name(name, segment->stem, segment->ops->suffix, true);
        error =
            segment->ops->open(&segment->media, segment->folder_fd, name, segment->title, frame);
        if (error < 0)
            return error;
    }
    error = segment->ops->write(segment->media, frame, &place);
    if (error < 0)
        return error;
    error = rec_segment_line(segment, rec_sidecar_frame(frame, &place));
    if (error < 0)
        segment->ops->undo(segment->media, &place);
    else if (rec_shape_read(frame->jpeg, frame->jpeg_bytes, &shape)) {
        segment->has_shape = true;
        segment->shape = shape;
    }
    return error;
}

uint64_t rec_segment_bytes(const struct rec_segment *segment)
{
    const struct rec_media *media = segment->media;
    return rec_occupied(segment->sidecar_bytes) + (media != NULL ? media->occupied_bytes : 0);
}

uint64_t rec_segment_frames(const struct rec_segment *segment)
{
    return segment->media != NULL ? segment->media->frames : 0;
}

int rec_segment_flush(struct rec_segment *segment)
{
    segment->synced_ns = clock_now_ns();
    int error = segment->media != NULL ? segment->ops->sync(segment->media) : 0;
    if (fdatasync(segment->sidecar_fd) < 0 && error == 0)
        error = -errno;
    if (fsync(segment->folder_fd) < 0 && error == 0)
        error = -errno;
    if (segment->sync_error == 0)
        segment->sync_error = error;
    return error;
}

int rec_segment_sync(struct rec_segment *segment, uint64_t sync_ns)
{
    if (sync_ns == 0 || clock_now_ns() - segment->synced_ns < sync_ns)
        return 0;
    return rec_segment_flush(segment);
}

/** The media's last bytes and its final name. Sets *occupied when it is a file. */
static int complete_media(struct rec_segment *segment, bool is_broken, uint64_t *occupied)
{
    struct stat status;
    char part[REC_FILE_SIZE], final[REC_FILE_SIZE];
    const struct rec_media_ops *ops = segment->ops;
    rec_segment_name(part, segment->stem, ops->suffix, true);
    rec_segment_name(final, segment->stem, ops->suffix, false);
    int error = 0;
    const uint64_t frames = segment->media->frames;
    if (!is_broken && frames > 0)
        error = ops->finish(segment->media);
    if (frames > 0 && (is_broken || error == -ENOSPC || error == -EDQUOT)) {
        // Without its trailer it is still readable, and the trailer may be what there is no room
        // for.
        error = ops->sync(segment->media);
    }
    ops->close(segment->media); // what could not be finished ends after its last frame
    segment->media = NULL;
    if (frames == 0) {
        rec_segment_unlink(segment->folder_fd, part);
        return 0;
    }
    if (error != 0)
        return error;
    if (fstatat(segment->folder_fd, part, &status, 0) == 0 && S_ISREG(status.st_mode))
        *occupied = rec_occupied_by(&status);
    return rec_segment_rename(segment->folder_fd, part, final);
}

/** The time of completion, by the clock that ages are counted with. */
static void stamp(int fd)
{
    const uint64_t now_ns = clock_realtime_ns();
    const struct timespec now = {.tv_sec = (time_t)(now_ns / NS_PER_S),
                                 .tv_nsec = (long)(now_ns % NS_PER_S)};
    const struct timespec times[2] = {now, now};
    (void)futimens(fd, times);
}

int64_t rec_segment_close(struct rec_segment *segment, const char *reason, bool is_broken)
{
    char part[REC_FILE_SIZE], final[REC_FILE_SIZE];
    rec_segment_name(part, segment->stem, ".jsonl", true);
    rec_segment_name(final, segment->stem, ".jsonl", false);
    if (rec_segment_frames(segment) == 0 && segment->lines == 0) {
        rec_segment_discard(segment);
        return 0;
    }
    uint64_t media_bytes = segment->media != NULL ? segment->media->occupied_bytes : 0;
    if (!is_broken) // a segment is whole without this line
        (void)rec_segment_line(segment,
                               rec_sidecar_end("end", rec_segment_frames(segment), reason));
    int error = segment->sync_error;
    if (segment->media != NULL && error == 0)
        error = complete_media(segment, is_broken, &media_bytes);
    else if (segment->media != NULL)
        segment->ops->close(segment->media);
    stamp(segment->sidecar_fd);
    if (fsync(segment->sidecar_fd) < 0 && error == 0)
        error = -errno;
    if (error == 0)
        error = rec_segment_rename(segment->folder_fd, part, final);
    fsync(segment->folder_fd);
    const uint64_t bytes = rec_occupied(segment->sidecar_bytes) + media_bytes;
    release(segment);
    return error < 0 ? error : (int64_t)bytes;
}

void rec_segment_abandon(struct rec_segment *segment)
{
    if (segment->media != NULL)
        segment->ops->close(segment->media);
    release(segment);
}

void rec_segment_discard(struct rec_segment *segment)
{
    char name[REC_FILE_SIZE];
    if (segment->media != NULL) {
        segment->ops->close(segment->media);
        rec_segment_unlink(segment->folder_fd,
                           rec_segment_name(name, segment->stem, segment->ops->suffix, true));
    }
    unlinkat(segment->folder_fd, rec_segment_name(name, segment->stem, ".jsonl", true), 0);
    release(segment);
}
