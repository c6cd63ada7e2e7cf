// SPDX-License-Identifier: MIT
// Parting interleaved rows into planes: pure functions over bytes. Each exists twice, for the
// machine's vector unit (SSE2, NEON) and portable; both give the same bytes.
#ifndef PINHOLE_APP_JPEG_UNPACK_H
#define PINHOLE_APP_JPEG_UNPACK_H

#include "hal/base.h"

/** One row of `pairs` interleaved U V bytes into two rows of `pairs` bytes. */
void jpeg_unpack_uv(const uint8_t *uv, uint8_t *u, uint8_t *v, uint32_t pairs);
void jpeg_unpack_uv_portable(const uint8_t *uv, uint8_t *u, uint8_t *v, uint32_t pairs);

/** One row of `pairs` groups Y0 U Y1 V into 2 x pairs luma and pairs of each chroma. */
void jpeg_unpack_yuyv(const uint8_t *yuyv, uint8_t *y, uint8_t *u, uint8_t *v, uint32_t pairs);
void jpeg_unpack_yuyv_portable(const uint8_t *yuyv, uint8_t *y, uint8_t *u, uint8_t *v,
                               uint32_t pairs);

/** Two rows of YUYV into two rows of luma and one of each chroma, averaged over the two. The halves
 * round down in even columns and up in odd ones, as libjpeg's own downsampling does, so that no
 * colour drifts. */
void jpeg_unpack_yuyv2(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u, uint8_t *v,
                       uint32_t pairs);
void jpeg_unpack_yuyv2_portable(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u,
                                uint8_t *v, uint32_t pairs);

/** The mean of two samples as jpeg_unpack_yuyv2() takes it. */
static inline uint8_t jpeg_unpack_mean(uint8_t a, uint8_t b, uint32_t column)
{
    return (uint8_t)((a + b + (column & 1)) >> 1);
}

/** "SSE2", "NEON" or "portable": what the first of each pair uses. */
const char *jpeg_unpack_variant(void);

#endif
