// SPDX-License-Identifier: MIT
// The trigger engine by examples: what each rule and setting means. test_trigger_property.c has the
// rest.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "app/trigger/trigger.h"

#define MS(n)  ((uint64_t)(n) * NS_PER_MS)
#define PERIOD MS(30)

static struct trigger t;
static uint32_t line_sequence;

static struct trigger_config plain(void)
{
    return (struct trigger_config){.is_on = true,
                                   .source = WIRE_SOURCE_LINE,
                                   .rule = TRIGGER_FIRST_AFTER,
                                   .divider = 1,
                                   .burst_count = 1,
                                   .deadline_ns = MS(200),
                                   .period_ns = MS(100),
                                   .frame_interval_ns = PERIOD,
                                   .window_ns = MS(2)};
}

static void begin(const struct trigger_config *config)
{
    trigger_init(&t);
    line_sequence = 0;
    trigger_camera_up(&t, MS(0));
    assert_int_equal(trigger_configure(&t, config, MS(0)), 0);
}

static uint64_t edge_at(uint64_t ms)
{
    return trigger_edge(&t, MS(ms), ++line_sequence, MS(ms));
}

/** A frame exposed from start to start + 10 ms, delivered 40 ms after its start. */
static struct trigger_decision frame_at(uint64_t start_ms)
{
    const struct trigger_frame frame = {.start_ns = MS(start_ms), .end_ns = MS(start_ms + 10)};
    struct trigger_decision decision;
    trigger_frame(&t, &frame, MS(start_ms + 40), &decision);
    return decision;
}

static void expect_answer(struct trigger_decision decision, uint64_t id, int index)
{
    assert_int_equal(decision.verdict, TRIGGER_ANSWER);
    assert_int_equal(decision.trigger_id, id);
    assert_int_equal(decision.burst_index, index);
}

static void expect_run(uint64_t first, uint64_t last, enum wire_outcome outcome)
{
    struct trigger_outcome run;
    assert_true(trigger_pop_outcome(&t, &run));
    assert_int_equal(run.first_id, first);
    assert_int_equal(run.last_id, last);
    assert_int_equal(run.outcome, outcome);
}

static void expect_nothing_more(void)
{
    struct trigger_outcome run;
    assert_false(trigger_pop_outcome(&t, &run));
}

static void off_means_that_frames_are_free(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.is_on = false;
    begin(&config);
    assert_int_equal(edge_at(5), 0);
    assert_int_equal(trigger_software(&t, MS(6)), -EAGAIN);
    assert_int_equal(frame_at(10).verdict, TRIGGER_FREE);
    assert_int_equal(t.counters.edges_idle, 1);
    assert_true(trigger_next_deadline(&t) == NS_NEVER);
    expect_nothing_more();
}

static void the_first_exposure_after_the_edge_answers(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    assert_int_equal(frame_at(0).verdict, TRIGGER_DROP);
    assert_int_equal(edge_at(45), 1); // the frame from 30 to 40 is not delivered yet
    assert_int_equal(frame_at(30).verdict, TRIGGER_DROP);
    struct trigger_decision answer = frame_at(60);
    expect_answer(answer, 1, 0);
    assert_int_equal(answer.edge_ns, MS(45));
    assert_int_equal(answer.exposure_delta_ns, MS(15));
    assert_int_equal(answer.source, WIRE_SOURCE_LINE);
    expect_nothing_more(); // not before the frame is out
    trigger_frame_done(&t, 1);
    expect_run(1, 1, WIRE_OUTCOME_MATCHED);
    assert_int_equal(frame_at(90).verdict, TRIGGER_DROP);
}

static void edges_faster_than_delivery_are_no_overrun(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    edge_at(1); // answered by the frame at 30, which comes at 70
    edge_at(31);
    edge_at(61);
    expect_answer(frame_at(30), 1, 0);
    expect_answer(frame_at(60), 2, 0);
    expect_answer(frame_at(90), 3, 0);
}

static void two_edges_for_one_frame_are_an_overrun(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    edge_at(31);
    edge_at(40);
    edge_at(50);
    expect_answer(frame_at(60), 1, 0);
    assert_int_equal(trigger_edge(&t, MS(59), ++line_sequence, MS(101)), 4); // known too late
    trigger_frame_done(&t, 1);
    expect_run(1, 1, WIRE_OUTCOME_MATCHED);
    expect_run(2, 4, WIRE_OUTCOME_OVERRUN);
    expect_nothing_more();
}

static void a_trigger_without_a_frame_is_missed_at_its_deadline(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.delay_ns = MS(50);
    begin(&config);
    edge_at(10);
    assert_int_equal(trigger_next_deadline(&t), MS(260));
    trigger_tick(&t, MS(260) - 1);
    expect_nothing_more();
    trigger_tick(&t, MS(260));
    expect_run(1, 1, WIRE_OUTCOME_MISSED);
    assert_int_equal(frame_at(270).verdict, TRIGGER_DROP);
}

static void delayed_triggers_wait_side_by_side(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.delay_ns = MS(500); // a part needs that long to reach the camera
    begin(&config);
    for (unsigned i = 0; i < 5; i++)
        edge_at(10 + 100 * i);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(frame_at(480 + 100 * i).verdict, TRIGGER_DROP);
        expect_answer(frame_at(510 + 100 * i), i + 1, 0);
    }
}

static void the_exposure_that_contains_the_edge_answers(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.rule = TRIGGER_CONTAINS;
    config.readout_ns = MS(5);
    begin(&config);
    edge_at(30);
    expect_answer(frame_at(30), 1, 0); // 30 to 40, its last row to 45
    edge_at(75);
    expect_answer(frame_at(60), 2, 0);
    assert_int_equal(edge_at(104), 3);
    expect_answer(frame_at(90), 3, 0); // after its first row's end, before its last row's
    edge_at(136);                      // in between
    assert_int_equal(frame_at(120).verdict, TRIGGER_DROP);
    assert_int_equal(frame_at(150).verdict, TRIGGER_DROP);
    for (uint64_t id = 1; id <= 3; id++)
        trigger_frame_done(&t, id);
    expect_run(1, 3, WIRE_OUTCOME_MATCHED);
    expect_run(4, 4, WIRE_OUTCOME_MISSED);
}

static void divider_and_hold_off_make_triggers_rarer(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.divider = 3;
    config.hold_off_ns = MS(5);
    begin(&config);
    static const unsigned edges[] = {10, 12, 14, 20, 30, 33, 40, 50, 60};
    uint64_t ids[ARRAY_SIZE(edges)];
    for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
        ids[i] = edge_at(edges[i]);
    // 12, 14 and 33 are bounces; of 10, 20, 30, 40, 50, 60 each third is a trigger.
    assert_int_equal(ids[4], 1);
    assert_int_equal(ids[8], 2);
    assert_int_equal(t.counters.edges_held_off, 3);
    assert_int_equal(t.counters.edges_divided, 4);
    assert_int_equal(t.counters.triggers, 2);
}

static void edges_that_the_kernel_lost_are_counted(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    trigger_edge(&t, MS(1), 3, MS(1)); // the first two are gone
    trigger_edge(&t, MS(2), 4, MS(2));
    trigger_edge(&t, MS(3), 9, MS(3));
    assert_int_equal(t.counters.edges_lost, 6);
    trigger_line_opened(&t);
    trigger_edge(&t, MS(4), 1, MS(4));
    assert_int_equal(t.counters.edges_lost, 6);
    trigger_line_opened(&t);
    t.line_sequence = UINT32_MAX - 1;
    trigger_edge(&t, MS(5), UINT32_MAX, MS(5));
    trigger_edge(&t, MS(6), 1, MS(6)); // 0 is gone
    assert_int_equal(t.counters.edges_lost, 7);
}

static void broken_clocks_are_refused(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    edge_at(100);
    assert_int_equal(trigger_edge(&t, MS(90), 2, MS(101)), 0);
    assert_int_equal(trigger_edge(&t, MS(101) + TRIGGER_AHEAD_MAX_NS + 1, 3, MS(101)), 0);
    assert_int_equal(t.counters.edges_refused, 2);
    const struct trigger_frame upside_down = {.start_ns = MS(120), .end_ns = MS(110)};
    const struct trigger_frame ahead = {.start_ns = MS(120), .end_ns = MS(5000)};
    struct trigger_decision decision;
    trigger_frame(&t, &upside_down, MS(150), &decision);
    assert_int_equal(decision.verdict, TRIGGER_DROP);
    trigger_frame(&t, &ahead, MS(150), &decision);
    assert_int_equal(decision.verdict, TRIGGER_DROP);
    expect_answer(frame_at(120), 1, 0);
    assert_int_equal(frame_at(100).verdict, TRIGGER_DROP); // time went back
    assert_int_equal(t.counters.frames_refused, 3);
}

static void a_burst_is_one_trigger(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.burst_count = 3;
    begin(&config);
    edge_at(1);
    expect_answer(frame_at(30), 1, 0);
    edge_at(75); // during the burst
    expect_answer(frame_at(60), 1, 1);
    expect_answer(frame_at(90), 1, 2);
    edge_at(135);
    assert_int_equal(frame_at(120).verdict, TRIGGER_DROP);
    expect_answer(frame_at(150), 3, 0);
    trigger_frame_failed(&t, 1, 77);
    trigger_frame_failed(&t, 1, 78);
    trigger_frame_done(&t, 1); // one delivered frame makes it MATCHED
    expect_run(1, 1, WIRE_OUTCOME_MATCHED);
    expect_run(2, 2, WIRE_OUTCOME_OVERRUN);
    trigger_tick(&t, MS(190) + config.deadline_ns); // the rest of the second burst never comes
    expect_nothing_more();
    trigger_frame_done(&t, 3);
    expect_run(3, 3, WIRE_OUTCOME_MATCHED);
}

static void a_frame_that_cannot_be_delivered_fails_its_trigger(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    edge_at(1);
    expect_answer(frame_at(30), 1, 0);
    trigger_frame_failed(&t, 1, 4711);
    struct trigger_outcome run;
    assert_true(trigger_pop_outcome(&t, &run));
    assert_int_equal(run.outcome, WIRE_OUTCOME_FAILED);
    assert_int_equal(run.sensor_sequence, 4711);
    assert_int_equal(run.edge_ns, MS(1));
}

static void frames_from_before_are_held_and_claimed_once(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.pretrigger = 2;
    begin(&config);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(frame_at(30 * i).verdict, TRIGGER_HOLD);
    edge_at(115);
    struct trigger_decision answer = frame_at(120);
    expect_answer(answer, 1, 0);
    assert_int_equal(answer.pretrigger, 2);
    assert_int_equal(frame_at(150).verdict, TRIGGER_HOLD);
    edge_at(175);
    answer = frame_at(180);
    expect_answer(answer, 2, 0);
    assert_int_equal(answer.pretrigger, 1); // the others are published already
}

static void outcomes_leave_in_the_order_of_their_triggers(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    edge_at(1);
    edge_at(2);
    expect_answer(frame_at(30), 1, 0);
    edge_at(75);
    expect_answer(frame_at(90), 3, 0);
    trigger_frame_done(&t, 3);
    expect_nothing_more(); // 1 is being encoded still
    trigger_frame_done(&t, 1);
    expect_run(1, 1, WIRE_OUTCOME_MATCHED);
    expect_run(2, 2, WIRE_OUTCOME_OVERRUN);
    expect_run(3, 3, WIRE_OUTCOME_MATCHED);
}

static void without_a_camera_triggers_fail_at_once(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    edge_at(1);
    trigger_camera_down(&t, MS(5));
    edge_at(6);
    assert_int_equal(trigger_software(&t, MS(7)), -EAGAIN);
    trigger_camera_up(&t, MS(50));
    edge_at(55);
    expect_answer(frame_at(60), 3, 0);
    expect_run(1, 2, WIRE_OUTCOME_FAILED);
}

static void a_new_configuration_fails_what_waits(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    edge_at(1);
    expect_answer(frame_at(30), 1, 0);
    edge_at(75);
    assert_int_equal(trigger_configure(&t, &config, MS(80)), 0);
    trigger_frame_done(&t, 1); // what was chosen is still to be reported
    expect_run(1, 1, WIRE_OUTCOME_MATCHED);
    expect_run(2, 2, WIRE_OUTCOME_FAILED);
    edge_at(85);
    expect_answer(frame_at(90), 3, 0);
}

static void a_storm_answers_every_frame_in_constant_memory(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    uint64_t answers = 0, accounted = 0;
    uint64_t now_ns = 0;
    for (unsigned frame = 1; frame <= 100; frame++) {
        for (; now_ns < PERIOD * frame + MS(40); now_ns += 20 * NS_PER_US)
            trigger_edge(&t, now_ns, ++line_sequence, now_ns);
        struct trigger_decision decision = frame_at(30 * frame);
        if (decision.verdict == TRIGGER_ANSWER) {
            answers++;
            trigger_frame_done(&t, decision.trigger_id);
        }
        struct trigger_outcome run;
        unsigned runs = 0;
        for (; trigger_pop_outcome(&t, &run); runs++) {
            assert_int_equal(run.first_id, accounted + 1);
            accounted = run.last_id;
        }
        assert_true(runs <= 3);
    }
    assert_int_equal(answers, 100);
    assert_int_equal(t.counters.edges, t.counters.triggers);
}

static void the_timer_keeps_its_beat(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.source = WIRE_SOURCE_TIMER;
    begin(&config);
    assert_int_equal(trigger_next_deadline(&t), MS(100));
    trigger_tick(&t, MS(103)); // late, but the next one is due at 200
    struct trigger_decision answer = frame_at(120);
    expect_answer(answer, 1, 0);
    assert_int_equal(answer.edge_ns, MS(100));
    assert_int_equal(answer.source, WIRE_SOURCE_TIMER);
    assert_int_equal(trigger_next_deadline(&t), MS(200));
    trigger_tick(&t, MS(560)); // asleep for three ticks
    assert_int_equal(t.counters.ticks_skipped, 3);
    assert_int_equal(t.counters.triggers, 2);
    assert_int_equal(trigger_next_deadline(&t), MS(600));
}

static void software_triggers_work_beside_the_line(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    begin(&config);
    assert_int_equal(edge_at(1), 1);
    expect_answer(frame_at(30), 1, 0);
    assert_int_equal(trigger_software(&t, MS(75)), 2);
    struct trigger_decision answer = frame_at(90);
    expect_answer(answer, 2, 0);
    assert_int_equal(answer.source, WIRE_SOURCE_SOFTWARE);
    assert_int_equal(answer.edge_ns, MS(75));
}

/** A sensor that the edge itself triggers: exposure starts 2 ms after the edge. */
static void an_externally_triggered_sensor_is_paired_one_to_one(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.rule = TRIGGER_EXTERNAL;
    begin(&config);
    int64_t offset;
    uint64_t id = 0, ms = 0;
    for (; id < TRIGGER_CALIBRATION_PAIRS; ms += 37) {
        assert_false(trigger_offset(&t, &offset));
        assert_int_equal(edge_at(ms), ++id);
        expect_answer(frame_at(ms + 2), id, 0);
        trigger_frame_done(&t, id);
    }
    assert_true(trigger_offset(&t, &offset));
    assert_int_equal(offset, MS(2));
    expect_run(1, id, WIRE_OUTCOME_MATCHED);

    edge_at(ms); // the sensor overlooks this one
    edge_at(ms + 30);
    expect_answer(frame_at(ms + 32), id + 2, 0);
    trigger_frame_done(&t, id + 2);
    expect_run(id + 1, id + 1, WIRE_OUTCOME_MISSED);
    expect_run(id + 2, id + 2, WIRE_OUTCOME_MATCHED);
    assert_int_equal(frame_at(ms + 70).verdict, TRIGGER_DROP); // nobody's
    assert_int_equal(t.counters.frames_unpaired, 1);
    assert_int_equal(trigger_software(&t, MS(ms + 200)), -EAGAIN);
}

static void a_wrong_offset_is_learnt_anew(void **state)
{
    (void)state;
    struct trigger_config config = plain();
    config.rule = TRIGGER_EXTERNAL;
    begin(&config);
    int64_t offset;
    uint64_t ms = 0;
    for (unsigned i = 0; i < TRIGGER_CALIBRATION_PAIRS; i++, ms += 50) {
        edge_at(ms);
        frame_at(ms + 2);
    }
    for (unsigned i = 0; i < 3 * TRIGGER_CALIBRATION_PAIRS; i++, ms += 50) {
        edge_at(ms);
        frame_at(ms + 9);
    }
    assert_true(trigger_offset(&t, &offset));
    assert_int_equal(offset, MS(9));
}

static void bad_configurations_change_nothing(void **state)
{
    (void)state;
    const struct trigger_config good = plain();
    begin(&good);
    edge_at(1);
    struct trigger_config bad[8];
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        bad[i] = good;
    bad[0].divider = 0;
    bad[1].burst_count = 0;
    bad[2].burst_count = TRIGGER_BURST_MAX + 1;
    bad[3].pretrigger = TRIGGER_PRETRIGGER_MAX + 1;
    bad[4].deadline_ns = 0;
    bad[5].source = WIRE_SOURCE_TIMER;
    bad[5].period_ns = TRIGGER_PERIOD_MIN_NS - 1;
    bad[6].delay_ns = UINT64_MAX;
    bad[7].rule = TRIGGER_EXTERNAL;
    bad[7].delay_ns = 1;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(trigger_configure(&t, &bad[i], MS(2)), -EINVAL);
    expect_answer(frame_at(30), 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_means_that_frames_are_free),
        cmocka_unit_test(the_first_exposure_after_the_edge_answers),
        cmocka_unit_test(edges_faster_than_delivery_are_no_overrun),
        cmocka_unit_test(two_edges_for_one_frame_are_an_overrun),
        cmocka_unit_test(a_trigger_without_a_frame_is_missed_at_its_deadline),
        cmocka_unit_test(delayed_triggers_wait_side_by_side),
        cmocka_unit_test(the_exposure_that_contains_the_edge_answers),
        cmocka_unit_test(divider_and_hold_off_make_triggers_rarer),
        cmocka_unit_test(edges_that_the_kernel_lost_are_counted),
        cmocka_unit_test(broken_clocks_are_refused),
        cmocka_unit_test(a_burst_is_one_trigger),
        cmocka_unit_test(a_frame_that_cannot_be_delivered_fails_its_trigger),
        cmocka_unit_test(frames_from_before_are_held_and_claimed_once),
        cmocka_unit_test(outcomes_leave_in_the_order_of_their_triggers),
        cmocka_unit_test(without_a_camera_triggers_fail_at_once),
        cmocka_unit_test(a_new_configuration_fails_what_waits),
        cmocka_unit_test(a_storm_answers_every_frame_in_constant_memory),
        cmocka_unit_test(the_timer_keeps_its_beat),
        cmocka_unit_test(software_triggers_work_beside_the_line),
        cmocka_unit_test(an_externally_triggered_sensor_is_paired_one_to_one),
        cmocka_unit_test(a_wrong_offset_is_learnt_anew),
        cmocka_unit_test(bad_configurations_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
