// SPDX-License-Identifier: MIT
// The one source of chance in the simulation: splitmix64, so that a seed decides everything.
#ifndef PINHOLE_TEST_SIM_RANDOM_H
#define PINHOLE_TEST_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
    uint64_t z = (chance->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/** A number in [low, high]. */
static inline uint64_t chance_in(struct chance *chance, uint64_t low, uint64_t high)
{
    return low + chance_next(chance) % (high - low + 1);
}

static inline bool chance_one_in(struct chance *chance, uint64_t n)
{
    return chance_next(chance) % n == 0;
}

#endif
