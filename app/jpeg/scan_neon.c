// SPDX-License-Identifier: MIT
// The scan for ARM with NEON, which every 64-bit ARM has. Lanes and shifts become constants when
// v_dot() and v_narrow() are inlined, which GCC accepts and clang does not.
#include "app/jpeg/scan_common.h"

#if defined(__aarch64__) && !defined(__clang__)

#include <arm_neon.h>

#define BLOCKS 1

typedef int16x8_t vec;

typedef struct {
    vec a, b;
} pair;

typedef struct {
    int32x4_t low, high;
} wide;

INLINE vec v_load(const uint8_t *a)
{
    return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(a)));
}

INLINE vec v_low(vec a, vec b)
{
    return vzip1q_s16(a, b);
}

INLINE vec v_high(vec a, vec b)
{
    return vzip2q_s16(a, b);
}

INLINE pair v_pair(vec a, vec b)
{
    return (pair){a, b};
}

INLINE wide v_dot(pair p, int at)
{
    int16x8_t f = vld1q_s16(factor + at / 8 * 8);
    return (wide){
        vmlal_laneq_s16(vmull_laneq_s16(vget_low_s16(p.a), f, at % 8), vget_low_s16(p.b), f,
                        at % 8 + 1),
        vmlal_high_laneq_s16(vmull_high_laneq_s16(p.a, f, at % 8), p.b, f, at % 8 + 1),
    };
}

INLINE wide v_sum(wide a, wide b)
{
    return (wide){vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)};
}

INLINE vec v_narrow(wide w, int shift)
{
    return vrshrn_high_n_s32(vrshrn_n_s32(w.low, shift), w.high, shift);
}

// VQDMULH shifts by one bit less than 16, hence half of one factor; rounded up, as the reciprocal
// is, which is exact for sizes below 16384.
INLINE vec v_divide(vec x, const uint16_t *half, const uint16_t *reciprocal, const uint16_t *power)
{
    vec size = vaddq_s16(vabsq_s16(x), vreinterpretq_s16_u16(vld1q_u16(half)));
    vec by = vreinterpretq_s16_u16(vrshrq_n_u16(vld1q_u16(reciprocal), 1));
    vec shifted = vreinterpretq_s16_u16(vshrq_n_u16(vld1q_u16(power), 1));
    vec quotient = vqdmulhq_s16(vqdmulhq_s16(size, by), shifted);
    vec sign = vshrq_n_s16(x, 15);
    return vsubq_s16(veorq_s16(quotient, sign), sign);
}

// Bytes of the coefficient at each place of the zigzag.
#define B(i)                          2 * (i), 2 * (i) + 1
#define EIGHT(a, b, c, d, e, f, g, h) {B(a), B(b), B(c), B(d), B(e), B(f), B(g), B(h)}
static const uint8_t zigzag_bytes[8][16] = {
    EIGHT(0, 1, 8, 16, 9, 2, 3, 10),       EIGHT(17, 24, 32, 25, 18, 11, 4, 5),
    EIGHT(12, 19, 26, 33, 40, 48, 41, 34), EIGHT(27, 20, 13, 6, 7, 14, 21, 28),
    EIGHT(35, 42, 49, 56, 57, 50, 43, 36), EIGHT(29, 22, 15, 23, 30, 37, 44, 51),
    EIGHT(58, 59, 52, 45, 38, 31, 39, 46), EIGHT(53, 60, 61, 54, 47, 55, 62, 63),
};

INLINE uint8x16x4_t four_rows(const vec r[4])
{
    return (uint8x16x4_t){{vreinterpretq_u8_s16(r[0]), vreinterpretq_u8_s16(r[1]),
                           vreinterpretq_u8_s16(r[2]), vreinterpretq_u8_s16(r[3])}};
}

INLINE void v_store(const vec r[8], struct block *block)
{
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bit = vld1q_u8(weights);
    // Beyond the table VQTBL gives 0, and VQTBX keeps the lane.
    uint8x16x4_t top = four_rows(r), bottom = four_rows(r + 4);
    uint8x16_t bits[4];
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        int16x8_t z[2];
        UNROLL
        for (unsigned j = 0; j < 2; j++) {
            uint8x16_t at = vld1q_u8(zigzag_bytes[2 * i + j]);
            uint8x16_t found = vqtbl4q_u8(top, at);
            found = vqtbx4q_u8(found, bottom, vsubq_u8(at, vdupq_n_u8(64)));
            z[j] = vreinterpretq_s16_u8(found);
            vst1q_s16(block->coefficient + 16 * i + 8 * j, z[j]);
        }
        int8x16_t bytes = vcombine_s8(vqmovn_s16(z[0]), vqmovn_s16(z[1]));
        bits[i] = vandq_u8(vtstq_s8(bytes, bytes), bit);
    }
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(bits[0], bits[1]), vpaddq_u8(bits[2], bits[3]));
    block->nonzero = vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

#include "app/jpeg/scan_row.h"

static bool is_supported(void)
{
    return true;
}

const struct jpeg_scan_variant jpeg_scan_neon = {"NEON", code_row, is_supported};

#else

const struct jpeg_scan_variant jpeg_scan_neon = {"NEON", NULL, NULL};

#endif
