// SPDX-License-Identifier: MIT
// Shared by the variants of the scan. Each variant is one file. It includes this header, defines
// the vector operations of its instruction set, and then includes scan_row.h, which is written over
// these operations:
//
//   BLOCKS                 8x8 blocks that one vector works on side by side: 1 or 2
//   PRODUCT_SHIFT          of v_divide(): 15 or 16, see struct jpeg_divisors
//   vec                    8 x BLOCKS lanes of int16_t, as a vector type of GCC
//   v_load(a, h)           the first butterfly of a block's columns, as struct halves
//   v_load_two(a, b, h), v_load_both(a, h)   in its place when BLOCKS is 2: of two blocks anywhere,
//                          and of two side by side
//   v_transpose(x)         rows become columns, in each block
//   v_quarter(x)           x / 4, rounded
//   v_even(a, b, x, shift) outputs 2 and 6 of the transform: products with even[] in 32 bits,
//                          summed, shifted to the right and rounded
//   v_odd(d, x, shift)     outputs 1, 3, 5, 7, likewise
//   v_divide(x, &factor)   see struct jpeg_divisors; moves on to the next row of it
//   v_store(r, blocks)     fills as many blocks as a vector holds from their rows
#ifndef PINHOLE_APP_JPEG_SCAN_COMMON_H
#define PINHOLE_APP_JPEG_SCAN_COMMON_H

#include <endian.h>
#include <string.h>

#include "app/jpeg/private.h"

/** A quantised block. */
struct block {
    _Alignas(32) int8_t near[64];   /**< in zigzag order, clamped to JPEG_NEAR_MIN..JPEG_NEAR_MAX */
    _Alignas(32) int16_t value[64]; /**< in natural order */
    jpeg_word nonzero[JPEG_WORDS];  /**< one bit for each of near[], see first_nonzero() */
};

/** Where the rows of a block begin: rows[i] + at. */
struct place {
    const uint8_t *const *rows;
    size_t at;
};

#define INLINE static inline __attribute__((always_inline))
/** Keeps GCC from holding a value's former state in another register for the sake of a rare
 * path. */
#define FORGET_BEFORE(variable) __asm__ volatile("" : "+r"(variable))
/** Vectors that a loop indexes stay in registers only when the loop is unrolled. */
#define UNROLL _Pragma("GCC unroll 8")

// ---- which coefficients are not zero ----
//
// The first coefficient has the bit that the machine finds first: ARM counts leading zeros, others
// trailing ones.

#if defined(__arm__) || defined(__aarch64__)

INLINE jpeg_word nonzero_bit(uint32_t i)
{
    return (jpeg_word)1 << (JPEG_WORD_BITS - 1 - i);
}

/** Coefficients before the first that is not zero; mask is not 0. */
INLINE size_t first_nonzero(jpeg_word mask)
{
    return (size_t)(JPEG_WORD_BITS == 64 ? __builtin_clzll(mask) : __builtin_clz((uint32_t)mask));
}

/** Clears the first one's bit, which is `i`. */
INLINE jpeg_word clear_first(jpeg_word mask, size_t i)
{
    return mask & ~((jpeg_word)1 << (JPEG_WORD_BITS - 1) >> i);
}

#else

INLINE jpeg_word nonzero_bit(uint32_t i)
{
    return (jpeg_word)1 << i;
}

INLINE size_t first_nonzero(jpeg_word mask)
{
    return (size_t)(JPEG_WORD_BITS == 64 ? __builtin_ctzll(mask) : __builtin_ctz((uint32_t)mask));
}

/** Clears the first one's bit, which is `i`. */
INLINE jpeg_word clear_first(jpeg_word mask, size_t i)
{
    (void)i;
    return mask & (mask - 1);
}

#endif

/** The transform's constants x 8192. libjpeg's sums of rotations are multiplied out, so that each
 * output is one sum of products; these are integers, so that the result is the same. */
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

#endif
