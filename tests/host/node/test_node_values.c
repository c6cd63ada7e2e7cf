// SPDX-License-Identifier: MIT
// What the node tells of itself where a wish and the truth may differ, and what it refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/node_request.h"
#include "app/node_state.h"
#include "hal/fake/camera_fake.h"

static struct node node;

static void assert_rate(double expected)
{
    double rate = node_camera_framerate(&node.camera);
    assert_true(rate > expected - 1e-6 && rate < expected + 1e-6);
}

static void the_frame_rate_is_what_the_camera_makes_of_the_wish(void **state)
{
    (void)state;
    node.camera.config = &node.config;
    node.config.framerate = 30;
    assert_rate(30);
    node.camera.is_open = true;
    node.camera.got.framerate = 60; // a camera with one rate: every other frame is left out
    assert_rate(30);
    node.camera.got.framerate = 25;
    assert_rate(25);
}

static void frames_that_last_longer_tell_the_rate(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    node.camera.config = &node.config;
    node.camera.is_open = true;
    node.config.framerate = node.camera.got.framerate = 30;
    node.camera.last_frame_duration_us = 100000; // a long exposure
    node.camera.frames_at_rate = 3;              // of the rate before, perhaps
    assert_rate(30);
    node.camera.frames_at_rate = 20;
    assert_rate(10);
    node.camera.last_frame_duration_us = 33334; // 33333.3, rounded up
    assert_rate(30);
    node.camera.last_frame_duration_us = 20000; // a camera with one rate
    assert_rate(30);
    node.camera.last_frame_duration_us = 0; // it does not say
    assert_rate(30);
    node.camera.is_open = false;
    node.camera.last_frame_duration_us = 100000;
    assert_rate(30);
}

/** A node without a camera whose triggers' memory has no place left: the oldest waits for its
 * frame, and behind it no two neighbours have the same source. */
static void fill_triggers(void)
{
    struct trigger *engine = &node.trigger.engine;
    node.config.trigger_source = CONFIG_SOURCE_TIMER;
    node.config.trigger_delay_us = 60000000;
    node.config.trigger_mode = CONFIG_TRIGGER_ON;
    node_camera_apply_trigger(&node.camera, 0);
    trigger_camera_up(engine, 0);
    for (unsigned i = 0; i < TRIGGER_RING / 2; i++) {
        trigger_software(engine, engine->tick_ns);
        trigger_tick(engine, engine->tick_ns);
    }
    assert_int_equal(engine->used, TRIGGER_RING);
}

static void a_set_whose_trigger_finds_no_place_changes_nothing(void **state)
{
    (void)state;
    static char reply[4096];
    const uint64_t bytes = 16u << 20;
    memset(&node, 0, sizeof node);
    config_defaults(&node.config);
    node_connect(&node, &hal_camera_fake, "");
    void *memory = aligned_alloc(4096, bytes);
    memset(memory, 0, bytes);
    assert_int_equal(store_init(&node.store, memory, bytes), 0);
    fill_triggers();
    const struct config before = node.config;
    // With the engine's settings or without, in either order: what waits is made to fail by new
    // settings, but keeps its place until it has been told.
    static const char *const lines[] = {"ImageCompressionQuality=31\nTriggerSoftware=1\n",
                                        "TriggerSoftware=1\nTriggerDelay=5\n"};
    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
        char text[64];
        int length = snprintf(text, sizeof text, "%s", lines[i]);
        assert_int_equal(node_request(&node, WIRE_TYPE_SET, text, (size_t)length, reply,
                                      sizeof reply, node.trigger.engine.tick_ns),
                         -WIRE_ERROR_UNAVAILABLE);
        assert_memory_equal(&node.config, &before, sizeof before);
        assert_int_equal(node.store.next_sequence, node.store.oldest); // nobody was told anything
        assert_true(node.trigger.engine.pending > 0);
        assert_string_equal(reply, "TriggerSoftware: too many wait for their frames");
    }
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frame_rate_is_what_the_camera_makes_of_the_wish),
        cmocka_unit_test(frames_that_last_longer_tell_the_rate),
        cmocka_unit_test(a_set_whose_trigger_finds_no_place_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
