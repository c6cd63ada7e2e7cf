// SPDX-License-Identifier: MIT
#include "tests/host/support/latency.h"

#include <stdio.h>
#include <stdlib.h>

void latency_add(struct latency *latency, uint64_t ready_ns, uint64_t encode_ns,
                 uint64_t received_ns)
{
    if (latency->count == LATENCY_SAMPLES_MAX)
        return;
    unsigned i = latency->count++;
    latency->encode_ms[i] = (double)encode_ns / 1e6;
    latency->whole_ms[i] = ((double)received_ns - (double)ready_ns) / 1e6;
    latency->beyond_ms[i] = latency->whole_ms[i] - latency->encode_ms[i];
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *name, double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
    printf("\"%s_p50\": %.3f, \"%s_p99\": %.3f", name, count ? values[count / 2] : 0, name,
           count ? values[(unsigned)(0.99 * count)] : 0);
}

void latency_print(struct latency *latency)
{
    print("encode", latency->encode_ms, latency->count);
    printf(", ");
    print("latency", latency->whole_ms, latency->count);
    printf(", ");
    print("beyond", latency->beyond_ms, latency->count);
}
