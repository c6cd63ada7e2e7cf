// SPDX-License-Identifier: MIT
// Photographs for the replay camera: JPEG files into raw planes. The only part of the HAL that
// knows libjpeg, which uses the heap; nothing here runs between start() and stop().
//
// Input is untrusted. Whatever libjpeg warns about (cut short, damaged) is an error here.
#ifndef PINHOLE_HAL_REPLAY_JPEG_H
#define PINHOLE_HAL_REPLAY_JPEG_H

#include "hal/fake/canvas.h"

#define REPLAY_JPEG_ERROR_BYTES 256

/** Reads the header. 0 with the size, or -EINVAL with the reason: no JPEG, wider or taller than
 * HAL_CAMERA_DIMENSION_MAX, smaller than 2x2, CMYK. */
int replay_jpeg_probe(const uint8_t *jpeg, size_t bytes, uint32_t *width, uint32_t *height,
                      char error[REPLAY_JPEG_ERROR_BYTES]);

/** Decodes into the middle of `canvas` (even offsets; an odd last row or column is left out), which
 * must be at least that large. YCbCr values are passed on as stored; only chroma is averaged where
 * the format has less of it. NULL decodes just to see whether the file is sound. libjpeg may use up
 * to `memory_bytes` meanwhile, 0 = no limit. 0, or -EINVAL with the reason, the canvas then being
 * undefined. */
int replay_jpeg_decode(const uint8_t *jpeg, size_t bytes, struct canvas *canvas,
                       uint64_t memory_bytes, char error[REPLAY_JPEG_ERROR_BYTES]);

#endif
