// SPDX-License-Identifier: MIT
// JSON for the recorder's sidecar, as text.
#ifndef PINHOLE_TOOLS_COMMON_PRINT_H
#define PINHOLE_TOOLS_COMMON_PRINT_H

#include "net/client/pinhole.h"

#include <stdio.h>

/** Prints a JSON string with its quotes. */
void ctl_json(FILE *out, const char *text);
/** Prints a frame's metadata as members of a JSON object (no braces). */
void ctl_json_frame(FILE *out, const struct pinhole_frame *frame);

#endif
