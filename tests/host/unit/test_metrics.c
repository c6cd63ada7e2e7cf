// SPDX-License-Identifier: MIT
// The exposition text: each name described once, every sample there, histograms cumulative.
#include "app/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/server/server.h"

static struct metrics metrics;
static char text[SERVER_REPLY_BYTES];

static void print(void)
{
    struct reply out = reply_begin(text, sizeof text);
    metrics_print(&metrics, &out);
    assert_int_equal(strlen(text), out.used);
}

static double value_of(const char *sample)
{
    char start[160];
    snprintf(start, sizeof start, "\n%s ", sample);
    const char *at = strstr(text, start);
    if (at == NULL)
        fail_msg("no sample %s", sample);
    assert_null(strstr(at + 1, start));
    return strtod(at + strlen(start), NULL);
}

static void test_every_counter_is_its_own_sample(void **state)
{
    (void)state;
    uint64_t value = 0;
    memset(&metrics, 0, sizeof metrics);
#define METRICS_COUNTER(member, name, labels, help) metrics.member = ++value;
#include "app/metrics.def"
#undef METRICS_COUNTER
#define METRICS_GAUGE(member, name, labels, help) metrics.member = (double)++value + 0.5;
#include "app/metrics.def"
#undef METRICS_GAUGE
    print();
    value = 0;
#define METRICS_COUNTER(member, name, labels, help)                                                \
    assert_true(value_of(labels[0] ? name "{" labels "}" : name) == (double)++value);
#include "app/metrics.def"
#undef METRICS_COUNTER
#define METRICS_GAUGE(member, name, labels, help)                                                  \
    assert_true(value_of(labels[0] ? name "{" labels "}" : name) == (double)++value + 0.5);
#include "app/metrics.def"
#undef METRICS_GAUGE
}

/** HELP and TYPE once each, right before all samples of their name. */
static void test_each_name_is_described_once(void **state)
{
    (void)state;
    char name[128] = "", seen[64][128];
    unsigned count = 0;
    memset(&metrics, 0, sizeof metrics);
    print();
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            sscanf(line + 7, "%127s", name);
            assert_true(strlen(line) > 8 + strlen(name)); // there is a help text
            for (unsigned i = 0; i < count; i++)
                assert_string_not_equal(seen[i], name);
            strcpy(seen[count++], name);
            line = strtok(NULL, "\n");
            assert_memory_equal(line, "# TYPE ", 7);
            assert_memory_equal(line + 7, name, strlen(name));
        } else {
            assert_memory_equal(line, name, strlen(name));
            assert_non_null(strchr(line, ' '));
        }
    }
    assert_true(count > 20);
}

static void test_histogram_counts_up(void **state)
{
    (void)state;
    memset(&metrics, 0, sizeof metrics);
    metrics_observe(&metrics.encode_time, 0);
    metrics_observe(&metrics.encode_time, 2 * NS_PER_MS); // a bound belongs to its bucket
    metrics_observe(&metrics.encode_time, 2 * NS_PER_MS + 1);
    metrics_observe(&metrics.encode_time, 10 * NS_PER_S);
    metrics_observe(&metrics.encode_time, 11 * NS_PER_S);
    print();
    assert_true(value_of("pinhole_encode_seconds_bucket{le=\"0.0001\"}") == 1);
    assert_true(value_of("pinhole_encode_seconds_bucket{le=\"0.001\"}") == 1);
    assert_true(value_of("pinhole_encode_seconds_bucket{le=\"0.002\"}") == 2);
    assert_true(value_of("pinhole_encode_seconds_bucket{le=\"0.005\"}") == 3);
    assert_true(value_of("pinhole_encode_seconds_bucket{le=\"5\"}") == 3);
    assert_true(value_of("pinhole_encode_seconds_bucket{le=\"10\"}") == 4);
    assert_true(value_of("pinhole_encode_seconds_bucket{le=\"+Inf\"}") == 5);
    assert_true(value_of("pinhole_encode_seconds_count") == 5);
    double sum = value_of("pinhole_encode_seconds_sum");
    assert_true(sum > 21.0039 && sum < 21.0041);
}

/** The longest text there can be fits into a reply: nothing is left out after years of running. */
static void test_largest_numbers_fit(void **state)
{
    (void)state;
    memset(&metrics, 0xFF, sizeof metrics);
#define METRICS_GAUGE(member, name, labels, help) metrics.member = -1.23456789e-100;
#include "app/metrics.def"
#undef METRICS_GAUGE
    print();
    assert_non_null(strstr(text, "pinhole_trigger_publish_delay_seconds_count"));
    assert_true(strlen(text) < SERVER_REPLY_BYTES - WIRE_HEADER_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_counter_is_its_own_sample),
        cmocka_unit_test(test_each_name_is_described_once),
        cmocka_unit_test(test_histogram_counts_up),
        cmocka_unit_test(test_largest_numbers_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
