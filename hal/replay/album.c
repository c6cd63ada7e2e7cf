// SPDX-License-Identifier: MIT
#include "hal/replay/album.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hal/os/log.h"
#include "hal/replay/jpeg.h"

#define GREY 128

/** One file in memory of its own while it is being decoded. */
struct file {
    uint8_t *data;
    size_t bytes;
};

static const char *describe(int error)
{
    return error == -ENODATA  ? "empty or cut short"
           : error == -EINVAL ? "not a regular file"
                              : strerror(-error);
}

static int load_file(struct file *file, const char *folder, const char *name)
{
    int fd = replay_file_open(folder, name, &file->bytes);
    if (fd < 0)
        return fd;
    void *map = mmap(NULL, file->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int error = map == MAP_FAILED ? -ENOMEM : replay_file_read(fd, map, file->bytes);
    close(fd);
    if (error && map != MAP_FAILED)
        munmap(map, file->bytes);
    file->data = map;
    return error;
}

static int skip(const char *folder, const char *name, const char *reason)
{
    log_warning("replay: %s/%s is left out: %s", folder, name, reason);
    return -EINVAL;
}

static int probe(const char *folder, const char *name, struct file *file, uint32_t *width,
                 uint32_t *height)
{
    char reason[REPLAY_JPEG_ERROR_BYTES];
    int error = load_file(file, folder, name);
    if (error)
        return skip(folder, name, describe(error));
    if (replay_jpeg_probe(file->data, file->bytes, width, height, reason) == 0)
        return 0;
    munmap(file->data, file->bytes);
    return skip(folder, name, reason);
}

int replay_album_first_size(const struct replay_folder *folder, const char *path, uint32_t *width,
                            uint32_t *height)
{
    for (unsigned i = 0; i < folder->count; i++) {
        struct file file;
        if (probe(path, replay_folder_name(folder, i), &file, width, height) != 0)
            continue;
        munmap(file.data, file.bytes);
        *width &= ~1u;
        *height &= ~1u;
        return 0;
    }
    return -ENODATA;
}

static void fill_grey(struct canvas *canvas)
{
    canvas_fill(canvas, (struct canvas_rect){0, 0, (int32_t)canvas->width, (int32_t)canvas->height},
                (struct canvas_colour){GREY, GREY, GREY});
}

/** Decodes into `room` bytes at `to`. Returns the bytes used, 0 when the file is left out. */
static size_t add_picture(struct replay_photo *photo, const char *path, const char *name,
                          const struct file *file, struct canvas picture, uint8_t *to, size_t room)
{
    char reason[REPLAY_JPEG_ERROR_BYTES];
    uint32_t stride = (canvas_row_bytes(picture.format, picture.width) + 63) & ~63u;
    size_t bytes = canvas_layout(&picture, to, stride);
    if (bytes > room) {
        skip(path, name, "no room left in the memory allowed for photographs");
        return 0;
    }
    fill_grey(&picture);
    if (replay_jpeg_decode(file->data, file->bytes, &picture, room, reason) != 0) {
        skip(path, name, reason);
        return 0;
    }
    photo->picture = picture;
    return bytes;
}

static size_t add_jpeg(struct replay_photo *photo, const char *path, const char *name,
                       const struct file *file, uint8_t *to, size_t room)
{
    char reason[REPLAY_JPEG_ERROR_BYTES];
    size_t bytes = (file->bytes + 63) & ~(size_t)63;
    if (bytes > room) {
        skip(path, name, "no room left in the memory allowed for photographs");
        return 0;
    }
    if (replay_jpeg_decode(file->data, file->bytes, NULL, room, reason) != 0) {
        skip(path, name, reason);
        return 0;
    }
    memcpy(to, file->data, file->bytes);
    photo->jpeg = to;
    photo->jpeg_bytes = (uint32_t)file->bytes;
    return bytes;
}

static size_t add(struct replay_photo *photo, const char *path, const char *name,
                  const struct hal_camera_config *config, uint8_t *to, size_t room)
{
    struct file file;
    uint32_t width, height;
    size_t used = 0;
    if (probe(path, name, &file, &width, &height) != 0)
        return 0;
    *photo = (struct replay_photo){0};
    if (config->format != HAL_PIXEL_MJPEG) {
        // At least the frame; the photograph itself where that is larger.
        struct canvas picture = {
            .format = config->format,
            .width = (width & ~1u) > config->width ? width & ~1u : config->width,
            .height = (height & ~1u) > config->height ? height & ~1u : config->height};
        used = add_picture(photo, path, name, &file, picture, to, room);
    } else if (width != config->width || height != config->height) {
        skip(path, name, "MJPEG is passed on as it is, and this has not the size of the others");
    } else {
        used = add_jpeg(photo, path, name, &file, to, room);
    }
    munmap(file.data, file.bytes);
    return used;
}

int replay_album_load(struct replay_album *album, const struct replay_folder *folder,
                      const char *path, const struct hal_camera_config *config)
{
    uint64_t limit = config->memory_bytes ? config->memory_bytes : REPLAY_ALBUM_BYTES_DEFAULT;
    replay_album_unload(album);
    if (limit > SIZE_MAX)
        return -ENOMEM;
    void *map = mmap(NULL, (size_t)limit, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return -ENOMEM;
    album->map = map;
    album->map_bytes = (size_t)limit;
    size_t used = 0;
    for (unsigned i = 0; i < folder->count; i++) {
        size_t bytes = add(&album->photo[album->count], path, replay_folder_name(folder, i), config,
                           album->map + used, album->map_bytes - used);
        used += bytes;
        album->count += bytes != 0;
    }
    if (album->count == 0) {
        replay_album_unload(album);
        return -ENODATA;
    }
    // What a file left out had written past `used` goes with the rest.
    void *kept = mremap(album->map, album->map_bytes, used, 0);
    if (kept != MAP_FAILED)
        album->map_bytes = used;
    return 0;
}

void replay_album_unload(struct replay_album *album)
{
    if (album->map != NULL)
        munmap(album->map, album->map_bytes);
    album->map = NULL;
    album->count = 0;
}
