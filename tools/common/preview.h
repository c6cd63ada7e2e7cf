// SPDX-License-Identifier: MIT
// A smaller picture of a JPEG: decoded at n/8 of its size in the DCT domain, then encoded.
#ifndef PINHOLE_TOOLS_COMMON_PREVIEW_H
#define PINHOLE_TOOLS_COMMON_PREVIEW_H

#include <stddef.h>
#include <stdint.h>

/** Larger pictures are refused: twice the pixels of the largest sensor for a Raspberry Pi. */
#define PREVIEW_PIXELS_MAX (UINT64_C(1) << 27)

/** The largest n/8 of the picture, n = 1 to 8, whose width is at most `width`; 1/8 if none is.
 * Returns a JPEG that the caller frees, or NULL: no JPEG, too large, or out of memory. Decoding
 * takes 64 MB at most, beside the result's pixels. Any thread. */
uint8_t *preview_make(const uint8_t *jpeg, size_t jpeg_bytes, unsigned width, unsigned quality,
                      size_t *bytes);

#endif
