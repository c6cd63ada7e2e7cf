// SPDX-License-Identifier: MIT
// The queue between camera and encoder: which frame waits, and which one is given up.
#include "app/frame_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define BUFFERS 4u

static struct frame_queue queue;
static struct queued_frame lost;

static void setup(void)
{
    queue = (struct frame_queue){.count = 0};
    lost = (struct queued_frame){.acquired_ns = 0};
}

/** Offers the frame `number`; true when one was given up, which is then in `lost`. */
static bool offer(uint32_t number, enum trigger_verdict verdict, bool is_encoding)
{
    struct queued_frame frame = {.frame.sensor_sequence = number, .decision.verdict = verdict};
    return frame_queue_offer(&queue, &frame, BUFFERS, is_encoding, &lost);
}

static void assert_next(uint32_t number)
{
    struct queued_frame next;
    assert_true(frame_queue_take(&queue, &next));
    assert_int_equal(next.frame.sensor_sequence, number);
}

static void assert_lost(uint32_t number)
{
    assert_int_equal(lost.frame.sensor_sequence, number);
}

static void the_newest_free_running_frame_replaces_the_one_that_waits(void **state)
{
    (void)state;
    setup();
    assert_false(offer(1, TRIGGER_FREE, false));
    assert_true(offer(2, TRIGGER_FREE, true));
    assert_lost(1);
    assert_true(offer(3, TRIGGER_FREE, true));
    assert_lost(2);
    assert_next(3);
    assert_false(frame_queue_take(&queue, &lost));
}

static void answers_wait_in_order_up_to_what_the_sensor_keeps(void **state)
{
    (void)state;
    setup();
    for (uint32_t i = 1; i <= BUFFERS - FRAME_QUEUE_SENSOR_KEEPS; i++)
        assert_false(offer(i, TRIGGER_ANSWER, false));
    assert_true(offer(9, TRIGGER_ANSWER, false));
    assert_lost(9); // none of them may be displaced, so the newest goes
    for (uint32_t i = 1; i <= BUFFERS - FRAME_QUEUE_SENSOR_KEEPS; i++)
        assert_next(i);
    assert_int_equal(queue.used_max, BUFFERS - FRAME_QUEUE_SENSOR_KEEPS);
}

static void an_answer_displaces_a_frame_that_answers_nothing(void **state)
{
    (void)state;
    setup();
    assert_false(offer(1, TRIGGER_HOLD, false));
    assert_false(offer(2, TRIGGER_ANSWER, false));
    assert_true(offer(3, TRIGGER_ANSWER, false));
    assert_lost(1);
    assert_next(2);
    assert_next(3);
}

static void the_frame_at_the_encoder_counts(void **state)
{
    (void)state;
    setup();
    assert_false(offer(1, TRIGGER_ANSWER, true));
    assert_true(offer(2, TRIGGER_ANSWER, true));
    assert_lost(2);
}

static void a_frame_to_hold_never_displaces(void **state)
{
    (void)state;
    setup();
    assert_false(offer(1, TRIGGER_HOLD, true));
    assert_true(offer(2, TRIGGER_HOLD, true));
    assert_lost(2);
    assert_next(1);
}

static void with_a_single_spare_buffer_one_frame_still_waits(void **state)
{
    (void)state;
    setup();
    struct queued_frame answer = {.decision.verdict = TRIGGER_ANSWER};
    struct queued_frame held = {.decision.verdict = TRIGGER_HOLD};
    assert_true(frame_queue_offer(&queue, &held, 2, true, &lost));
    assert_false(frame_queue_offer(&queue, &answer, 2, true, &lost));
    assert_true(frame_queue_offer(&queue, &answer, 2, true, &lost));
    assert_int_equal(queue.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_free_running_frame_replaces_the_one_that_waits),
        cmocka_unit_test(answers_wait_in_order_up_to_what_the_sensor_keeps),
        cmocka_unit_test(an_answer_displaces_a_frame_that_answers_nothing),
        cmocka_unit_test(the_frame_at_the_encoder_counts),
        cmocka_unit_test(a_frame_to_hold_never_displaces),
        cmocka_unit_test(with_a_single_spare_buffer_one_frame_still_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
