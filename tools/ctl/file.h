// SPDX-License-Identifier: MIT
// File names from a pattern, and files that appear whole or not at all.
#ifndef PINHOLE_TOOLS_CTL_FILE_H
#define PINHOLE_TOOLS_CTL_FILE_H

#include "net/client/pinhole.h"

#define CTL_PATH_MAX 4096

/** Makes the pattern that -o asks for: NULL is the default name, a folder gets the default name in
 * it. 0, -EINVAL (an unknown %), -ENAMETOOLONG. */
int ctl_file_pattern(const char *wish, char *out, size_t size);
/** Makes the folder that -o names by a '/' at its end, unless it is there; of the others nothing
 * has to be made. 0 or -errno. */
int ctl_file_folder(const char *wish);
/** Fills in %d frame number, %q sequence, %t trigger id (each with a width, %06d), %T capture time
 * in UTC, %% a percent sign. Nothing of the pattern ever reaches printf as a format. */
int ctl_file_name(const char *pattern, const struct pinhole_frame *frame, char *out, size_t size);
/** Writes a file under a temporary name beside it and renames it. 0 or -errno. */
int ctl_file_save(const char *path, const void *bytes, size_t count);
/** Writes all of it. 0 or -errno. */
int ctl_file_write(int fd, const void *bytes, size_t count);

#endif
