// SPDX-License-Identifier: MIT
// The frames held for a trigger: each record leaves exactly once, the newest are claimed.
#include "app/pretrigger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct store_record record[8];
static struct pretrigger held;

/** Holds record `i`, exposed from i ms on for half a millisecond. Returns what has to be aborted.
 */
static struct store_record *hold(unsigned i, unsigned limit)
{
    struct held_frame frame = {
        .record = &record[i],
        .fields = {.timestamp_ns = i * NS_PER_MS + 500 * NS_PER_US, .exposure_us = 500},
        .jpeg_bytes = 100 + i,
    };
    return pretrigger_hold(&held, &frame, limit);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    memset(&held, 0, sizeof held);
    assert_null(hold(0, 2));
    assert_null(hold(1, 2));
    assert_ptr_equal(hold(2, 2), &record[0]);
    assert_int_equal(held.count, 2);
    assert_int_equal(held.used_max, 2);
}

static void without_a_place_the_frame_itself_goes(void **state)
{
    (void)state;
    memset(&held, 0, sizeof held);
    assert_ptr_equal(hold(3, 0), &record[3]);
    assert_int_equal(held.count, 0);
}

static void a_trigger_claims_the_newest(void **state)
{
    (void)state;
    const struct wire_frame answer = {
        .trigger_id = 17, .trigger_source = WIRE_SOURCE_LINE, .edge_ns = 10 * NS_PER_MS};
    struct held_frame out;
    memset(&held, 0, sizeof held);
    for (unsigned i = 0; i < 4; i++)
        assert_null(hold(i, 4));
    pretrigger_claim(&held, &answer, 2);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(pretrigger_pop(&held, &out));
        assert_ptr_equal(out.record, &record[i]);
        assert_int_equal(out.jpeg_bytes, 100 + i);
        assert_int_equal(out.is_claimed, i >= 2);
        if (i < 2)
            continue;
        assert_int_equal(out.fields.trigger_id, 17);
        assert_int_equal(out.fields.trigger_source, WIRE_SOURCE_LINE);
        assert_int_equal(out.fields.edge_ns, 10 * NS_PER_MS);
        assert_int_equal(out.fields.burst_index, (int)i - 4);
        assert_int_equal(out.fields.exposure_delta_ns, ((int64_t)i - 10) * (int64_t)NS_PER_MS);
    }
    assert_false(pretrigger_pop(&held, &out));
}

static void a_trigger_that_claims_more_than_there_are_gets_all(void **state)
{
    (void)state;
    const struct wire_frame answer = {.trigger_id = 1};
    struct held_frame out;
    memset(&held, 0, sizeof held);
    hold(0, 4);
    pretrigger_claim(&held, &answer, 3);
    assert_true(pretrigger_pop(&held, &out));
    assert_true(out.is_claimed);
    assert_int_equal(out.fields.burst_index, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(without_a_place_the_frame_itself_goes),
        cmocka_unit_test(a_trigger_claims_the_newest),
        cmocka_unit_test(a_trigger_that_claims_more_than_there_are_gets_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
