// SPDX-License-Identifier: MIT
// Shared by the variants of the scan. Each variant is one file. It includes this header, defines
// the vector operations of its instruction set, and then includes scan_row.h, which is written over
// these operations:
//
//   BLOCKS            8x8 blocks that one vector works on side by side: 1 or 2
//   vec               8 x BLOCKS lanes of int16_t, as a vector type of GCC
//   v_load(a)         8 samples; when BLOCKS is 2: v_load(a, b), v_load_both(a) for b = a + 8
//   v_low(a, b)       a0 b0 a1 b1 a2 b2 a3 b3 of each block; v_high(a, b): a4 b4 and so on
//   pair, v_pair(a, b)                        two vectors, made ready for v_dot()
//   wide, v_dot(pair, i), v_sum(wide, wide)   a * factor[i] + b * factor[i + 1] in 32 bits
//   v_narrow(wide, shift)                     rounded shift to the right, back to 16 bits
//   v_divide(x, half, reciprocal, power)      see struct jpeg_divisors; 8 values for each block
//   v_store(r, blocks)                        r[8] in zigzag order, and which are not zero
#ifndef PINHOLE_APP_JPEG_SCAN_COMMON_H
#define PINHOLE_APP_JPEG_SCAN_COMMON_H

#include <endian.h>
#include <string.h>

#include "app/jpeg/private.h"

/** Quantised coefficients in zigzag order; bit i of nonzero is set
 * when coefficient i is not zero. */
struct block {
    _Alignas(32) int16_t coefficient[64];
    uint64_t nonzero;
};

#define INLINE static inline __attribute__((always_inline))
// Vectors that a loop indexes stay in registers only when the loop is unrolled.
#define UNROLL _Pragma("GCC unroll 8")

// The transform's constants x 8192. libjpeg's sums of rotations are multiplied out, so that each
// odd output is one dot product of four; these are integers, so that the result is the same.
enum {
    C0298 = 2446,
    C0390 = 3196,
    C0541 = 4433,
    C0765 = 6270,
    C0899 = 7373,
    C1175 = 9633,
    C1501 = 12299,
    C1847 = 15137,
    C1961 = 16069,
    C2053 = 16819,
    C2562 = 20995,
    C3072 = 25172,
};

// clang-format off
_Alignas(16) static const int16_t factor[24] = {
    // outputs 1, 3, 5, 7 of x3 - x4, x2 - x5, x1 - x6, x0 - x7
    C1175 - C0899, C1175 - C0390, C1175, C1501 - C0899 - C0390 + C1175,
    C1175 - C1961, C1175 - C2562, C3072 - C2562 - C1961 + C1175, C1175,
    C1175, C2053 - C2562 - C0390 + C1175, C1175 - C2562, C1175 - C0390,
    C0298 - C0899 - C1961 + C1175, C1175, C1175 - C1961, C1175 - C0899,
    // outputs 2, 6 of the differences of sums
    C0541 + C0765, C0541,
    C0541, C0541 - C1847,
};
// clang-format on

#endif
