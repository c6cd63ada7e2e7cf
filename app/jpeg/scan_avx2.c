// SPDX-License-Identifier: MIT
// The scan for x86 with AVX2 and BMI, independent of the options of the build. Each half of a
// vector is a block; most of AVX2's instructions work within halves, so two blocks cost what one
// does with SSE.
#include "app/jpeg/scan_common.h"

#if defined(__x86_64__)

#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2")
#endif
#define BLOCKS        2
#define PRODUCT_SHIFT 16

typedef int16_t vec __attribute__((vector_size(32)));
typedef int32_t half_wide __attribute__((vector_size(32)));

struct halves {
    vec sum[4], difference[4];
};

typedef struct {
    vec low, high;
} pair;

typedef struct {
    half_wide low, high;
} wide;

// ---- loading ----

INLINE __m128i load(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

INLINE __m128i load_half(const uint8_t *bytes)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)bytes);
}

#define BOTH_HALVES(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

/** Two rows of each block, one after the other, become four times two rows of mirrored samples:
 * i0 i7 j0 j7, i1 i6 j1 j6, ... */
INLINE __m256i mirror(__m256i two_rows)
{
    return _mm256_shuffle_epi8(two_rows,
                               BOTH_HALVES(0, 7, 8, 15, 1, 6, 9, 14, 2, 5, 10, 13, 3, 4, 11, 12));
}

/** The first butterfly from four of these, a transposition on the way. */
INLINE void butterfly(const __m256i m[4], struct halves *h)
{
    __m256i a = _mm256_unpacklo_epi32(m[0], m[1]), b = _mm256_unpackhi_epi32(m[0], m[1]);
    __m256i c = _mm256_unpacklo_epi32(m[2], m[3]), d = _mm256_unpackhi_epi32(m[2], m[3]);
    const __m256i columns[4] = {_mm256_unpacklo_epi64(a, c), _mm256_unpackhi_epi64(a, c),
                                _mm256_unpacklo_epi64(b, d), _mm256_unpackhi_epi64(b, d)};
    const __m256i plus = _mm256_set1_epi8(1), minus = _mm256_set1_epi16((short)0xff01);
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        h->sum[i] = (vec)_mm256_maddubs_epi16(columns[i], plus);
        h->difference[i] = (vec)_mm256_maddubs_epi16(columns[i], minus);
    }
}

INLINE void v_load_both(struct place a, struct halves *h)
{
    __m256i m[4];
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        __m128i low = load(a.rows[2 * i] + a.at), high = load(a.rows[2 * i + 1] + a.at);
        m[i] = mirror(_mm256_permute4x64_epi64(_mm256_set_m128i(high, low), 0xd8));
    }
    butterfly(m, h);
}

INLINE void v_load_two(struct place a, struct place b, struct halves *h)
{
    __m256i m[4];
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        __m128i low = _mm_unpacklo_epi64(load_half(a.rows[2 * i] + a.at),
                                         load_half(a.rows[2 * i + 1] + a.at));
        __m128i high = _mm_unpacklo_epi64(load_half(b.rows[2 * i] + b.at),
                                          load_half(b.rows[2 * i + 1] + b.at));
        m[i] = mirror(_mm256_set_m128i(high, low));
    }
    butterfly(m, h);
}

// ---- arithmetic ----

INLINE vec v_low(vec a, vec b)
{
    return (vec)_mm256_unpacklo_epi16((__m256i)a, (__m256i)b);
}

INLINE vec v_high(vec a, vec b)
{
    return (vec)_mm256_unpackhi_epi16((__m256i)a, (__m256i)b);
}

#include "app/jpeg/scan_transpose.h"

INLINE vec v_quarter(vec x)
{
    return (x + 2) >> 2;
}

INLINE pair v_pair(vec a, vec b)
{
    return (pair){v_low(a, b), v_high(a, b)};
}

/** a * x + b * y */
INLINE wide products(pair p, int x, int y)
{
    __m256i factors = _mm256_set1_epi32((int)((uint32_t)(uint16_t)y << 16 | (uint16_t)x));
    return (wide){(half_wide)_mm256_madd_epi16((__m256i)p.low, factors),
                  (half_wide)_mm256_madd_epi16((__m256i)p.high, factors)};
}

INLINE wide add(wide a, wide b)
{
    return (wide){a.low + b.low, a.high + b.high};
}

INLINE wide add_half(wide a, int shift)
{
    const int32_t half = 1 << (shift - 1);
    return (wide){a.low + half, a.high + half};
}

INLINE vec narrow(wide w, int shift)
{
    return (vec)_mm256_packs_epi32((__m256i)(w.low >> shift), (__m256i)(w.high >> shift));
}

INLINE void v_even(vec a, vec b, vec x[8], int shift)
{
    pair p = v_pair(a, b);
    x[2] = narrow(add_half(products(p, C0541 + C0765, C0541), shift), shift);
    x[6] = narrow(add_half(products(p, C0541, C0541 - C1847), shift), shift);
}

/** Two sums are shared by two outputs each, and so are their halves for rounding. */
INLINE void v_odd(const vec d[4], vec x[8], int shift)
{
    pair z = v_pair(d[3] + d[1], d[2] + d[0]), p = v_pair(d[3], d[0]), q = v_pair(d[2], d[1]);
    wide a = add_half(products(z, C1175 - C1961, C1175), shift);
    wide b = add_half(products(z, C1175, C1175 - C0390), shift);
    x[1] = narrow(add(b, products(p, -C0899, C1501 - C0899)), shift);
    x[3] = narrow(add(a, products(q, -C2562, C3072 - C2562)), shift);
    x[5] = narrow(add(b, products(q, C2053 - C2562, -C2562)), shift);
    x[7] = narrow(add(a, products(p, C0298 - C0899, -C0899)), shift);
}

INLINE __m256i aligned(const int16_t *eight)
{
    return _mm256_load_si256((const __m256i *)(const void *)eight);
}

INLINE vec v_divide(vec x, const int16_t **factor)
{
    __m256i product = _mm256_mulhi_epi16((__m256i)x, aligned(*factor));
    product = _mm256_mulhrs_epi16(product, aligned(*factor + 16));
    *factor += 32;
    return (vec)product;
}

// ---- zigzag ----

/** Where the bytes of two rows go within sixteen places of the zigzag. */
#define O               -1
#define FROM(rows, ...) _mm256_shuffle_epi8(n[rows], BOTH_HALVES(__VA_ARGS__))

INLINE void to_zigzag(const __m256i n[4], __m256i z[4])
{
    // clang-format off
    z[0] = FROM(0, 0, 1, 8, O, 9, 2, 3, 10, O, O, O, O, O, 11, 4, 5);
    z[0] |= FROM(1, O, O, O, 0, O, O, O, O, 1, 8, O, 9, 2, O, O, O);
    z[0] |= FROM(2, O, O, O, O, O, O, O, O, O, O, 0, O, O, O, O, O);
    z[1] = FROM(0, 12, O, O, O, O, O, O, O, O, O, 13, 6, 7, 14, O, O);
    z[1] |= FROM(1, O, 3, 10, O, O, O, O, O, 11, 4, O, O, O, O, 5, 12);
    z[1] |= FROM(2, O, O, O, 1, 8, O, 9, 2, O, O, O, O, O, O, O, O);
    z[1] |= FROM(3, O, O, O, O, O, 0, O, O, O, O, O, O, O, O, O, O);
    z[2] = FROM(0, O, O, O, O, O, O, O, O, O, O, 15, O, O, O, O, O);
    z[2] |= FROM(1, O, O, O, O, O, O, O, O, 13, 6, O, 7, 14, O, O, O);
    z[2] |= FROM(2, 3, 10, O, O, O, O, 11, 4, O, O, O, O, O, 5, 12, O);
    z[2] |= FROM(3, O, O, 1, 8, 9, 2, O, O, O, O, O, O, O, O, O, 3);
    z[3] = FROM(1, O, O, O, O, O, 15, O, O, O, O, O, O, O, O, O, O);
    z[3] |= FROM(2, O, O, O, 13, 6, O, 7, 14, O, O, O, O, 15, O, O, O);
    z[3] |= FROM(3, 10, 11, 4, O, O, O, O, O, 5, 12, 13, 6, O, 7, 14, 15);
    // clang-format on
}

INLINE void store_both(int16_t *a, int16_t *b, __m256i row)
{
    _mm_store_si128((__m128i *)(void *)a, _mm256_castsi256_si128(row));
    _mm_store_si128((__m128i *)(void *)b, _mm256_extracti128_si256(row, 1));
}

INLINE void v_store(const vec r[8], struct block blocks[2])
{
    UNROLL
    for (unsigned i = 0; i < 8; i++)
        store_both(blocks[0].value + 8 * i, blocks[1].value + 8 * i, (__m256i)r[i]);
    __m256i n[4], z[4];
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        __m256i bytes = _mm256_packs_epi16((__m256i)r[2 * i], (__m256i)r[2 * i + 1]);
        bytes = _mm256_max_epi8(bytes, _mm256_set1_epi8(JPEG_NEAR_MIN));
        n[i] = _mm256_min_epi8(bytes, _mm256_set1_epi8(JPEG_NEAR_MAX));
    }
    to_zigzag(n, z);
    UNROLL
    for (int b = 0; b < 2; b++) {
        jpeg_word zeros = 0;
        UNROLL
        for (unsigned i = 0; i < 2; i++) {
            __m256i near = b ? _mm256_permute2x128_si256(z[2 * i], z[2 * i + 1], 0x31)
                             : _mm256_permute2x128_si256(z[2 * i], z[2 * i + 1], 0x20);
            _mm256_store_si256((__m256i *)(void *)(blocks[b].near + 32 * i), near);
            __m256i is_zero = _mm256_cmpeq_epi8(near, _mm256_setzero_si256());
            zeros |= (jpeg_word)(uint32_t)_mm256_movemask_epi8(is_zero) << 32 * i;
        }
        blocks[b].nonzero[0] = ~zeros;
    }
}

#include "app/jpeg/scan_row.h"

#ifdef __clang__
#pragma clang attribute pop
#endif

static bool is_supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

const struct jpeg_scan_variant jpeg_scan_avx2 = {"AVX2", code_row, is_supported, BLOCKS,
                                                 PRODUCT_SHIFT};

#else

const struct jpeg_scan_variant jpeg_scan_avx2 = {.name = "AVX2"};

#endif
