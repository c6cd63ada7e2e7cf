// SPDX-License-Identifier: MIT
#include "tools/rec/export.h"

#include "tools/rec/crc32c.h"
#include "tools/rec/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rec_film {
    struct rec_film *next;
    char camera[REC_NAME_SIZE], path[REC_PATH_SIZE];
    struct rec_shape shape;
    const struct rec_media_ops *ops;
    struct rec_media *media;
};

static void make_path(const struct rec_export *self, char out[REC_PATH_SIZE],
                      const struct rec_hit *hit, const char *suffix)
{
    char name[REC_NAME_SIZE], when[REC_TIME_SIZE];
    rec_name_to_file(name, hit->camera);
    rec_time_print(when, (uint64_t)hit->realtime_ns, "%Y%m%dT%H%M%S");
    snprintf(out, REC_PATH_SIZE, "%.600s/%s_%s_%" PRId64 "%s", self->folder, name, when,
             hit->sequence, suffix);
}

/** The picture's bytes on the heap; NULL: they are not there, or changed. */
static uint8_t *read_picture(const struct rec_hit *hit)
{
    int error, fd = open(hit->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    uint8_t *jpeg = NULL;
    if (hit->bytes > 0)
        jpeg = rec_media_read(fd, (uint64_t)hit->offset, (uint64_t)hit->bytes, &error);
    close(fd);
    if (jpeg == NULL || !hit->has_crc || rec_crc32c(jpeg, (size_t)hit->bytes) == hit->crc32c)
        return jpeg;
    free(jpeg);
    return NULL;
}

static bool fail(const char *path, int error)
{
    say("%s: %s", path, strerror(error));
    return false;
}

static bool write_file(const struct rec_export *self, const struct rec_hit *hit,
                       const uint8_t *jpeg)
{
    char path[REC_PATH_SIZE];
    make_path(self, path, hit, ".jpg");
    FILE *file = fopen(path, "wbe");
    bool is_good = file != NULL && fwrite(jpeg, (size_t)hit->bytes, 1, file) == 1;
    if (file != NULL && fclose(file) != 0)
        is_good = false;
    return is_good || fail(path, errno);
}

// --- films ---------------------------------------------------------------------------------------

/** Completes a film and takes it from the list. */
static bool end_film(struct rec_film **place)
{
    struct rec_film *film = *place;
    const int error = film->media != NULL ? film->ops->finish(film->media) : 0;
    if (film->media != NULL)
        film->ops->close(film->media);
    *place = film->next;
    const bool is_good = error == 0 || fail(film->path, -error);
    free(film);
    return is_good;
}

static struct rec_film **find_film(struct rec_export *self, const char *camera)
{
    struct rec_film **place = &self->films;
    while (*place != NULL && strcmp((*place)->camera, camera) != 0)
        place = &(*place)->next;
    return place;
}

static bool begin_film(struct rec_export *self, const struct rec_hit *hit,
                       const struct pinhole_frame *frame, const struct rec_shape *shape)
{
    struct rec_film *film = calloc(1, sizeof *film);
    if (film == NULL)
        return fail(self->folder, ENOMEM);
    film->ops = rec_media_of(self->container);
    film->shape = *shape;
    snprintf(film->camera, sizeof film->camera, "%s", hit->camera);
    make_path(self, film->path, hit, film->ops->suffix);
    film->next = self->films;
    self->films = film;
    unlink(film->path); // as a picture's file is overwritten
    const int error = film->ops->open(&film->media, AT_FDCWD, film->path, hit->camera, frame);
    if (error == 0)
        return true;
    film->media = NULL;
    fail(film->path, -error);
    end_film(&self->films);
    return false;
}

static bool add_to_film(struct rec_export *self, const struct rec_hit *hit, const uint8_t *jpeg)
{
    struct rec_shape shape;
    struct rec_place ignored;
    struct rec_film **place = find_film(self, hit->camera);
    if (!rec_shape_read(jpeg, (size_t)hit->bytes, &shape)) {
        say("%s: the picture at %" PRId64 " has no header", hit->path, hit->offset);
        return false;
    }
    const struct pinhole_frame frame = {.jpeg = jpeg,
                                        .jpeg_bytes = (size_t)hit->bytes,
                                        .width = shape.width,
                                        .height = shape.height,
                                        .timestamp_ns = (uint64_t)hit->realtime_ns,
                                        .realtime_ns = (uint64_t)hit->realtime_ns};
    bool is_good = true;
    if (*place != NULL && !rec_shape_equals(&(*place)->shape, &shape)) {
        is_good = end_film(place);
        place = find_film(self, hit->camera);
    }
    if (*place == NULL) {
        if (!begin_film(self, hit, &frame, &shape))
            return false;
        place = &self->films;
    }
    struct rec_film *film = *place;
    const int error = film->ops->write(film->media, &frame, &ignored);
    if (error == 0)
        return is_good;
    fail(film->path, -error);
    film->ops->close(film->media); // after a failed write nothing else may follow
    film->media = NULL;
    end_film(place);
    return false;
}

// --- the outside ---------------------------------------------------------------------------------

bool rec_export_put(struct rec_export *self, const struct rec_hit *hit)
{
    uint8_t *jpeg = read_picture(hit);
    if (jpeg == NULL) {
        say("%s: the picture at %" PRId64 " is not there, or damaged", hit->path, hit->offset);
        return false;
    }
    const bool is_good =
        self->container == REC_JPEG ? write_file(self, hit, jpeg) : add_to_film(self, hit, jpeg);
    free(jpeg);
    return is_good;
}

bool rec_export_end(struct rec_export *self)
{
    bool is_good = true;
    while (self->films != NULL)
        is_good = end_film(&self->films) && is_good;
    return is_good;
}
