// SPDX-License-Identifier: MIT
// A frame's metadata as HTTP headers: the same in a stream's parts and with a snapshot.
#ifndef PINHOLE_TOOLS_WEB_HEADERS_H
#define PINHOLE_TOOLS_WEB_HEADERS_H

#include "tools/web/frame.h"

/** Calls `take` for each header. */
void web_headers_each(const struct web_frame *frame,
                      void (*take)(void *context, const char *name, const char *value),
                      void *context);
/** Writes the flags as words with spaces between; "" for none. */
void web_headers_flags(uint32_t flags, char *out, size_t size);

#endif
