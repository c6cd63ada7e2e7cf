// SPDX-License-Identifier: MIT
// The scan for any machine, in GCC's vector extensions.
#include "app/jpeg/scan_common.h"

#define BLOCKS        1
#define PRODUCT_SHIFT 16

typedef int16_t vec __attribute__((vector_size(16)));
typedef int16_t half_vec __attribute__((vector_size(8)));
typedef int32_t half_wide __attribute__((vector_size(16)));

struct halves {
    vec sum[4], difference[4];
};

typedef struct {
    half_wide low, high;
} wide;

INLINE vec v_low(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

INLINE vec v_high(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

#include "app/jpeg/scan_transpose.h"

INLINE void v_load(struct place a, struct halves *h)
{
    typedef uint8_t bytes __attribute__((vector_size(8)));
    vec x[8];
    UNROLL
    for (unsigned i = 0; i < 8; i++) {
        bytes samples;
        memcpy(&samples, a.rows[i] + a.at, sizeof samples);
        x[i] = __builtin_convertvector(samples, vec);
    }
    v_transpose(x);
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        h->sum[i] = x[i] + x[7 - i];
        h->difference[i] = x[i] - x[7 - i];
    }
}

INLINE vec v_quarter(vec x)
{
    return (x + 2) >> 2;
}

INLINE wide widen(vec v)
{
    return (wide){
        __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3), half_wide),
        __builtin_convertvector(__builtin_shufflevector(v, v, 4, 5, 6, 7), half_wide),
    };
}

INLINE vec narrow(half_wide low, half_wide high)
{
    return __builtin_shufflevector(__builtin_convertvector(low, half_vec),
                                   __builtin_convertvector(high, half_vec), 0, 1, 2, 3, 4, 5, 6, 7);
}

INLINE vec narrow_rounded(wide w, int shift)
{
    const int32_t half = 1 << (shift - 1);
    return narrow((w.low + half) >> shift, (w.high + half) >> shift);
}

/** a * x + b * y */
INLINE wide products(wide a, int x, wide b, int y)
{
    return (wide){a.low * x + b.low * y, a.high * x + b.high * y};
}

INLINE wide add(wide a, wide b)
{
    return (wide){a.low + b.low, a.high + b.high};
}

INLINE void v_even(vec a, vec b, vec x[8], int shift)
{
    wide p = widen(a), q = widen(b);
    x[2] = narrow_rounded(products(p, C0541 + C0765, q, C0541), shift);
    x[6] = narrow_rounded(products(p, C0541, q, C0541 - C1847), shift);
}

INLINE void v_odd(const vec d[4], vec x[8], int shift)
{
    wide d0 = widen(d[0]), d1 = widen(d[1]), d2 = widen(d[2]), d3 = widen(d[3]);
    wide z1 = add(d3, d1), z2 = add(d2, d0);
    wide a = products(z1, C1175 - C1961, z2, C1175), b = products(z1, C1175, z2, C1175 - C0390);
    x[1] = narrow_rounded(add(b, products(d3, -C0899, d0, C1501 - C0899)), shift);
    x[3] = narrow_rounded(add(a, products(d2, -C2562, d1, C3072 - C2562)), shift);
    x[5] = narrow_rounded(add(b, products(d2, C2053 - C2562, d1, -C2562)), shift);
    x[7] = narrow_rounded(add(a, products(d3, C0298 - C0899, d0, -C0899)), shift);
}

INLINE vec v_divide(vec x, const int16_t **factor)
{
    vec m, p;
    memcpy(&m, *factor, sizeof m);
    memcpy(&p, *factor + 8, sizeof p);
    *factor += 16;
    wide a = widen(x), b = widen(m), c = widen(p);
    half_wide low = (a.low * b.low >> PRODUCT_SHIFT) * c.low + (1 << 14);
    half_wide high = (a.high * b.high >> PRODUCT_SHIFT) * c.high + (1 << 14);
    return narrow(low >> 15, high >> 15);
}

INLINE int8_t clamp(int16_t value)
{
    if (value < JPEG_NEAR_MIN)
        return JPEG_NEAR_MIN;
    return (int8_t)(value > JPEG_NEAR_MAX ? JPEG_NEAR_MAX : value);
}

INLINE void v_store(const vec r[8], struct block *block)
{
    for (unsigned i = 0; i < 8; i++)
        memcpy(block->value + 8 * i, &r[i], sizeof r[i]);
    for (unsigned word = 0; word < JPEG_WORDS; word++) {
        jpeg_word nonzero = 0;
        for (unsigned i = 0; i < JPEG_WORD_BITS; i++) {
            unsigned at = JPEG_WORD_BITS * word + i;
            int16_t coefficient = block->value[jpeg_header_zigzag[at]];
            block->near[at] = clamp(coefficient);
            nonzero |= coefficient != 0 ? nonzero_bit(i) : 0;
        }
        block->nonzero[word] = nonzero;
    }
}

#include "app/jpeg/scan_row.h"

static bool is_supported(void)
{
    return true;
}

const struct jpeg_scan_variant jpeg_scan_portable = {"portable", code_row, is_supported, BLOCKS,
                                                     PRODUCT_SHIFT};
