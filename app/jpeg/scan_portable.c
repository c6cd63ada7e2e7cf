// SPDX-License-Identifier: MIT
// The scan for any machine, in GCC's vector extensions.
#include "app/jpeg/scan_common.h"

#define BLOCKS 1

typedef int16_t vec __attribute__((vector_size(16)));
typedef int16_t half_vec __attribute__((vector_size(8)));
typedef int32_t half_wide __attribute__((vector_size(16)));
typedef uint32_t half_unsigned __attribute__((vector_size(16)));

typedef struct {
    vec a, b;
} pair;

typedef struct {
    half_wide low, high;
} wide;

INLINE vec v_load(const uint8_t *a)
{
    typedef uint8_t bytes __attribute__((vector_size(8)));
    bytes samples;
    memcpy(&samples, a, sizeof samples);
    return __builtin_convertvector(samples, vec);
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

INLINE vec v_low(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

INLINE vec v_high(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

INLINE pair v_pair(vec a, vec b)
{
    return (pair){a, b};
}

INLINE wide v_dot(pair p, int at)
{
    int a = factor[at], b = factor[at + 1];
    wide x = widen(p.a), y = widen(p.b);
    return (wide){x.low * a + y.low * b, x.high * a + y.high * b};
}

INLINE wide v_sum(wide a, wide b)
{
    return (wide){a.low + b.low, a.high + b.high};
}

INLINE vec v_narrow(wide w, int shift)
{
    const int32_t half = 1 << (shift - 1);
    return narrow((w.low + half) >> shift, (w.high + half) >> shift);
}

// All factors are positive, and below 32768 but for the reciprocal.
INLINE vec multiply_high(vec x, const uint16_t *factors)
{
    vec f;
    memcpy(&f, factors, sizeof f);
    wide a = widen(x), b = widen(f);
    return narrow((half_wide)((half_unsigned)a.low * ((half_unsigned)b.low & 0xffff) >> 16),
                  (half_wide)((half_unsigned)a.high * ((half_unsigned)b.high & 0xffff) >> 16));
}

INLINE vec v_divide(vec x, const uint16_t *half, const uint16_t *reciprocal, const uint16_t *power)
{
    vec sign = x >> 15, h;
    memcpy(&h, half, sizeof h);
    vec size = ((x ^ sign) - sign) + h;
    vec quotient = multiply_high(multiply_high(size, reciprocal), power);
    return (quotient ^ sign) - sign;
}

INLINE void v_store(const vec r[8], struct block *block)
{
    int16_t natural[64];
    uint64_t nonzero = 0;
    for (unsigned i = 0; i < 8; i++)
        memcpy(natural + 8 * i, &r[i], sizeof r[i]);
    for (unsigned i = 0; i < 64; i++) {
        int16_t value = natural[jpeg_header_zigzag[i]];
        block->coefficient[i] = value;
        nonzero |= (uint64_t)(value != 0) << i;
    }
    block->nonzero = nonzero;
}

#include "app/jpeg/scan_row.h"

static bool is_supported(void)
{
    return true;
}

const struct jpeg_scan_variant jpeg_scan_portable = {"portable", code_row, is_supported};
