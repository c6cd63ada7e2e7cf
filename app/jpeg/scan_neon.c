// SPDX-License-Identifier: MIT
// The scan for ARM with NEON: every 64-bit ARM has it, and most 32-bit ones do, which is seen at
// run time. Lanes and shifts become constants when v_odd() and the like are inlined, which GCC
// accepts and clang does not.
#include "app/jpeg/scan_common.h"

#if (defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 6)) && !defined(__clang__)

#if defined(__arm__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

#pragma GCC target("arch=armv7-a+simd")
#endif
#include <arm_neon.h>

#define BLOCKS        1
#define PRODUCT_SHIFT 15 /**< VQDMULH doubles */

typedef int16x8_t vec;

struct halves {
    vec sum[4], difference[4];
};

typedef struct {
    int32x4_t low, high;
} wide;

INLINE vec sum_of(uint8x8_t a, uint8x8_t b)
{
    return vreinterpretq_s16_u16(vaddl_u8(a, b));
}

INLINE vec difference_of(uint8x8_t a, uint8x8_t b)
{
    return vreinterpretq_s16_u16(vsubl_u8(a, b));
}

#if defined(__aarch64__)

// ---- 64 bits ----

#define STEP(pointer, count) ((pointer) += (count))

/** The first butterfly of rows that are interleaved with the fourth row after them. */
INLINE void butterfly(const uint8x16_t rows[4], struct halves *h)
{
    uint8x16_t a = vzip1q_u8(rows[0], rows[2]), b = vzip2q_u8(rows[0], rows[2]);
    uint8x16_t c = vzip1q_u8(rows[1], rows[3]), d = vzip2q_u8(rows[1], rows[3]);
    // Two columns in each.
    uint8x16_t c01 = vzip1q_u8(a, c), c23 = vzip2q_u8(a, c);
    uint8x16_t c45 = vzip1q_u8(b, d), c67 = vzip2q_u8(b, d);
    uint8x16_t c54 = vextq_u8(c45, c45, 8), c76 = vextq_u8(c67, c67, 8);
    h->sum[0] = sum_of(vget_low_u8(c01), vget_low_u8(c76));
    h->sum[1] = vreinterpretq_s16_u16(vaddl_high_u8(c01, c76));
    h->sum[2] = sum_of(vget_low_u8(c23), vget_low_u8(c54));
    h->sum[3] = vreinterpretq_s16_u16(vaddl_high_u8(c23, c54));
    h->difference[0] = difference_of(vget_low_u8(c01), vget_low_u8(c76));
    h->difference[1] = vreinterpretq_s16_u16(vsubl_high_u8(c01, c76));
    h->difference[2] = difference_of(vget_low_u8(c23), vget_low_u8(c54));
    h->difference[3] = vreinterpretq_s16_u16(vsubl_high_u8(c23, c54));
}

INLINE void v_load(struct place a, struct halves *h)
{
    uint8x16_t rows[4];
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        uint8x8_t upper = vld1_u8(a.rows[i] + a.at), lower = vld1_u8(a.rows[i + 4] + a.at);
        rows[i] = vzip1q_u8(vcombine_u8(upper, vdup_n_u8(0)), vcombine_u8(lower, vdup_n_u8(0)));
    }
    butterfly(rows, h);
}

INLINE vec v_low(vec a, vec b)
{
    return vzip1q_s16(a, b);
}

INLINE vec v_high(vec a, vec b)
{
    return vzip2q_s16(a, b);
}

#include "app/jpeg/scan_transpose.h"

typedef int16x8_t factors;

INLINE factors load_factors(const int16_t *at)
{
    return vld1q_s16(at);
}

INLINE wide multiply(vec a, factors f, int lane)
{
    return (wide){vmull_laneq_s16(vget_low_s16(a), f, lane), vmull_high_laneq_s16(a, f, lane)};
}

INLINE wide multiply_add(wide w, vec a, factors f, int lane)
{
    return (wide){vmlal_laneq_s16(w.low, vget_low_s16(a), f, lane),
                  vmlal_high_laneq_s16(w.high, a, f, lane)};
}

INLINE vec narrow(wide w, int shift)
{
    return vrshrn_high_n_s32(vrshrn_n_s32(w.low, shift), w.high, shift);
}

INLINE int8x16_t narrow_both(vec a, vec b)
{
    return vqmovn_high_s16(vqmovn_s16(a), b);
}

INLINE void to_zigzag(const int8x16_t in[4], int8x16_t out[4])
{
    const int8x16x4_t table = {{in[0], in[1], in[2], in[3]}};
    UNROLL
    for (unsigned i = 0; i < 4; i++)
        out[i] = vqtbl4q_s8(table, vld1q_u8(jpeg_header_zigzag + 16 * i));
}

/** One bit for each byte, from its own bit on: the first byte's is the highest of all. */
INLINE void store_mask(jpeg_word *mask, const uint8x16_t bits[4])
{
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(bits[0], bits[1]), vpaddq_u8(bits[2], bits[3]));
    sum = vpaddq_u8(sum, sum);
    mask[0] = vgetq_lane_u64(vreinterpretq_u64_u8(vrev64q_u8(sum)), 0);
}

#else

// ---- 32 bits: half as many registers, and instructions that exchange between two of them ----

/** Moves a pointer on, by an addressing mode: VLD1 and VST1 have no offset. */
#define STEP(pointer, count)                                                                       \
    do {                                                                                           \
        (pointer) += (count);                                                                      \
        FORGET_BEFORE(pointer);                                                                    \
    } while (0)

/** An instruction that exchanges parts of two registers. GCC's intrinsics for these copy. */
#define EXCHANGE(instruction, a, b) __asm__(instruction : "+w"(a), "+w"(b))

INLINE void v_load(struct place a, struct halves *h)
{
    uint8x16_t x[4];
    UNROLL
    for (unsigned i = 0; i < 4; i++)
        x[i] = vcombine_u8(vld1_u8(a.rows[i] + a.at), vld1_u8(a.rows[i + 4] + a.at));
    EXCHANGE("vtrn.8 %q0, %q1", x[0], x[1]);
    EXCHANGE("vtrn.8 %q0, %q1", x[2], x[3]);
    EXCHANGE("vtrn.16 %q0, %q1", x[0], x[2]);
    EXCHANGE("vtrn.16 %q0, %q1", x[1], x[3]);
    UNROLL
    for (unsigned i = 0; i < 4; i++)
        __asm__("vtrn.32 %e0, %f0" : "+w"(x[i])); // columns i and i + 4
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        h->sum[i] = sum_of(vget_low_u8(x[i]), vget_high_u8(x[3 - i]));
        h->difference[i] = difference_of(vget_low_u8(x[i]), vget_high_u8(x[3 - i]));
    }
}

INLINE void v_transpose(vec x[8])
{
    UNROLL
    for (unsigned i = 0; i < 8; i += 2)
        EXCHANGE("vtrn.16 %q0, %q1", x[i], x[i + 1]);
    UNROLL
    for (unsigned i = 0; i < 8; i += 4) {
        EXCHANGE("vtrn.32 %q0, %q1", x[i], x[i + 2]);
        EXCHANGE("vtrn.32 %q0, %q1", x[i + 1], x[i + 3]);
    }
    UNROLL
    for (unsigned i = 0; i < 4; i++)
        EXCHANGE("vswp %f0, %e1", x[i], x[i + 4]);
}

typedef int16x4x2_t factors;

INLINE factors load_factors(const int16_t *at)
{
    int16x8_t eight = vld1q_s16(at);
    return (factors){{vget_low_s16(eight), vget_high_s16(eight)}};
}

INLINE wide multiply(vec a, factors f, int lane)
{
    return (wide){vmull_lane_s16(vget_low_s16(a), f.val[lane / 4], lane % 4),
                  vmull_lane_s16(vget_high_s16(a), f.val[lane / 4], lane % 4)};
}

INLINE wide multiply_add(wide w, vec a, factors f, int lane)
{
    return (wide){vmlal_lane_s16(w.low, vget_low_s16(a), f.val[lane / 4], lane % 4),
                  vmlal_lane_s16(w.high, vget_high_s16(a), f.val[lane / 4], lane % 4)};
}

INLINE vec narrow(wide w, int shift)
{
    vec v;
    __asm__("vrshrn.i32 %e0, %q1, %3\n\tvrshrn.i32 %f0, %q2, %3"
            : "=&w"(v)
            : "w"(w.low), "w"(w.high), "i"(shift));
    return v;
}

INLINE int8x16_t narrow_both(vec a, vec b)
{
    int8x16_t bytes;
    __asm__("vqmovn.s16 %e0, %q1\n\tvqmovn.s16 %f0, %q2" : "=&w"(bytes) : "w"(a), "w"(b));
    return bytes;
}

INLINE void to_zigzag(const int8x16_t in[4], int8x16_t out[4])
{
    register int8x16_t a __asm__("q0") = in[0];
    register int8x16_t b __asm__("q1") = in[1];
    register int8x16_t c __asm__("q2") = in[2];
    register int8x16_t d __asm__("q3") = in[3];
    const uint8_t *order = jpeg_header_zigzag;
    FORGET_BEFORE(order); // or the loop over blocks keeps all of it on the stack
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        // Beyond the table VTBL gives 0, and VTBX keeps the lane.
        uint8x16_t upper = vld1q_u8(order);
        STEP(order, 16);
        uint8x16_t lower = vsubq_u8(upper, vdupq_n_u8(32));
        __asm__("vtbl.8 %e0, {d0-d3}, %e1\n\tvtbl.8 %f0, {d0-d3}, %f1\n\t"
                "vtbx.8 %e0, {d4-d7}, %e2\n\tvtbx.8 %f0, {d4-d7}, %f2"
                : "=&w"(out[i])
                : "w"(upper), "w"(lower), "w"(a), "w"(b), "w"(c), "w"(d));
    }
}

INLINE uint8x8_t add_neighbours(uint8x16_t a)
{
    return vpadd_u8(vget_low_u8(a), vget_high_u8(a));
}

/** One bit for each byte, from its own bit on: the first byte's is the highest of its word. */
INLINE void store_mask(jpeg_word *mask, const uint8x16_t bits[4])
{
    uint8x8_t upper = vpadd_u8(add_neighbours(bits[0]), add_neighbours(bits[1]));
    uint8x8_t lower = vpadd_u8(add_neighbours(bits[2]), add_neighbours(bits[3]));
    vst1_u32(mask, vreinterpret_u32_u8(vrev32_u8(vpadd_u8(upper, lower))));
}

#endif

// ---- both ----

INLINE vec v_quarter(vec x)
{
    return vrshrq_n_s16(x, 2);
}

INLINE void v_even(vec a, vec b, vec x[8], int shift)
{
    _Alignas(16) static const int16_t of[8] = {C0541 + C0765, C0541, C0541, C0541 - C1847};
    const factors f = load_factors(of);
    x[2] = narrow(multiply_add(multiply(a, f, 0), b, f, 1), shift);
    x[6] = narrow(multiply_add(multiply(a, f, 2), b, f, 3), shift);
}

INLINE void v_odd(const vec d[4], vec x[8], int shift)
{
    // clang-format off
    _Alignas(16) static const int16_t of[16] = {
        C1175 - C0899, C1175 - C0390, C1175, C1501 - C0899 - C0390 + C1175,
        C1175 - C1961, C1175 - C2562, C3072 - C2562 - C1961 + C1175, C1175,
        C1175, C2053 - C2562 - C0390 + C1175, C1175 - C2562, C1175 - C0390,
        C0298 - C0899 - C1961 + C1175, C1175, C1175 - C1961, C1175 - C0899,
    };
    // clang-format on
    UNROLL
    for (int i = 0; i < 4; i++) {
        const factors f = load_factors(of + i / 2 * 8);
        const int lane = i % 2 * 4;
        wide w = multiply_add(multiply(d[3], f, lane), d[2], f, lane + 1);
        w = multiply_add(multiply_add(w, d[1], f, lane + 2), d[0], f, lane + 3);
        x[2 * i + 1] = narrow(w, shift);
    }
}

INLINE vec v_divide(vec x, const int16_t **factor)
{
    vec product = vqdmulhq_s16(x, vld1q_s16(*factor));
    STEP(*factor, 8);
    product = vqrdmulhq_s16(product, vld1q_s16(*factor));
    STEP(*factor, 8);
    return product;
}

INLINE void v_store(const vec r[8], struct block *block)
{
    static const uint8_t weights[16] = {128, 64, 32, 16, 8, 4, 2, 1, 128, 64, 32, 16, 8, 4, 2, 1};
    const uint8x16_t weight = vld1q_u8(weights);
    int8x16_t natural[4], near[4];
    int16_t *value = block->value;
    UNROLL
    for (unsigned i = 0; i < 8; i++) {
        vst1q_s16(value, r[i]);
        STEP(value, 8);
    }
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        int8x16_t bytes = narrow_both(r[2 * i], r[2 * i + 1]);
        bytes = vmaxq_s8(bytes, vdupq_n_s8(JPEG_NEAR_MIN));
        natural[i] = vminq_s8(bytes, vdupq_n_s8(JPEG_NEAR_MAX));
    }
    to_zigzag(natural, near);
    uint8x16_t bits[4];
    int8_t *at = block->near;
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        vst1q_s8(at, near[i]);
        STEP(at, 16);
        bits[i] = vbicq_u8(weight, vceqq_s8(near[i], vdupq_n_s8(0)));
    }
    store_mask(block->nonzero, bits);
}

#include "app/jpeg/scan_row.h"

static bool is_supported(void)
{
#if defined(__aarch64__)
    return true;
#else
    return (getauxval(AT_HWCAP) & HWCAP_NEON) != 0;
#endif
}

const struct jpeg_scan_variant jpeg_scan_neon = {"NEON", code_row, is_supported, BLOCKS,
                                                 PRODUCT_SHIFT};

#else

const struct jpeg_scan_variant jpeg_scan_neon = {.name = "NEON"};

#endif
