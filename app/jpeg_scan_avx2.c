// SPDX-License-Identifier: MIT
// The scan for x86 with AVX2 and BMI, whatever the rest is built for: two blocks at a time.
#include "app/jpeg_private.h"

#if defined(__x86_64__)

#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt"))), apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2,lzcnt")
#endif
#define JPEG_SCAN_OPERATIONS "app/jpeg_scan_avx2.h"
#include "app/jpeg_scan_row.h"

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
