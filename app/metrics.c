// SPDX-License-Identifier: MIT
#include "app/metrics.h"

#include <assert.h>
#include <string.h>

static const double bounds_s[] = {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
                                  0.05,   0.1,    0.2,    0.5,   1,     2,     5,    10};
static_assert(ARRAY_SIZE(bounds_s) == METRICS_BUCKETS, "METRICS_BUCKETS is the number of bounds");

void metrics_observe(struct metrics_histogram *histogram, uint64_t value_ns)
{
    double value_s = (double)value_ns / (double)NS_PER_S;
    unsigned i = 0;
    while (i < METRICS_BUCKETS && value_s > bounds_s[i])
        i++;
    histogram->buckets[i]++;
    histogram->sum_ns += value_ns;
}

/** HELP and TYPE stand once before all samples of a name. */
static void print_heading(struct reply *out, const char **previous, const char *name,
                          const char *type, const char *help)
{
    if (*previous != NULL && strcmp(*previous, name) == 0)
        return;
    *previous = name;
    reply_add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/** "name{labels} ", up to where the value goes. */
static void print_name(struct reply *out, const char *name, const char *labels)
{
    if (labels[0] != '\0')
        reply_add(out, "%s{%s} ", name, labels);
    else
        reply_add(out, "%s ", name);
}

static void print_histogram(struct reply *out, const char *name,
                            const struct metrics_histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
        count += histogram->buckets[i];
        reply_add(out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds_s[i], (unsigned long long)count);
    }
    count += histogram->buckets[METRICS_BUCKETS];
    reply_add(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)count);
    reply_add(out, "%s_sum %.9f\n", name, (double)histogram->sum_ns / (double)NS_PER_S);
    reply_add(out, "%s_count %llu\n", name, (unsigned long long)count);
}

void metrics_print(const struct metrics *metrics, struct reply *out)
{
    const char *previous = NULL;
#define METRICS_COUNTER(member, name, labels, help)                                                \
    print_heading(out, &previous, name, "counter", help);                                          \
    print_name(out, name, labels);                                                                 \
    reply_add(out, "%llu\n", (unsigned long long)metrics->member);
#define METRICS_GAUGE(member, name, labels, help)                                                  \
    print_heading(out, &previous, name, "gauge", help);                                            \
    print_name(out, name, labels);                                                                 \
    reply_add(out, "%.9g\n", metrics->member);
#define METRICS_HISTOGRAM(member, name, help)                                                      \
    print_heading(out, &previous, name, "histogram", help);                                        \
    print_histogram(out, name, &metrics->member);
#include "app/metrics.def"
#undef METRICS_COUNTER
#undef METRICS_GAUGE
#undef METRICS_HISTOGRAM
}
