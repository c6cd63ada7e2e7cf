// SPDX-License-Identifier: MIT
// The body of POST /features, as JSON or as a form, turned into the node's "Name=value" lines.
#ifndef PINHOLE_TOOLS_WEB_FORM_H
#define PINHOLE_TOOLS_WEB_FORM_H

#include <stddef.h>

/** Reads `body` (0-terminated) as one flat JSON object when its first character is '{', else as
 * Name=value&Name=value with %-escapes. 0, or -1 with a sentence in `why`. */
int web_form_read(const char *body, char *lines, size_t lines_size, char *why, size_t why_size);

#endif
