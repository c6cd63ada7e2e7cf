// SPDX-License-Identifier: MIT
// The scan for x86 with AVX2 and BMI, whatever the rest is built for. Each half of a vector is a
// block; most of AVX2's instructions work within halves, so two blocks cost what one does with SSE.
#include "app/jpeg/scan_common.h"

#if defined(__x86_64__)

#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2")
#endif
#define BLOCKS 2

typedef int16_t vec __attribute__((vector_size(32)));
typedef int32_t half_wide __attribute__((vector_size(32)));

typedef struct {
    vec low, high;
} pair;

typedef struct {
    half_wide low, high;
} wide;

INLINE vec v_load(const uint8_t *a, const uint8_t *b)
{
    __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)a);
    __m128i high = _mm_loadl_epi64((const __m128i *)(const void *)b);
    return (vec)_mm256_cvtepu8_epi16(_mm_unpacklo_epi64(low, high));
}

INLINE vec v_load_both(const uint8_t *a)
{
    return (vec)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)a));
}

INLINE vec v_low(vec a, vec b)
{
    return (vec)_mm256_unpacklo_epi16((__m256i)a, (__m256i)b);
}

INLINE vec v_high(vec a, vec b)
{
    return (vec)_mm256_unpackhi_epi16((__m256i)a, (__m256i)b);
}

INLINE pair v_pair(vec a, vec b)
{
    return (pair){v_low(a, b), v_high(a, b)};
}

INLINE wide v_dot(pair p, int at)
{
    __m256i factors =
        _mm256_set1_epi32((int)((uint32_t)(uint16_t)factor[at + 1] << 16 | (uint16_t)factor[at]));
    return (wide){(half_wide)_mm256_madd_epi16((__m256i)p.low, factors),
                  (half_wide)_mm256_madd_epi16((__m256i)p.high, factors)};
}

INLINE wide v_sum(wide a, wide b)
{
    return (wide){a.low + b.low, a.high + b.high};
}

INLINE vec v_narrow(wide w, int shift)
{
    const int32_t half = 1 << (shift - 1);
    return (vec)_mm256_packs_epi32((__m256i)((w.low + half) >> shift),
                                   (__m256i)((w.high + half) >> shift));
}

INLINE __m256i both(const void *eight)
{
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)eight));
}

INLINE vec v_divide(vec x, const uint16_t *half, const uint16_t *reciprocal, const uint16_t *power)
{
    __m256i size = _mm256_add_epi16(_mm256_abs_epi16((__m256i)x), both(half));
    __m256i quotient = _mm256_mulhi_epu16(size, both(reciprocal));
    return (vec)_mm256_sign_epi16(_mm256_mulhi_epu16(quotient, both(power)), (__m256i)x);
}

// Where the lanes of a row go within eight places of the zigzag.
#define O        -1
#define BYTES(i) (char)((i) < 0 ? -1 : 2 * (i)), (char)((i) < 0 ? -1 : 2 * (i) + 1)
#define HALF(a, b, c, d, e, f, g, h)                                                               \
    BYTES(a), BYTES(b), BYTES(c), BYTES(d), BYTES(e), BYTES(f), BYTES(g), BYTES(h)
#define FROM(row, ...)                                                                             \
    (vec) _mm256_shuffle_epi8((__m256i)r[row],                                                     \
                              _mm256_setr_epi8(HALF(__VA_ARGS__), HALF(__VA_ARGS__)))

INLINE void to_zigzag(const vec r[8], vec z[8])
{
    // clang-format off
    z[0] = FROM(0, 0, 1, O, O, O, 2, 3, O);
    z[0] |= FROM(1, O, O, 0, O, 1, O, O, 2);
    z[0] |= FROM(2, O, O, O, 0, O, O, O, O);
    z[1] = FROM(0, O, O, O, O, O, O, 4, 5);
    z[1] |= FROM(1, O, O, O, O, O, 3, O, O);
    z[1] |= FROM(2, 1, O, O, O, 2, O, O, O);
    z[1] |= FROM(3, O, 0, O, 1, O, O, O, O);
    z[1] |= FROM(4, O, O, 0, O, O, O, O, O);
    z[2] = FROM(1, 4, O, O, O, O, O, O, O);
    z[2] |= FROM(2, O, 3, O, O, O, O, O, O);
    z[2] |= FROM(3, O, O, 2, O, O, O, O, O);
    z[2] |= FROM(4, O, O, O, 1, O, O, O, 2);
    z[2] |= FROM(5, O, O, O, O, 0, O, 1, O);
    z[2] |= FROM(6, O, O, O, O, O, 0, O, O);
    z[3] = FROM(0, O, O, O, 6, 7, O, O, O);
    z[3] |= FROM(1, O, O, 5, O, O, 6, O, O);
    z[3] |= FROM(2, O, 4, O, O, O, O, 5, O);
    z[3] |= FROM(3, 3, O, O, O, O, O, O, 4);
    z[4] = FROM(4, 3, O, O, O, O, O, O, 4);
    z[4] |= FROM(5, O, 2, O, O, O, O, 3, O);
    z[4] |= FROM(6, O, O, 1, O, O, 2, O, O);
    z[4] |= FROM(7, O, O, O, 0, 1, O, O, O);
    z[5] = FROM(1, O, O, 7, O, O, O, O, O);
    z[5] |= FROM(2, O, 6, O, 7, O, O, O, O);
    z[5] |= FROM(3, 5, O, O, O, 6, O, O, O);
    z[5] |= FROM(4, O, O, O, O, O, 5, O, O);
    z[5] |= FROM(5, O, O, O, O, O, O, 4, O);
    z[5] |= FROM(6, O, O, O, O, O, O, O, 3);
    z[6] = FROM(3, O, O, O, O, O, 7, O, O);
    z[6] |= FROM(4, O, O, O, O, 6, O, 7, O);
    z[6] |= FROM(5, O, O, O, 5, O, O, O, 6);
    z[6] |= FROM(6, O, O, 4, O, O, O, O, O);
    z[6] |= FROM(7, 2, 3, O, O, O, O, O, O);
    z[7] = FROM(5, O, O, O, O, 7, O, O, O);
    z[7] |= FROM(6, 5, O, O, 6, O, 7, O, O);
    z[7] |= FROM(7, O, 4, 5, O, O, O, 6, 7);
    // clang-format on
}

// One bit for each of 32 values of one block, in their order.
INLINE uint64_t zeros(__m256i low, __m256i high, int block)
{
    __m256i bytes = block ? _mm256_permute2x128_si256(low, high, 0x31)
                          : _mm256_permute2x128_si256(low, high, 0x20);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256()));
}

INLINE void v_store(const vec r[8], struct block *blocks)
{
    vec z[8];
    to_zigzag(r, z);
    __m256i bytes[4]; // saturated, so that a value is zero only if it was
    UNROLL
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = _mm256_packs_epi16((__m256i)z[2 * i], (__m256i)z[2 * i + 1]);
    UNROLL
    for (int b = 0; b < 2; b++)
        blocks[b].nonzero = ~(zeros(bytes[0], bytes[1], b) | zeros(bytes[2], bytes[3], b) << 32);
    UNROLL
    for (unsigned i = 0; i < 8; i++) {
        _mm_store_si128((__m128i *)(void *)(blocks[0].coefficient + 8 * i),
                        _mm256_castsi256_si128((__m256i)z[i]));
        _mm_store_si128((__m128i *)(void *)(blocks[1].coefficient + 8 * i),
                        _mm256_extracti128_si256((__m256i)z[i], 1));
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

const struct jpeg_scan_variant jpeg_scan_avx2 = {"AVX2", code_row, is_supported};

#else

const struct jpeg_scan_variant jpeg_scan_avx2 = {"AVX2", NULL, NULL};

#endif
