// SPDX-License-Identifier: MIT
// The road of a SET: its order is not the order of the lines, and a refusal at any step leaves no
// trace in configuration, camera, trigger engine or log.
#include "app/node_set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/node_state.h"
#include "hal/fake/camera_fake.h"
#include "tests/host/support/virtual_clock.h"

#define STORE_BYTES (16u << 20)

static struct node node;
static struct hal_camera_ops camera; /**< the fake, with faults */
static int configures_to_fail;
static const char *refused; /**< the control that the camera refuses */
static char reply_text[4096];
static void *memory;

static int configure(const struct hal_camera_config *want, struct hal_camera_config *got)
{
    if (configures_to_fail > 0) {
        configures_to_fail--;
        return -EIO;
    }
    return hal_camera_fake.configure(want, got);
}

static int feature_set(unsigned index, double value)
{
    const struct hal_feature *feature = hal_camera_fake.feature(index);
    if (refused != NULL && strcmp(feature->name, refused) == 0)
        return -EIO;
    return hal_camera_fake.feature_set(index, value);
}

static void on_timer(void *user, uint64_t now_ns)
{
    (void)user;
    (void)now_ns;
}

static int begin(void **state)
{
    (void)state;
    memory = aligned_alloc(4096, STORE_BYTES);
    if (memory == NULL)
        return -1;
    memset(memory, 0, STORE_BYTES);
    memset(&node, 0, sizeof node);
    configures_to_fail = 0;
    refused = NULL;
    camera = hal_camera_fake;
    camera.configure = configure;
    camera.feature_set = feature_set;
    config_defaults(&node.config);
    if (loop_init(&node.loop) != 0 || store_init(&node.store, memory, STORE_BYTES) != 0)
        return -1;
    node.process.started_ns = virtual_now_ns;
    node_connect(&node, &camera, "");
    node.camera.timer = loop_timer_add(&node.loop, on_timer, NULL);
    node_camera_supervise(&node.camera, virtual_now_ns);
    return node.camera.is_open ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    node_camera_close(&node.camera, virtual_now_ns);
    loop_close(&node.loop);
    free(memory);
    return 0;
}

static int set(const char *lines)
{
    char text[512];
    struct reply out = reply_begin(reply_text, sizeof reply_text);
    snprintf(text, sizeof text, "%s", lines);
    return node_set(&node.camera, text, &out, virtual_now_ns);
}

static double control(const char *name)
{
    unsigned index;
    double value = -1;
    assert_non_null(hal_feature_find(&camera, name, &index));
    assert_int_equal(camera.feature_get(index, &value), 0);
    return value;
}

static void modes_go_first_whatever_the_order_of_the_lines(void **state)
{
    (void)state;
    assert_int_equal(set("GainAuto=Continuous\n"), 0);
    assert_int_equal(set("Gain=2\nGainAuto=Off\n"), 0);
    assert_string_equal(reply_text, "Gain=2\nGainAuto=Off\n");
    assert_true(control("Gain") == 2);
    assert_int_equal(set("GainAuto=Continuous\n"), 0);
    assert_int_equal(set("GainAuto=Off\nGain=3\n"), 0);
    assert_true(control("Gain") == 3);
}

/** A SET of everything at once that fails, and what has to be as it was. */
static void assert_leaves_no_trace(const char *lines, int error, const char *sentence)
{
    static struct config before;
    struct trigger_config engine = node.trigger.engine.config;
    double gain = control("Gain"), mode = control("GainAuto");
    unsigned noted = node.camera.controls.count;
    before = node.config;
    assert_int_equal(set(lines), -error);
    assert_non_null(strstr(reply_text, sentence));
    assert_memory_equal(&node.config, &before, sizeof before);
    assert_true(trigger_config_equals(&node.trigger.engine.config, &engine));
    assert_true(control("Gain") == gain && control("GainAuto") == mode);
    assert_int_equal(node.camera.controls.count, noted);
    assert_true(node.camera.is_open);
}

static void a_control_that_the_camera_refuses_rolls_back(void **state)
{
    (void)state;
    refused = "Gain";
    assert_leaves_no_trace("ImageCompressionQuality=40\nGainAuto=Off\nGain=4\n",
                           WIRE_ERROR_UNAVAILABLE, "Gain: ");
}

static void trigger_settings_that_cannot_be_are_rolled_back(void **state)
{
    (void)state;
    // The engine and the configuration agree; what fails is the line, which this backend lacks.
    assert_leaves_no_trace("GainAuto=Off\nGain=4\nTriggerMode=On\nTriggerSource=Line\n",
                           WIRE_ERROR_BAD_VALUE, "trigger.line");
}

static void a_size_that_the_camera_refuses_rolls_back(void **state)
{
    (void)state;
    uint64_t sequence = node.store.next_sequence;
    configures_to_fail = 1;
    assert_leaves_no_trace(
        "GainAuto=Off\nGain=4\nWidth=320\nHeight=240\nTriggerMode=On\nTriggerSource=Software\n",
        WIRE_ERROR_BAD_VALUE, "the camera refuses this");
    // Subscribers learn that the stream was started again, and of no changed feature.
    assert_int_equal(node.store.next_sequence, sequence + 1);
    assert_int_equal(node.camera.state, WIRE_CAMERA_RECONFIGURED);
}

/** The camera takes neither the new size nor the old one: it is lost, and the supervisor's. */
static void a_camera_that_takes_no_size_any_more_is_closed(void **state)
{
    (void)state;
    uint32_t width = node.config.width;
    configures_to_fail = 2;
    node.config.reopen_interval_ms = 200; // the stall time is longer
    node_camera_apply_supervisor(&node.camera);
    assert_int_equal(set("Width=320\nHeight=240\n"), -WIRE_ERROR_BAD_VALUE);
    assert_false(node.camera.is_open);
    assert_int_equal(node.camera.state, WIRE_CAMERA_ABSENT);
    assert_int_equal(node.config.width, width);
    assert_int_equal(supervisor_next(&node.camera.supervisor, virtual_now_ns + 5 * NS_PER_S),
                     SUPERVISOR_OPEN);
    // The timer does not wait for when a stream would have been silent for too long.
    assert_int_equal(node.loop.timers[node.camera.timer].deadline_ns,
                     supervisor_deadline(&node.camera.supervisor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(modes_go_first_whatever_the_order_of_the_lines, begin, end),
        cmocka_unit_test_setup_teardown(a_control_that_the_camera_refuses_rolls_back, begin, end),
        cmocka_unit_test_setup_teardown(trigger_settings_that_cannot_be_are_rolled_back, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_size_that_the_camera_refuses_rolls_back, begin, end),
        cmocka_unit_test_setup_teardown(a_camera_that_takes_no_size_any_more_is_closed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
