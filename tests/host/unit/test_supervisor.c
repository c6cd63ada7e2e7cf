// SPDX-License-Identifier: MIT
// What is done about a camera that is silent, broken or gone: every row of the decision table.
#include "app/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS NS_PER_MS

static const struct supervisor_config usual = {
    .stall_ns = 1000 * MS, .reopen_ns = 500 * MS, .give_up_ns = 60000 * MS, .restart_attempts = 2};

/** Wants `action` at its deadline, and nothing before. */
static uint64_t expect(const struct supervisor *s, uint64_t from_ns, uint64_t at_ns,
                       enum supervisor_action action)
{
    for (uint64_t t = from_ns; t < at_ns; t += 10 * MS)
        assert_int_equal(supervisor_next(s, t), SUPERVISOR_WAIT);
    assert_int_equal(supervisor_deadline(s), at_ns);
    assert_int_equal(supervisor_next(s, at_ns), action);
    assert_int_equal(supervisor_next(s, at_ns), action); // asking changes nothing
    return at_ns;
}

static void test_opens_at_once(void **state)
{
    (void)state;
    struct supervisor s;
    supervisor_init(&s, &usual, 5000 * MS);
    expect(&s, 5000 * MS, 5000 * MS, SUPERVISOR_OPEN);
}

static void test_absent_camera_is_looked_for_until_giving_up(void **state)
{
    (void)state;
    struct supervisor s;
    uint64_t now = 0;
    unsigned opens = 1;
    supervisor_init(&s, &usual, now);
    supervisor_closed(&s, now);
    while (supervisor_next(&s, now + 500 * MS) == SUPERVISOR_OPEN) {
        now = expect(&s, now, now + 500 * MS, SUPERVISOR_OPEN);
        supervisor_closed(&s, now);
        opens++;
    }
    assert_int_equal(opens, 120);
    expect(&s, now, 60000 * MS, SUPERVISOR_GIVE_UP);
}

static void test_frames_keep_it_quiet(void **state)
{
    (void)state;
    struct supervisor s;
    supervisor_init(&s, &usual, 0);
    supervisor_started(&s, 0);
    for (uint64_t now = 0; now < 200000 * MS; now += 900 * MS) {
        assert_int_equal(supervisor_next(&s, now), SUPERVISOR_WAIT);
        supervisor_frame(&s, now);
        assert_int_equal(supervisor_deadline(&s), now + 1000 * MS);
    }
}

static void test_silence_restarts_then_reopens_then_gives_up(void **state)
{
    (void)state;
    struct supervisor s;
    uint64_t now = 0;
    supervisor_init(&s, &usual, now);
    supervisor_started(&s, now);
    supervisor_frame(&s, now = 100 * MS);
    for (int i = 0; i < 2; i++) {
        now = expect(&s, now, now + 1000 * MS, SUPERVISOR_RESTART);
        supervisor_restarting(&s);
        supervisor_started(&s, now);
    }
    now = expect(&s, now, now + 1000 * MS, SUPERVISOR_OPEN);
    supervisor_closed(&s, now); // closed on the way to opening it anew
    supervisor_started(&s, now);
    // The count of restarts starts over with a camera that was opened anew.
    now = expect(&s, now, now + 1000 * MS, SUPERVISOR_RESTART);
    // Starting is no sign of life: only frames put the end off.
    assert_int_equal(supervisor_next(&s, 60100 * MS - 1) == SUPERVISOR_GIVE_UP, false);
    assert_int_equal(supervisor_next(&s, 60100 * MS), SUPERVISOR_GIVE_UP);
}

static void test_a_frame_forgives_all(void **state)
{
    (void)state;
    struct supervisor s;
    supervisor_init(&s, &usual, 0);
    supervisor_started(&s, 0);
    for (int round = 0; round < 5; round++) {
        uint64_t now = (uint64_t)round * 10000 * MS;
        supervisor_frame(&s, now);
        for (int i = 0; i < 2; i++) {
            now = expect(&s, now, now + 1000 * MS, SUPERVISOR_RESTART);
            supervisor_restarting(&s);
            supervisor_started(&s, now);
        }
    }
}

static void test_stream_error_restarts_at_once(void **state)
{
    (void)state;
    struct supervisor s;
    supervisor_init(&s, &usual, 0);
    supervisor_started(&s, 0);
    supervisor_frame(&s, 10 * MS);
    supervisor_stream_error(&s);
    assert_int_equal(supervisor_next(&s, 11 * MS), SUPERVISOR_RESTART);
    supervisor_restarting(&s);
    supervisor_started(&s, 11 * MS);
    assert_int_equal(supervisor_next(&s, 12 * MS), SUPERVISOR_WAIT);
    // Errors without a frame in between escalate like silence, and make no storm of restarts.
    supervisor_stream_error(&s);
    expect(&s, 13 * MS, 511 * MS, SUPERVISOR_RESTART);
    supervisor_restarting(&s);
    supervisor_started(&s, 511 * MS);
    supervisor_stream_error(&s);
    expect(&s, 512 * MS, 1011 * MS, SUPERVISOR_OPEN);
    supervisor_closed(&s, 1011 * MS);
    supervisor_started(&s, 1011 * MS);
    // A frame makes the next error one to be answered at once.
    supervisor_frame(&s, 1020 * MS);
    supervisor_stream_error(&s);
    assert_int_equal(supervisor_next(&s, 1021 * MS), SUPERVISOR_RESTART);
}

static void test_failed_restart_waits_before_opening(void **state)
{
    (void)state;
    struct supervisor s;
    supervisor_init(&s, &usual, 0);
    supervisor_started(&s, 0);
    supervisor_stream_error(&s);
    supervisor_restarting(&s);
    supervisor_closed(&s, 50 * MS); // start() failed
    expect(&s, 50 * MS, 550 * MS, SUPERVISOR_OPEN);
}

static void test_without_restarts_it_opens_anew(void **state)
{
    (void)state;
    struct supervisor s;
    struct supervisor_config config = usual;
    config.restart_attempts = 0;
    supervisor_init(&s, &config, 0);
    supervisor_started(&s, 0);
    expect(&s, 0, 1000 * MS, SUPERVISOR_OPEN);
}

static void test_never_gives_up_when_told_so(void **state)
{
    (void)state;
    struct supervisor s;
    struct supervisor_config config = usual;
    config.give_up_ns = 0;
    supervisor_init(&s, &config, 0);
    supervisor_closed(&s, 0);
    assert_int_equal(supervisor_next(&s, UINT64_MAX / 2), SUPERVISOR_OPEN);
    assert_int_equal(supervisor_deadline(&s), 500 * MS);
}

/** What a turn still does after a slow start in it has the turn's own, older time. */
static void test_older_news_takes_nothing_from_a_start(void **state)
{
    (void)state;
    struct supervisor s;
    supervisor_init(&s, &usual, 0);
    supervisor_started(&s, 5000 * MS);
    supervisor_frame(&s, 100 * MS);
    supervisor_expect_silence(&s, 100 * MS);
    expect(&s, 5000 * MS, 6000 * MS, SUPERVISOR_RESTART);
}

static void test_expected_silence_is_no_stall(void **state)
{
    (void)state;
    struct supervisor s;
    supervisor_init(&s, &usual, 0);
    supervisor_started(&s, 0);
    for (uint64_t now = 0; now < 100000 * MS; now += 900 * MS) {
        assert_int_equal(supervisor_next(&s, now), SUPERVISOR_WAIT);
        supervisor_expect_silence(&s, now);
    }
    // But an error is an error.
    supervisor_stream_error(&s);
    assert_int_equal(supervisor_next(&s, 100000 * MS), SUPERVISOR_RESTART);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_at_once),
        cmocka_unit_test(test_absent_camera_is_looked_for_until_giving_up),
        cmocka_unit_test(test_frames_keep_it_quiet),
        cmocka_unit_test(test_silence_restarts_then_reopens_then_gives_up),
        cmocka_unit_test(test_a_frame_forgives_all),
        cmocka_unit_test(test_stream_error_restarts_at_once),
        cmocka_unit_test(test_failed_restart_waits_before_opening),
        cmocka_unit_test(test_without_restarts_it_opens_anew),
        cmocka_unit_test(test_never_gives_up_when_told_so),
        cmocka_unit_test(test_expected_silence_is_no_stall),
        cmocka_unit_test(test_older_news_takes_nothing_from_a_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
