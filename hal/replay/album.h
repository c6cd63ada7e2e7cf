// SPDX-License-Identifier: MIT
// All photographs of the replay camera, decoded side by side in one mapping of bounded size.
#ifndef PINHOLE_HAL_REPLAY_ALBUM_H
#define PINHOLE_HAL_REPLAY_ALBUM_H

#include "hal/fake/canvas.h"
#include "hal/replay/folder.h"

#define REPLAY_ALBUM_BYTES_DEFAULT (UINT64_C(512) << 20)

struct replay_photo {
    struct canvas picture; /**< raw formats: at least as large as the frame */
    const uint8_t *jpeg;   /**< MJPEG */
    uint32_t jpeg_bytes;
};

struct replay_album {
    uint8_t *map; /**< NULL = nothing loaded */
    size_t map_bytes;
    unsigned count;
    struct replay_photo photo[REPLAY_PHOTOS_MAX];
};

/** The size of the first photograph whose header can be read, made even. Names in the log what it
 * passes over. 0 or -ENODATA when there is none. */
int replay_album_first_size(const struct replay_folder *folder, const char *path, uint32_t *width,
                            uint32_t *height);

/** Decodes everything in `folder` for frames of the configured size and format. Raw: smaller
 * photographs are centred on mid grey, larger ones keep their size. MJPEG: takes files of exactly
 * that size. What is broken, does not match or does not fit into config->memory_bytes is named in
 * the log and left out. 0, -ENOMEM, or -ENODATA when nothing is left. */
int replay_album_load(struct replay_album *album, const struct replay_folder *folder,
                      const char *path, const struct hal_camera_config *config);

void replay_album_unload(struct replay_album *album);

#endif
