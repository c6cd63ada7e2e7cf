// SPDX-License-Identifier: MIT
#include "app/jpeg/private.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

void jpeg_unpack_uv_portable(const uint8_t *uv, uint8_t *u, uint8_t *v, uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs; i++) {
        u[i] = uv[2 * i];
        v[i] = uv[2 * i + 1];
    }
}

void jpeg_unpack_yuyv_portable(const uint8_t *yuyv, uint8_t *y, uint8_t *u, uint8_t *v,
                               uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs; i++) {
        y[2 * i] = yuyv[4 * i];
        u[i] = yuyv[4 * i + 1];
        y[2 * i + 1] = yuyv[4 * i + 2];
        v[i] = yuyv[4 * i + 3];
    }
}

/** From the pair `first` on; the vector twin leaves its remainder to this. */
static void yuyv2_from(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u, uint8_t *v,
                       uint32_t first, uint32_t pairs)
{
    for (uint32_t i = first; i < pairs; i++) {
        const uint8_t *a = yuyv[0] + 4 * i, *b = yuyv[1] + 4 * i;
        y[0][2 * i] = a[0];
        y[0][2 * i + 1] = a[2];
        y[1][2 * i] = b[0];
        y[1][2 * i + 1] = b[2];
        u[i] = jpeg_unpack_mean(a[1], b[1], i);
        v[i] = jpeg_unpack_mean(a[3], b[3], i);
    }
}

void jpeg_unpack_yuyv2_portable(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u,
                                uint8_t *v, uint32_t pairs)
{
    yuyv2_from(yuyv, y, u, v, 0, pairs);
}

#if defined(__SSE2__)

const char *jpeg_unpack_variant(void)
{
    return "SSE2";
}

static __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static void store(uint8_t *p, __m128i value)
{
    _mm_storeu_si128((__m128i *)(void *)p, value);
}

static __m128i evens(__m128i low, __m128i high)
{
    const __m128i mask = _mm_set1_epi16(0x00ff);
    return _mm_packus_epi16(_mm_and_si128(low, mask), _mm_and_si128(high, mask));
}

static __m128i odds(__m128i low, __m128i high)
{
    return _mm_packus_epi16(_mm_srli_epi16(low, 8), _mm_srli_epi16(high, 8));
}

void jpeg_unpack_uv(const uint8_t *uv, uint8_t *u, uint8_t *v, uint32_t pairs)
{
    uint32_t i = 0;
    for (; i + 16 <= pairs; i += 16) {
        __m128i low = load(uv + 2 * i), high = load(uv + 2 * i + 16);
        store(u + i, evens(low, high));
        store(v + i, odds(low, high));
    }
    jpeg_unpack_uv_portable(uv + 2 * i, u + i, v + i, pairs - i);
}

/** 16 pairs: 64 bytes in; luma stored; U V still interleaved in *low and *high. */
static void part_luma(const uint8_t *yuyv, uint8_t *y, __m128i *low, __m128i *high)
{
    __m128i a = load(yuyv), b = load(yuyv + 16), c = load(yuyv + 32), d = load(yuyv + 48);
    store(y, evens(a, b));
    store(y + 16, evens(c, d));
    *low = odds(a, b);
    *high = odds(c, d);
}

void jpeg_unpack_yuyv(const uint8_t *yuyv, uint8_t *y, uint8_t *u, uint8_t *v, uint32_t pairs)
{
    uint32_t i = 0;
    for (; i + 16 <= pairs; i += 16) {
        __m128i low, high;
        part_luma(yuyv + 4 * i, y + 2 * i, &low, &high);
        store(u + i, evens(low, high));
        store(v + i, odds(low, high));
    }
    jpeg_unpack_yuyv_portable(yuyv + 4 * i, y + 2 * i, u + i, v + i, pairs - i);
}

/** PAVGB rounds halves up; take the half back in even columns. U V alternate here, so an even
 * column is bytes 0 and 1 of four. */
static __m128i mean16(__m128i a, __m128i b)
{
    const __m128i half_in_even = _mm_set1_epi32(0x00000101);
    __m128i half = _mm_and_si128(_mm_xor_si128(a, b), half_in_even);
    return _mm_sub_epi8(_mm_avg_epu8(a, b), half);
}

void jpeg_unpack_yuyv2(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u, uint8_t *v,
                       uint32_t pairs)
{
    uint32_t i = 0;
    for (; i + 16 <= pairs; i += 16) {
        __m128i low[2], high[2];
        part_luma(yuyv[0] + 4 * i, y[0] + 2 * i, &low[0], &high[0]);
        part_luma(yuyv[1] + 4 * i, y[1] + 2 * i, &low[1], &high[1]);
        __m128i l = mean16(low[0], low[1]), h = mean16(high[0], high[1]);
        store(u + i, evens(l, h));
        store(v + i, odds(l, h));
    }
    yuyv2_from(yuyv, y, u, v, i, pairs);
}

#elif defined(__ARM_NEON)

const char *jpeg_unpack_variant(void)
{
    return "NEON";
}

void jpeg_unpack_uv(const uint8_t *uv, uint8_t *u, uint8_t *v, uint32_t pairs)
{
    uint32_t i = 0;
    for (; i + 16 <= pairs; i += 16) {
        uint8x16x2_t both = vld2q_u8(uv + 2 * i);
        vst1q_u8(u + i, both.val[0]);
        vst1q_u8(v + i, both.val[1]);
    }
    jpeg_unpack_uv_portable(uv + 2 * i, u + i, v + i, pairs - i);
}

void jpeg_unpack_yuyv(const uint8_t *yuyv, uint8_t *y, uint8_t *u, uint8_t *v, uint32_t pairs)
{
    uint32_t i = 0;
    for (; i + 16 <= pairs; i += 16) {
        uint8x16x4_t in = vld4q_u8(yuyv + 4 * i);
        uint8x16x2_t luma = {{in.val[0], in.val[2]}};
        vst2q_u8(y + 2 * i, luma);
        vst1q_u8(u + i, in.val[1]);
        vst1q_u8(v + i, in.val[3]);
    }
    jpeg_unpack_yuyv_portable(yuyv + 4 * i, y + 2 * i, u + i, v + i, pairs - i);
}

/** VRHADD rounds halves up; take the half back in even columns. */
static uint8x16_t mean16(uint8x16_t a, uint8x16_t b)
{
    const uint8x16_t half_in_even = vreinterpretq_u8_u16(vdupq_n_u16(0x0001));
    return vsubq_u8(vrhaddq_u8(a, b), vandq_u8(veorq_u8(a, b), half_in_even));
}

void jpeg_unpack_yuyv2(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u, uint8_t *v,
                       uint32_t pairs)
{
    uint32_t i = 0;
    for (; i + 16 <= pairs; i += 16) {
        uint8x16x4_t a = vld4q_u8(yuyv[0] + 4 * i), b = vld4q_u8(yuyv[1] + 4 * i);
        vst2q_u8(y[0] + 2 * i, (uint8x16x2_t){{a.val[0], a.val[2]}});
        vst2q_u8(y[1] + 2 * i, (uint8x16x2_t){{b.val[0], b.val[2]}});
        vst1q_u8(u + i, mean16(a.val[1], b.val[1]));
        vst1q_u8(v + i, mean16(a.val[3], b.val[3]));
    }
    yuyv2_from(yuyv, y, u, v, i, pairs);
}

#else

const char *jpeg_unpack_variant(void)
{
    return "portable";
}

void jpeg_unpack_uv(const uint8_t *uv, uint8_t *u, uint8_t *v, uint32_t pairs)
{
    jpeg_unpack_uv_portable(uv, u, v, pairs);
}

void jpeg_unpack_yuyv(const uint8_t *yuyv, uint8_t *y, uint8_t *u, uint8_t *v, uint32_t pairs)
{
    jpeg_unpack_yuyv_portable(yuyv, y, u, v, pairs);
}

void jpeg_unpack_yuyv2(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u, uint8_t *v,
                       uint32_t pairs)
{
    jpeg_unpack_yuyv2_portable(yuyv, y, u, v, pairs);
}

#endif
