// SPDX-License-Identifier: MIT
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "app/trigger/strobe.h"

#define MS(n) ((n) * NS_PER_MS)

static struct strobe s;

static void configure(enum strobe_reference reference, uint64_t delay_ns, uint64_t width_ns)
{
    strobe_init(&s);
    const struct strobe_config config = {.is_on = true,
                                         .reference = reference,
                                         .delay_ns = delay_ns,
                                         .width_ns = width_ns,
                                         .frame_period_ns = MS(30)};
    assert_int_equal(strobe_configure(&s, &config, 0), 0);
}

/** Lets time pass up to `until`, doing what the planner wants `lag` after it wants it. */
static void run(uint64_t until_ns, uint64_t lag_ns)
{
    for (uint64_t at; (at = strobe_next_deadline(&s)) <= until_ns;) {
        assert_true(strobe_wants(&s, at) != s.level);
        strobe_wrote(&s, strobe_wants(&s, at), at + lag_ns);
    }
}

static void a_pulse_follows_its_trigger(void **state)
{
    (void)state;
    configure(STROBE_TRIGGER, MS(2), MS(5));
    assert_true(strobe_next_deadline(&s) == NS_NEVER && !strobe_wants(&s, MS(50)));
    strobe_trigger(&s, MS(100), MS(100), MS(101));
    assert_int_equal(strobe_next_deadline(&s), MS(102));
    assert_false(strobe_wants(&s, MS(102) - 1));
    assert_true(strobe_wants(&s, MS(102)));
    strobe_wrote(&s, true, MS(103)); // late, and as long as ever
    assert_int_equal(strobe_next_deadline(&s), MS(108));
    assert_true(strobe_wants(&s, MS(108) - 1));
    assert_false(strobe_wants(&s, MS(108)));
    strobe_wrote(&s, false, MS(108));
    assert_true(strobe_next_deadline(&s) == NS_NEVER);
    assert_int_equal(s.counters.pulses, 1);
    assert_int_equal(s.counters.late, 0);
    assert_int_equal(s.counters.late_max_ns, MS(1));
}

static void a_pulse_that_is_due_already_goes_on_at_once(void **state)
{
    (void)state;
    configure(STROBE_TRIGGER, 0, MS(5));
    strobe_trigger(&s, MS(100), MS(100), MS(104));
    assert_true(strobe_wants(&s, MS(104)));
    assert_int_equal(s.counters.late, 1);
}

static void triggers_during_a_pulse_plan_none(void **state)
{
    (void)state;
    configure(STROBE_TRIGGER, MS(2), MS(5));
    strobe_trigger(&s, MS(100), MS(100), MS(100));
    strobe_trigger(&s, MS(101), MS(101), MS(101)); // while it waits
    run(MS(104), 0);
    strobe_trigger(&s, MS(104), MS(104), MS(104)); // while it shines
    run(MS(200), 0);
    strobe_trigger(&s, MS(200), MS(200), MS(200));
    run(MS(300), 0);
    assert_int_equal(s.counters.pulses, 2);
    assert_int_equal(s.counters.skipped, 2);
    assert_int_equal(strobe_cover(&s, MS(101), MS(101), MS(104)), STROBE_NONE);
}

static void the_exposure_is_predicted_from_the_last_frame(void **state)
{
    (void)state;
    configure(STROBE_EXPOSURE, MS(1), MS(5));
    strobe_trigger(&s, MS(10), MS(10), MS(10));
    assert_int_equal(s.counters.skipped, 1); // no frame yet
    strobe_frame(&s, MS(100));
    strobe_trigger(&s, MS(110), MS(125), MS(112)); // frames start at 100, 130, 160 ...
    assert_int_equal(strobe_next_deadline(&s), MS(131));
    run(MS(200), 0);
    strobe_trigger(&s, MS(190), MS(190), MS(190)); // 190 itself is one
    assert_int_equal(strobe_next_deadline(&s), MS(191));
    run(MS(240), 0);
    strobe_trigger(&s, MS(241), MS(251), MS(241));
    assert_int_equal(strobe_next_deadline(&s), MS(281));
}

static void cover_says_whether_each_row_got_the_same_light(void **state)
{
    (void)state;
    static const struct {
        uint64_t start_ms, end_ms, readout_ms;
        enum strobe_cover cover;
    } cases[] = {
        {100, 105, 0, STROBE_COVERED}, // pulse 100..105: exactly
        {101, 104, 1, STROBE_COVERED}, // around all rows
        {101, 104, 2, STROBE_MISSED},  // the last rows were dark at their end
        {99, 104, 0, STROBE_MISSED},   // begins late, ends late
        {90, 110, 0, STROBE_COVERED},  // a flash within the exposure
        {90, 110, 10, STROBE_COVERED}, // all rows are exposed from 100 to 110
        {90, 110, 11, STROBE_MISSED},  // not all at 100
        {110, 120, 0, STROBE_MISSED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        configure(STROBE_TRIGGER, 0, MS(5));
        s.config.readout_ns = MS(cases[i].readout_ms);
        strobe_trigger(&s, MS(100), MS(100), MS(100));
        run(MS(200), 0);
        assert_int_equal(strobe_cover(&s, MS(100), MS(cases[i].start_ms), MS(cases[i].end_ms)),
                         cases[i].cover);
        assert_int_equal(s.counters.covered + s.counters.missed, 1);
    }
    assert_int_equal(strobe_cover(&s, MS(99), MS(100), MS(105)), STROBE_NONE);
}

static void the_readback_line_knows_better(void **state)
{
    (void)state;
    configure(STROBE_TRIGGER, 0, MS(5));
    strobe_trigger(&s, MS(100), MS(100), MS(100));
    run(MS(200), MS(1)); // written at 101 and 107, as far as the writer knows
    strobe_readback(&s, true, MS(100) + 500);
    strobe_readback(&s, false, MS(106));
    assert_int_equal(s.counters.late_max_ns, MS(1));
    assert_int_equal(s.counters.readback_max_ns, 500);
    assert_int_equal(strobe_cover(&s, MS(100), MS(100) + 600, MS(106)), STROBE_COVERED);
    assert_int_equal(strobe_cover(&s, MS(100), MS(100) + 400, MS(105)), STROBE_MISSED);
}

static void a_new_configuration_ends_the_pulse(void **state)
{
    (void)state;
    configure(STROBE_TRIGGER, 0, MS(500));
    strobe_trigger(&s, MS(100), MS(100), MS(100));
    strobe_wrote(&s, true, MS(100));
    struct strobe_config config = s.config;
    config.width_ns = 0;
    assert_int_equal(strobe_configure(&s, &config, MS(110)), -EINVAL);
    assert_true(strobe_wants(&s, MS(110)));
    config.width_ns = MS(1);
    assert_int_equal(strobe_configure(&s, &config, MS(110)), 0);
    assert_false(strobe_wants(&s, MS(110)));
    strobe_wrote(&s, false, MS(110));
    config.is_on = false;
    assert_int_equal(strobe_configure(&s, &config, MS(120)), 0);
    strobe_trigger(&s, MS(130), MS(130), MS(130));
    assert_true(strobe_next_deadline(&s) == NS_NEVER);
}

static void old_pulses_make_room(void **state)
{
    (void)state;
    configure(STROBE_TRIGGER, 0, MS(1));
    for (uint64_t i = 1; i <= 3 * STROBE_PULSES; i++) {
        strobe_trigger(&s, MS(10 * i), MS(10 * i), MS(10 * i));
        run(MS(10 * i + 5), 0);
    }
    assert_int_equal(s.counters.pulses, 3 * STROBE_PULSES);
    const uint64_t newest_ns = MS(30 * STROBE_PULSES);
    assert_int_equal(strobe_cover(&s, newest_ns, newest_ns, newest_ns + 1), STROBE_COVERED);
    assert_int_equal(strobe_cover(&s, MS(10), MS(10), MS(10) + 1), STROBE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pulse_follows_its_trigger),
        cmocka_unit_test(a_pulse_that_is_due_already_goes_on_at_once),
        cmocka_unit_test(triggers_during_a_pulse_plan_none),
        cmocka_unit_test(the_exposure_is_predicted_from_the_last_frame),
        cmocka_unit_test(cover_says_whether_each_row_got_the_same_light),
        cmocka_unit_test(the_readback_line_knows_better),
        cmocka_unit_test(a_new_configuration_ends_the_pulse),
        cmocka_unit_test(old_pulses_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
