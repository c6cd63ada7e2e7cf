// SPDX-License-Identifier: MIT
// Small things every module needs: array sizes, limits, nanoseconds. Includes libc only.
#ifndef PINHOLE_HAL_BASE_H
#define PINHOLE_HAL_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof a / sizeof *a)

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/** What the program and pinhole-libcamera.so, which it loads, see of each other. All else is hidden
 * (-fvisibility=hidden). */
#define BASE_EXPORT __attribute__((visibility("default")))

/** "Never" for deadlines: later than any CLOCK_MONOTONIC value. */
#define NS_NEVER UINT64_MAX

#define BASE_PRINTF(format_index, first_argument)                                                  \
    __attribute__((format(printf, format_index, first_argument)))

static inline uint32_t base_min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t base_max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline uint64_t base_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t base_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
