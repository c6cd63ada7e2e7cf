// SPDX-License-Identifier: MIT
// Text into a bounded buffer: answers to requests.
#ifndef PINHOLE_APP_REPLY_H
#define PINHOLE_APP_REPLY_H

#include "hal/base.h"

/** `data` has `size` bytes and always ends with a 0; `used` does not count it. */
struct reply {
    char *data;
    size_t size, used;
};

/** An empty reply in `data` of `size` (> 0) bytes. */
struct reply reply_begin(char *data, size_t size);
/** Appends; what does not fit whole is left out, so a line is there or not. */
void reply_add(struct reply *reply, const char *format, ...) BASE_PRINTF(2, 3);

#endif
