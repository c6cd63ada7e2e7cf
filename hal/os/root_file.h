// SPDX-License-Identifier: MIT
// Small files of the system, below a root of the caller's choice, so that tests have their own.
#ifndef PINHOLE_HAL_OS_ROOT_FILE_H
#define PINHOLE_HAL_OS_ROOT_FILE_H

#include <sys/types.h>

#include "hal/base.h"

#define ROOT_FILE_PATH_BYTES 256

/** Reads the first `size` bytes of `root` + `path`, without a 0 at the end. `path` is absolute;
 * root "" is the system's own. Returns how many, or -errno. */
ssize_t root_file_read(const char *root, const char *path, char *data, size_t size);

#endif
