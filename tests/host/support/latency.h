// SPDX-License-Identifier: MIT
// How late frames are at their receivers, for `make bench`.
#ifndef PINHOLE_TEST_SUPPORT_LATENCY_H
#define PINHOLE_TEST_SUPPORT_LATENCY_H

#include <stdint.h>

#define LATENCY_SAMPLES_MAX 100000u

struct latency {
    unsigned count;
    double encode_ms[LATENCY_SAMPLES_MAX];
    double whole_ms[LATENCY_SAMPLES_MAX];  /**< from "the sender has the picture" to the last
                                                byte */
    double beyond_ms[LATENCY_SAMPLES_MAX]; /**< whole less the picture's own encode */
};

/** One frame at one receiver; beyond LATENCY_SAMPLES_MAX they are left out. */
void latency_add(struct latency *latency, uint64_t ready_ns, uint64_t encode_ns,
                 uint64_t received_ns);
/** Prints p50 and p99 of all three as members of a JSON object, and orders the samples. */
void latency_print(struct latency *latency);

#endif
