// SPDX-License-Identifier: MIT
// The longest turn, from readings of both clocks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/turn.h"

/** A turn after a wait, that ends at `end_ns`, with its CPU time where the turn asks for it. */
static bool turn_after_wait(struct turn *turn, uint64_t start_ns, uint64_t end_ns, uint64_t cpu_ns)
{
    turn_start(turn, start_ns);
    bool is_asked = turn_end(turn, end_ns);
    if (is_asked)
        turn_judge(turn, cpu_ns);
    return is_asked;
}

static void test_waiting_is_no_part_of_a_turn(void **state)
{
    (void)state;
    struct turn turn = {0};
    assert_true(turn_wait(&turn));
    turn_read(&turn, 5);
    assert_true(turn_after_wait(&turn, 1000, 1300, 305));
    assert_int_equal(turn.worst_ns, 300);
    assert_int_equal(turn.worst_cpu_ns, 300);
}

static void test_short_turns_ask_for_nothing(void **state)
{
    (void)state;
    struct turn turn = {0};
    turn_wait(&turn);
    turn_read(&turn, 1);
    turn_after_wait(&turn, 1000, 1300, 301);
    assert_false(turn_after_wait(&turn, 1310, 1600, 0));
    assert_int_equal(turn.worst_ns, 300);
    // The poll between two turns belongs to the second.
    turn_start(&turn, 1610);
    assert_true(turn_end(&turn, 1901));
    turn_judge(&turn, 902);
    assert_int_equal(turn.worst_cpu_ns, 301);
}

static void test_time_of_others_is_left_out(void **state)
{
    (void)state;
    struct turn turn = {0};
    turn_wait(&turn);
    turn_read(&turn, 1);
    turn_after_wait(&turn, 1000, 1300, 301);
    turn_start(&turn, 1300);
    assert_false(turn_end(&turn, 1600));
    turn_start(&turn, 1600);
    assert_true(turn_end(&turn, 5800)); // 4200, of which 4000 were another's
    turn_judge(&turn, 801);
    assert_int_equal(turn.worst_ns, 4200);
    assert_int_equal(turn.worst_cpu_ns, 300);
    // Taken into account once.
    turn_start(&turn, 5800);
    assert_true(turn_end(&turn, 6200));
    turn_judge(&turn, 1201);
    assert_int_equal(turn.worst_cpu_ns, 400);
}

static void test_an_old_reading_is_renewed(void **state)
{
    (void)state;
    struct turn turn = {0};
    turn_wait(&turn);
    turn_read(&turn, 1);
    turn_after_wait(&turn, 1000, 1300, 301);
    turn_start(&turn, 1300);
    turn_end(&turn, 1550); // another's time, too short to ask
    assert_false(turn_wait(&turn));
    turn_start(&turn, 1300 + TURN_READING_NS);
    turn_end(&turn, 1310 + TURN_READING_NS);
    assert_true(turn_wait(&turn));
    turn_read(&turn, 310);
    assert_true(turn_after_wait(&turn, 2 * TURN_READING_NS, 2 * TURN_READING_NS + 350, 660));
    assert_int_equal(turn.worst_cpu_ns, 350);
}

static void test_waits_between_two_readings_are_left_out(void **state)
{
    (void)state;
    struct turn turn = {0};
    turn_wait(&turn);
    turn_read(&turn, 1);
    turn_after_wait(&turn, 1000, 1300, 301);
    assert_false(turn_wait(&turn));
    turn_start(&turn, 9000);
    turn_end(&turn, 9100);
    assert_false(turn_wait(&turn));
    assert_true(turn_after_wait(&turn, 20000, 20700, 301 + 100 + 400)); // 300 were another's
    assert_int_equal(turn.worst_cpu_ns, 400);
}

static void test_a_skipped_turn_does_not_count(void **state)
{
    (void)state;
    struct turn turn = {0};
    turn_wait(&turn);
    turn_start(&turn, 1000);
    turn_skip(&turn, 9000, 7000);
    assert_int_equal(turn.worst_ns, 0);
    turn_start(&turn, 9000);
    assert_true(turn_end(&turn, 9200));
    turn_judge(&turn, 7150);
    assert_int_equal(turn.worst_ns, 200);
    assert_int_equal(turn.worst_cpu_ns, 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waiting_is_no_part_of_a_turn),
        cmocka_unit_test(test_short_turns_ask_for_nothing),
        cmocka_unit_test(test_time_of_others_is_left_out),
        cmocka_unit_test(test_an_old_reading_is_renewed),
        cmocka_unit_test(test_waits_between_two_readings_are_left_out),
        cmocka_unit_test(test_a_skipped_turn_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
