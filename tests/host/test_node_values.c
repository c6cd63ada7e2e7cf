// SPDX-License-Identifier: MIT
// What the node tells of itself where a wish and the truth may differ.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "app/node_private.h"

static struct node node;

static void assert_rate(double expected)
{
    double rate = node_camera_framerate(&node);
    assert_true(rate > expected - 1e-6 && rate < expected + 1e-6);
}

static void the_frame_rate_is_what_the_camera_makes_of_the_wish(void **state)
{
    (void)state;
    node.config.framerate = 30;
    assert_rate(30);
    node.is_camera_open = true;
    node.got.framerate = 60; // a camera with one rate: every other frame is left out
    assert_rate(30);
    node.got.framerate = 25;
    assert_rate(25);
}

static void frames_that_last_longer_tell_the_rate(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    node.is_camera_open = true;
    node.config.framerate = node.got.framerate = 30;
    node.last_frame_duration_us = 100000; // a long exposure
    node.frames_at_rate = 3;              // of the rate before, perhaps
    assert_rate(30);
    node.frames_at_rate = 20;
    assert_rate(10);
    node.last_frame_duration_us = 33334; // 33333.3, rounded up
    assert_rate(30);
    node.last_frame_duration_us = 20000; // a camera with one rate
    assert_rate(30);
    node.last_frame_duration_us = 0; // it does not say
    assert_rate(30);
    node.is_camera_open = false;
    node.last_frame_duration_us = 100000;
    assert_rate(30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frame_rate_is_what_the_camera_makes_of_the_wish),
        cmocka_unit_test(frames_that_last_longer_tell_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
