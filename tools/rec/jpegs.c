// SPDX-License-Identifier: MIT
// A segment as a folder of JPEG files, named by sequence.
#include "tools/rec/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TICK_NS = 1 };

static int open_folder(struct rec_media **out, int folder_fd, const char *name, const char *title,
                       const struct pinhole_frame *first)
{
    (void)title;
    struct rec_media *media = calloc(1, sizeof *media);
    if (media == NULL)
        return -ENOMEM;
    media->ops = &rec_media_jpeg;
    media->first_timestamp_ns = first->timestamp_ns;
    media->fd = -1;
    if (mkdirat(folder_fd, name, 0777) == 0)
        media->fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (media->fd < 0) {
        int error = errno;
        free(media);
        return -error;
    }
    media->occupied_bytes = rec_occupied(0);
    *out = media;
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t done = write(fd, bytes, count);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        bytes += done;
        count -= (size_t)done;
    }
    return 0;
}

static int write_file(struct rec_media *media, const struct pinhole_frame *frame,
                      struct rec_place *place)
{
    *place = (struct rec_place){0};
    snprintf(place->file, sizeof place->file, "%012" PRIu64 ".jpg", frame->sequence);
    int fd = openat(media->fd, place->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int error = write_all(fd, frame->jpeg, frame->jpeg_bytes);
    if (close(fd) < 0 && error == 0)
        error = -errno;
    if (error < 0) {
        unlinkat(media->fd, place->file, 0);
        return error;
    }
    place->pts_ns = rec_media_pts(media, frame->timestamp_ns, TICK_NS);
    media->last_pts_ns = place->pts_ns;
    media->good_bytes += frame->jpeg_bytes;
    media->occupied_bytes += rec_occupied(frame->jpeg_bytes);
    media->frames++;
    return 0;
}

static int undo(struct rec_media *media, const struct rec_place *place)
{
    struct stat status;
    if (fstatat(media->fd, place->file, &status, 0) == 0) {
        media->good_bytes -= (uint64_t)status.st_size;
        media->occupied_bytes -= rec_occupied((uint64_t)status.st_size);
    }
    media->frames--;
    return unlinkat(media->fd, place->file, 0) < 0 ? -errno : 0;
}

static int sync_folder(struct rec_media *media)
{
    return syncfs(media->fd) < 0 ? -errno : 0;
}

static void close_folder(struct rec_media *media)
{
    close(media->fd);
    free(media);
}

const struct rec_media_ops rec_media_jpeg = {.suffix = "",
                                             .open = open_folder,
                                             .write = write_file,
                                             .undo = undo,
                                             .finish = sync_folder,
                                             .sync = sync_folder,
                                             .close = close_folder};
