// SPDX-License-Identifier: MIT
// What the recorder needs to know of a JPEG: its shape and its checksum. Pure functions.
#ifndef PINHOLE_TOOLS_REC_PICTURE_H
#define PINHOLE_TOOLS_REC_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REC_COMPONENTS_MAX = 4 };

/** What a frame's header (ITU T.81, SOF) says. A player takes one shape for a whole file. */
struct rec_shape {
    uint16_t width, height;
    uint8_t process; /**< the low byte of the SOF marker: 0xC0 baseline, 0xC2 progressive */
    uint8_t components;
    uint8_t sampling[REC_COMPONENTS_MAX]; /**< of each: horizontal << 4 | vertical */
};

/** Finds the frame header. False: there is none before the first scan, or it is malformed. */
bool rec_shape_read(const uint8_t *jpeg, size_t bytes, struct rec_shape *out);
bool rec_shape_equals(const struct rec_shape *a, const struct rec_shape *b);
/** Writes "4:2:0", "4:2:2", "4:4:4", "grey", or "HxV,HxV,..." for what has no such name. */
const char *rec_sampling_name(const struct rec_shape *shape, char *out, size_t size);

#endif
