// SPDX-License-Identifier: MIT
// Drawing into a picture of any raw format: rectangles, text, copies. Everything is clipped to the
// picture. Mirroring happens here, so that what draws need not know of it.
#ifndef PINHOLE_HAL_FAKE_CANVAS_H
#define PINHOLE_HAL_FAKE_CANVAS_H

#include "hal/camera.h"

/** One picture in memory that the caller owns. Width and height are even. */
struct canvas {
    enum hal_pixel_format format; /**< YUV420, NV12, YUYV or GREY */
    uint32_t width, height;
    bool hflip, vflip;
    uint8_t *data[HAL_CAMERA_PLANES_MAX];
    uint32_t stride[HAL_CAMERA_PLANES_MAX]; /**< 0 for a plane that the format lacks */
    uint32_t rows[HAL_CAMERA_PLANES_MAX];
};

struct canvas_rect {
    int32_t x, y, w, h;
};

struct canvas_colour {
    uint8_t y, u, v;
};

#define CANVAS_GLYPH_ROWS    7
#define CANVAS_GLYPH_COLUMNS 5
#define CANVAS_GLYPH_PITCH   6 /**< columns from glyph to glyph */

/** Bytes of one row of the first plane. */
uint32_t canvas_row_bytes(enum hal_pixel_format format, uint32_t width);

/** Sets strides and row counts for `luma_stride` (>= canvas_row_bytes(), chroma of YUV420 gets half
 * of it) and, with `base` not NULL, the plane pointers. Returns the bytes the picture needs, a
 * multiple of 64. format, width and height must be set. */
size_t canvas_layout(struct canvas *canvas, uint8_t *base, uint32_t luma_stride);

/** Full-range BT.601. */
struct canvas_colour canvas_rgb(uint32_t red, uint32_t green, uint32_t blue);

/** Fills; edges are rounded down to even pixels, so that neighbours meet without a seam. */
void canvas_fill(struct canvas *canvas, struct canvas_rect rect, struct canvas_colour colour);

/** Sets luma only, to the pixel. */
void canvas_fill_luma(struct canvas *canvas, struct canvas_rect rect, uint8_t luma);

/** Copies the same rectangle (edges widened to even pixels) from a picture of the same format, size
 * and strides. */
void canvas_copy(struct canvas *to, const struct canvas *from, struct canvas_rect rect);

/** The seven rows of a glyph, five bits each, leftmost pixel in bit 4. Blank for what the font
 * lacks; it has A-Z, 0-9 and `.:-/+%`. */
const uint8_t *canvas_glyph(char c);

/** Writes one line of text in luma, each font pixel `scale` pixels square. */
void canvas_text(struct canvas *canvas, int32_t x, int32_t y, int32_t scale, const char *text,
                 uint8_t luma);

#endif
