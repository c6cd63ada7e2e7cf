// SPDX-License-Identifier: MIT
// The relay's window: records leave in order once they are stored, and ranges of what a stream has.
#include "hal/base.h"
#include "tools/relay/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RECORDS = 200 };

static void ranges_agree_with_a_table(void **state)
{
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 300; round++) {
        struct relay_ranges ranges = {0};
        bool has[RECORDS + 2] = {false};
        for (unsigned i = 0; i < 40; i++) {
            const uint64_t first = (uint64_t)rand() % RECORDS;
            const uint64_t last = base_min_u64(first + (uint64_t)rand() % 6, RECORDS - 1);
            assert_true(relay_ranges_add(&ranges, first, last));
            for (uint64_t at = first; at <= last; at++)
                has[at] = true;
            const uint64_t from = (uint64_t)rand() % RECORDS;
            const uint64_t to = from + (uint64_t)rand() % (RECORDS - from);
            uint64_t hole = from, end, found, until;
            while (hole <= to && has[hole])
                hole++;
            for (end = hole; end < to && !has[end + 1];)
                end++;
            const bool is_there = relay_ranges_hole(&ranges, from, to, &found, &until);
            assert_int_equal(is_there, hole <= to);
            if (is_there)
                assert_true(found == hole && until == end);
        }
        for (unsigned i = 1; i < ranges.count; i++)
            assert_true(ranges.at[i - 1].last + 1 < ranges.at[i].first);
    }
}

static void ranges_are_bounded(void **state)
{
    (void)state;
    static struct relay_ranges ranges;
    for (uint64_t i = 0; i < RELAY_RANGES_MAX; i++)
        assert_true(relay_ranges_add(&ranges, 2 * i, 2 * i));
    assert_false(relay_ranges_add(&ranges, 5000, 5000));
    assert_true(relay_ranges_add(&ranges, 1, 1)); // joins two
    assert_int_equal(ranges.count, RELAY_RANGES_MAX - 1);
}

static void records_leave_in_order(void **state)
{
    (void)state;
    static struct relay_window window;
    struct relay_entry out;
    for (uint64_t i = 0; i < 3 * RELAY_WINDOW_MAX; i += 3) {
        for (uint64_t k = 0; k < 3; k++) {
            struct relay_entry *entry = relay_window_add(&window);
            assert_non_null(entry);
            assert_int_equal(entry->behind, i);
            entry->sequence = i + k;
            entry->bytes = 10;
            window.bytes += 10;
        }
        relay_window_store(&window, i + 2, i + 3);
        relay_window_store(&window, i + 1, i + 2);
        assert_false(relay_window_take(&window, &out));
        relay_window_store(&window, i, i + 1);
        relay_window_store(&window, i + 50, 0); // not there
        for (uint64_t k = 0; k < 3; k++) {
            assert_true(relay_window_take(&window, &out));
            assert_int_equal(out.sequence, i + k);
            assert_null(relay_window_entry(&window, i + k));
        }
        assert_int_equal(window.bytes, 0);
        assert_int_equal(window.stream_newest, i + 3);
    }
}

static void the_window_is_bounded(void **state)
{
    (void)state;
    static struct relay_window window;
    for (unsigned i = 0; i < RELAY_WINDOW_MAX; i++)
        assert_non_null(relay_window_add(&window));
    assert_null(relay_window_add(&window));
}

static void limit_halves_and_grows_by_one_a_round(void **state)
{
    (void)state;
    struct relay_window window = {.limit = 8};
    relay_window_widen(&window, 8);
    assert_int_equal(window.limit, 8);
    for (unsigned limit = 4; limit > 1; limit /= 2) {
        relay_window_narrow(&window);
        assert_int_equal(window.limit, limit);
    }
    relay_window_narrow(&window);
    relay_window_narrow(&window);
    assert_int_equal(window.limit, 1);
    unsigned stored = 0;
    for (; window.limit < 8; stored++)
        relay_window_widen(&window, 8);
    assert_int_equal(stored, 1 + 2 + 3 + 4 + 5 + 6 + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_agree_with_a_table),
        cmocka_unit_test(ranges_are_bounded),
        cmocka_unit_test(limit_halves_and_grows_by_one_a_round),
        cmocka_unit_test(records_leave_in_order),
        cmocka_unit_test(the_window_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
