// SPDX-License-Identifier: MIT
// Pacing: how many frames of a faster camera are left out, and when pacing gets out of step.
#include "app/pacer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_NS (1000 * NS_PER_S)

/** How many of `count` frames at `camera_rate` are due at `wanted_rate`. */
static unsigned count_due(struct pacer *pacer, uint64_t start_ns, unsigned count,
                          double camera_rate, double wanted_rate)
{
    unsigned due = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t timestamp_ns = start_ns + (uint64_t)((double)i * 1e9 / camera_rate);
        due += pacer_is_due(pacer, timestamp_ns, camera_rate, wanted_rate);
    }
    return due;
}

static void every_frame_is_due_at_the_camera_s_own_rate(void **state)
{
    (void)state;
    struct pacer pacer = {.due_ns = 0};
    assert_int_equal(count_due(&pacer, START_NS, 300, 30, 30), 300);
}

static void the_wanted_rate_comes_out_whatever_the_ratio(void **state)
{
    (void)state;
    static const double wanted[] = {1, 7, 10, 12.5, 24, 25, 29};
    for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++) {
        struct pacer pacer = {.due_ns = 0};
        unsigned due = count_due(&pacer, START_NS, 3000, 30, wanted[i]); // 100 s
        assert_in_range(due, (unsigned)(wanted[i] * 100) - 1, (unsigned)(wanted[i] * 100) + 1);
    }
}

static void a_camera_with_jitter_keeps_its_frames(void **state)
{
    (void)state;
    struct pacer pacer = {.due_ns = 0};
    const uint64_t period_ns = NS_PER_S / 30;
    for (unsigned i = 0; i < 300; i++) {
        uint64_t early_ns = i % 3 == 1 ? period_ns / 3 : 0;
        assert_true(pacer_is_due(&pacer, START_NS + i * period_ns - early_ns, 30, 30));
    }
}

/** After a pause the frames that were missed are not made up for. */
static void a_camera_that_fell_behind_starts_a_new_step(void **state)
{
    (void)state;
    struct pacer pacer = {.due_ns = 0};
    count_due(&pacer, START_NS, 30, 30, 10);
    assert_int_equal(count_due(&pacer, START_NS + 60 * NS_PER_S, 30, 30, 10), 10);
}

static void a_restart_makes_the_next_frame_due(void **state)
{
    (void)state;
    struct pacer pacer = {.due_ns = 0};
    assert_true(pacer_is_due(&pacer, START_NS, 30, 0.01));
    assert_false(pacer_is_due(&pacer, START_NS + NS_PER_S, 30, 0.01));
    pacer_restart(&pacer);
    assert_true(pacer_is_due(&pacer, START_NS + 2 * NS_PER_S, 30, 30));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_is_due_at_the_camera_s_own_rate),
        cmocka_unit_test(the_wanted_rate_comes_out_whatever_the_ratio),
        cmocka_unit_test(a_camera_with_jitter_keeps_its_frames),
        cmocka_unit_test(a_camera_that_fell_behind_starts_a_new_step),
        cmocka_unit_test(a_restart_makes_the_next_frame_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
