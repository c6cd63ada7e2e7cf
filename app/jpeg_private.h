// SPDX-License-Identifier: MIT
// What the encoder's own files share. Nobody else includes this: it brings libjpeg's names along.
#ifndef PINHOLE_APP_JPEG_PRIVATE_H
#define PINHOLE_APP_JPEG_PRIVATE_H

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "app/jpeg.h"

#define JPEG_ARENA_BYTES (24u * 1024u)
#define JPEG_EXIF_BYTES  512u
/** 16 rows of luma and twice 8 of chroma, at the greatest width. */
#define JPEG_SCRATCH_BYTES (HAL_CAMERA_DIMENSION_MAX * 24u)

/** A jpeg_memory_mgr over one fixed range. What lives as long as the encoder grows from the bottom,
 * what lives for one picture from the top, and is dropped as a whole when the picture ends. */
struct jpeg_arena {
    struct jpeg_memory_mgr manager; // first: libjpeg hands back a pointer to it
    uint8_t *base;                  // 64-byte aligned, for the widest vector unit
    uint32_t bytes, bottom, top, used_max;
};

/** Prepares the arena; `arena->manager` is then what cinfo->mem may point at. */
void jpeg_arena_init(struct jpeg_arena *arena, uint8_t *base, uint32_t bytes);

/** The picture's planes and the scratch that feeds libjpeg 8 or 16 rows at a time. */
struct jpeg_input {
    enum hal_pixel_format format;
    uint32_t width, height;
    struct hal_plane plane[HAL_CAMERA_PLANES_MAX];
    uint32_t mcu_rows;      // luma rows per MCU row: 16 for 4:2:0, else 8
    uint32_t chroma_rows;   // chroma rows per MCU row; 0 for GREY
    uint32_t luma_stride;   // of the scratch
    uint32_t chroma_stride; // of the scratch
    uint8_t *scratch;       // JPEG_SCRATCH_BYTES
    JSAMPROW luma[16], u[8], v[8];
};

/** Takes over the frame. -EINVAL when format, size, strides or planes cannot be encoded. */
int jpeg_input_init(struct jpeg_input *input, const struct hal_frame *frame,
                    enum jpeg_chroma chroma, uint8_t *scratch);
/** Points luma, u and v at the MCU row that begins at luma row `row`. */
void jpeg_input_fill(struct jpeg_input *input, uint32_t row);

/** Writes the payload of an APP1 marker into `out` (JPEG_EXIF_BYTES). Returns its length. */
uint32_t jpeg_exif_build(uint8_t *out, const struct jpeg_exif *exif);

#endif
