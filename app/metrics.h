// SPDX-License-Identifier: MIT
// The node's numbers, made from metrics.def, and their Prometheus text exposition (format 0.0.4).
#ifndef PINHOLE_APP_METRICS_H
#define PINHOLE_APP_METRICS_H

#include "app/reply.h"
#include "hal/base.h"

#define METRICS_BUCKETS 16

/** Counts of observations by size; bucket i holds those up to metrics_bounds_s[i], the last one
 * those above. */
struct metrics_histogram {
    uint64_t buckets[METRICS_BUCKETS + 1];
    uint64_t sum_ns;
};

/** metrics.def has the meaning of each member. */
struct metrics {
#define METRICS_COUNTER(member, name, labels, help) uint64_t member;
#define METRICS_GAUGE(member, name, labels, help)   double member;
#define METRICS_HISTOGRAM(member, name, help)       struct metrics_histogram member;
#include "app/metrics.def"
#undef METRICS_COUNTER
#undef METRICS_GAUGE
#undef METRICS_HISTOGRAM
};

/** Counts one observation. */
void metrics_observe(struct metrics_histogram *histogram, uint64_t value_ns);

/** Writes everything, with HELP and TYPE. */
void metrics_print(const struct metrics *metrics, struct reply *out);

#endif
