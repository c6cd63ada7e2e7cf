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
/** Fills in %d frame number, %q sequence, %t trigger id (each with a width, %06d), %b boot id, %T
 * capture time in UTC, %% a percent sign. Nothing of the pattern ever reaches printf as a format.
 */
int ctl_file_name(const char *pattern, const struct pinhole_frame *frame, char *out, size_t size);

/** What happens when there is a file of that name already. */
enum ctl_file_clash {
    CTL_FILE_REPLACE,
    CTL_FILE_REFUSE,     /**< -EEXIST */
    CTL_FILE_TAKE_OTHER, /**< the first of "NAME~2", "NAME~3", ... before the suffix that is free */
};
/** Writes a file under a temporary name beside it and renames it. `path`, of CTL_PATH_MAX bytes,
 * becomes the name that it got. A device or a FIFO is written to. 0 or -errno. */
int ctl_file_save(char *path, enum ctl_file_clash clash, const void *bytes, size_t count);
/** Writes all of it. 0 or -errno. */
int ctl_file_write(int fd, const void *bytes, size_t count);

#endif
