// SPDX-License-Identifier: MIT
// A rate with a burst: time is saved up to a limit, and each thing that is done costs some of it.
// Pure: the time is an argument. A zeroed budget is full.
#ifndef PINHOLE_NET_SERVER_BUDGET_H
#define PINHOLE_NET_SERVER_BUDGET_H

#include "hal/base.h"

struct budget {
    uint64_t saved_ns;
    uint64_t at_ns; /**< when `saved_ns` was brought up to date */
};

/** Adds the time since the last call, up to `limit_ns`. True when `price_ns` is there. */
static inline bool budget_has(struct budget *budget, uint64_t price_ns, uint64_t limit_ns,
                              uint64_t now_ns)
{
    const uint64_t passed_ns = now_ns > budget->at_ns ? now_ns - budget->at_ns : 0;
    budget->saved_ns =
        passed_ns >= limit_ns ? limit_ns : base_min_u64(budget->saved_ns + passed_ns, limit_ns);
    budget->at_ns = now_ns;
    return budget->saved_ns >= price_ns;
}

/** Takes the price, or all that is left. */
static inline void budget_spend(struct budget *budget, uint64_t price_ns)
{
    budget->saved_ns -= base_min_u64(budget->saved_ns, price_ns);
}

#endif
