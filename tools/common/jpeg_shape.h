// SPDX-License-Identifier: MIT
// The shape of a JPEG: what a reader fixes at the first picture. Some readers of a stream or a file
// show wrong pictures without a word after the shape has changed.
#ifndef PINHOLE_TOOLS_COMMON_JPEG_SHAPE_H
#define PINHOLE_TOOLS_COMMON_JPEG_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Size, components and sampling, as the frame header has them. Zeroed before it is filled. */
struct jpeg_shape {
    uint16_t width, height; /**< pixels */
    uint8_t components;     /**< 1 grey, 3 colour */
    uint8_t sampling[4];    /**< of each component: horizontal in the upper half, vertical */
};

/** Where the marker of the frame header is; 0: there is none. All of the header is there. */
size_t jpeg_frame_header(const uint8_t *jpeg, size_t bytes);
/** Reads the shape from the frame header of a JPEG. False, and a zeroed shape: it has none. */
bool jpeg_shape_read(struct jpeg_shape *out, const uint8_t *jpeg, size_t bytes);
/** Are the two equal? */
bool jpeg_shape_equals(const struct jpeg_shape *a, const struct jpeg_shape *b);

#endif
