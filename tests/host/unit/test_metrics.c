// SPDX-License-Identifier: MIT
// The exposition text: each name described once, every sample there, histograms cumulative.
#include "app/node_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_NS (1000 * NS_PER_S)

static struct node node;
static struct node *const n = &node;
static const uint64_t now_ns = NOW_NS;
static char text[SERVER_REPLY_BYTES];

static void print(void)
{
    struct reply out = reply_begin(text, sizeof text);
    node_stats_print(&node, &out, now_ns);
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

#define SAMPLE(name, labels) (labels[0] ? name "{" labels "}" : name)

/** Gives each place that a counter is read from a number of its own. */
static void number_counters(void)
{
    uint64_t value = 0;
#define METRIC_COUNTER(expression, name, labels, help) expression = (__typeof__(expression))++value;
#define METRIC_GAUGE(expression, name, labels, help)
#define METRIC_HISTOGRAM(expression, name, help)
#include "app/metrics.def"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
#undef METRIC_HISTOGRAM
}

static void test_every_counter_is_its_own_sample(void **state)
{
    (void)state;
    uint64_t value = 0;
    memset(&node, 0, sizeof node);
    number_counters();
    print();
#define METRIC_COUNTER(expression, name, labels, help)                                             \
    assert_true(value_of(SAMPLE(name, labels)) == (double)++value);
#define METRIC_GAUGE(expression, name, labels, help)
#define METRIC_HISTOGRAM(expression, name, help)
#include "app/metrics.def"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
#undef METRIC_HISTOGRAM
}

static void test_every_gauge_is_its_own_sample(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    node.camera.state = WIRE_CAMERA_STREAMING;
    node.server.stats.clients = 2;
    node.metrics.quality = 3.5;
    node.metrics.frame_bytes = 4.5;
    node.store.block_count = 12;
    node.store.blocks_free = 7;
    node.trigger.engine.is_offset_known = true;
    node.trigger.engine.offset_ns = -7 * (int64_t)NS_PER_S;
    node.trigger.strobe.plan.counters.late_max_ns = 8 * NS_PER_S;
    node.trigger.strobe.plan.counters.readback_max_ns = 9 * NS_PER_S;
    node.turn.worst_ns = 10 * NS_PER_S;
    node.turn.worst_cpu_ns = 11 * NS_PER_S;
    node.process.started_ns = NOW_NS - 13 * NS_PER_S;
    print();
    assert_true(value_of("pinhole_camera_streaming") == 1);
    assert_true(value_of("pinhole_clients") == 2);
    assert_true(value_of("pinhole_jpeg_quality") == 3.5);
    assert_true(value_of("pinhole_frame_bytes") == 4.5);
    assert_true(value_of("pinhole_store_blocks_used") == 5);
    assert_true(value_of("pinhole_store_blocks") == 12);
    assert_true(value_of("pinhole_trigger_offset_seconds") == -7);
    assert_true(value_of("pinhole_strobe_late_max_seconds{measured=\"written\"}") == 8);
    assert_true(value_of("pinhole_strobe_late_max_seconds{measured=\"readback\"}") == 9);
    assert_true(value_of("pinhole_loop_turn_worst_seconds{clock=\"wall\"}") == 10);
    assert_true(value_of("pinhole_loop_turn_worst_seconds{clock=\"cpu\"}") == 11);
    assert_true(value_of("pinhole_uptime_seconds") == 13);
}

/** HELP and TYPE once each, right before all samples of their name. */
static void test_each_name_is_described_once(void **state)
{
    (void)state;
    char name[128] = "", seen[64][128];
    unsigned count = 0;
    memset(&node, 0, sizeof node);
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
    memset(&node, 0, sizeof node);
    metrics_observe(&node.metrics.encode_time, 0);
    metrics_observe(&node.metrics.encode_time, 2 * NS_PER_MS); // a bound belongs to its bucket
    metrics_observe(&node.metrics.encode_time, 2 * NS_PER_MS + 1);
    metrics_observe(&node.metrics.encode_time, 10 * NS_PER_S);
    metrics_observe(&node.metrics.encode_time, 11 * NS_PER_S);
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
    memset(&node, 0xFF, sizeof node);
    // 0xFF in a double is a NaN, which is short. Every gauge that is stored gets its longest text.
    node.metrics.quality = node.metrics.frame_bytes = -1.23456789e-100;
    node.trigger.engine.is_offset_known = true;
    print();
    assert_non_null(strstr(text, "pinhole_trigger_publish_delay_seconds_count"));
    assert_true(strlen(text) < SERVER_REPLY_BYTES - WIRE_HEADER_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_counter_is_its_own_sample),
        cmocka_unit_test(test_every_gauge_is_its_own_sample),
        cmocka_unit_test(test_each_name_is_described_once),
        cmocka_unit_test(test_histogram_counts_up),
        cmocka_unit_test(test_largest_numbers_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
