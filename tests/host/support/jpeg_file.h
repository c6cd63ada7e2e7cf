// SPDX-License-Identifier: MIT
// JPEG files for tests, made and read in memory with plain libjpeg: independent of the encoder that
// is being tested.
#ifndef PINHOLE_TEST_SUPPORT_JPEG_FILE_H
#define PINHOLE_TEST_SUPPORT_JPEG_FILE_H

#include "hal/camera.h"

enum jpeg_file_kind { JPEG_FILE_420, JPEG_FILE_444, JPEG_FILE_GREY, JPEG_FILE_RGB, JPEG_FILE_CMYK };

struct jpeg_file {
    uint8_t *data; /**< the caller frees it */
    size_t bytes;
};

/** Encodes `pixels`: per pixel Y Cb Cr (420, 444), grey, R G B or C M Y K bytes, without padding.
 */
struct jpeg_file jpeg_file_encode(enum jpeg_file_kind kind, uint32_t width, uint32_t height,
                                  const uint8_t *pixels, int quality, bool is_progressive);

/** Encodes a camera frame as 4:2:0 (GREY: grey). */
struct jpeg_file jpeg_file_of_frame(const struct hal_frame *frame, int quality);

/** A picture of one colour, or with `texture` of coarse blocks around it. */
struct jpeg_file jpeg_file_plain(enum jpeg_file_kind kind, uint32_t width, uint32_t height,
                                 const uint8_t colour[4], bool has_texture);

/** The luma plane, width x height, which the caller frees. A broken file fails the case. */
uint8_t *jpeg_file_luma(const struct jpeg_file *file, uint32_t *width, uint32_t *height);

void jpeg_file_write(const char *folder, const char *name, const void *data, size_t bytes);

#endif
