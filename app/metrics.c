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

static void print_heading(struct metrics_printer *printer, const char *name, const char *type,
                          const char *help)
{
    if (printer->previous != NULL && strcmp(printer->previous, name) == 0)
        return;
    printer->previous = name;
    reply_add(printer->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/** "name{labels} ", up to where the value goes. */
static void print_name(struct reply *out, const char *name, const char *labels)
{
    if (labels[0] != '\0')
        reply_add(out, "%s{%s} ", name, labels);
    else
        reply_add(out, "%s ", name);
}

void metrics_print_counter(struct metrics_printer *printer, const char *name, const char *labels,
                           const char *help, uint64_t value)
{
    print_heading(printer, name, "counter", help);
    print_name(printer->out, name, labels);
    reply_add(printer->out, "%llu\n", (unsigned long long)value);
}

void metrics_print_gauge(struct metrics_printer *printer, const char *name, const char *labels,
                         const char *help, double value)
{
    print_heading(printer, name, "gauge", help);
    print_name(printer->out, name, labels);
    reply_add(printer->out, "%.9g\n", value);
}

void metrics_print_histogram(struct metrics_printer *printer, const char *name, const char *help,
                             const struct metrics_histogram *histogram)
{
    struct reply *out = printer->out;
    uint64_t count = 0;
    print_heading(printer, name, "histogram", help);
    for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
        count += histogram->buckets[i];
        reply_add(out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds_s[i], (unsigned long long)count);
    }
    count += histogram->buckets[METRICS_BUCKETS];
    reply_add(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)count);
    reply_add(out, "%s_sum %.9f\n", name, (double)histogram->sum_ns / (double)NS_PER_S);
    reply_add(out, "%s_count %llu\n", name, (unsigned long long)count);
}
