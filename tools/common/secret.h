// SPDX-License-Identifier: MIT
// Secrets come from files, never from the command line.
#ifndef PINHOLE_TOOLS_COMMON_SECRET_H
#define PINHOLE_TOOLS_COMMON_SECRET_H

#include <stddef.h>

/** Reads the first line of a secret's file into `out` without its line end: `path`, or the systemd
 * credential `credential` when path is "". 0; -ENOENT when neither is there; -EINVAL with a
 * sentence in `why`. */
int secret_read(const char *path, const char *credential, char *out, size_t bytes, char *why,
                size_t why_bytes);

#endif
