// SPDX-License-Identifier: MIT
// The photographs of a folder: their names in order, their bytes. Without the heap, so without
// opendir(3).
#ifndef PINHOLE_HAL_REPLAY_FOLDER_H
#define PINHOLE_HAL_REPLAY_FOLDER_H

#include "hal/base.h"

#define REPLAY_PHOTOS_MAX      1024
#define REPLAY_NAMES_BYTES_MAX (64 * 1024)
#define REPLAY_FILE_BYTES_MAX  (128u * 1024 * 1024)

struct replay_folder {
    unsigned count;
    unsigned left_out; /**< names beyond REPLAY_PHOTOS_MAX or REPLAY_NAMES_BYTES_MAX */
    uint32_t name[REPLAY_PHOTOS_MAX]; /**< where each begins in `names`; sorted bytewise */
    uint32_t names_bytes;
    char names[REPLAY_NAMES_BYTES_MAX];
};

/** Lists *.jpg and *.jpeg, in either case, without subfolders. 0 or -errno of the folder. */
int replay_folder_list(struct replay_folder *folder, const char *path);

const char *replay_folder_name(const struct replay_folder *folder, unsigned index);

/** A file's size, opened for reading: the descriptor, which the caller closes, or -errno. -EFBIG
 * past REPLAY_FILE_BYTES_MAX, -EINVAL for what is no regular file, -ENODATA for an empty one. */
int replay_file_open(const char *folder, const char *name, size_t *bytes);

/** Reads exactly so many bytes. 0, -errno, or -ENODATA when the file has become shorter. */
int replay_file_read(int fd, uint8_t *out, size_t bytes);

#endif
