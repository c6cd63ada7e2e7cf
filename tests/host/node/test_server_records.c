// SPDX-License-Identifier: MIT
// What a subscriber gets: policies, positions, gaps, filters.
#include "tests/host/support/server_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/host/support/virtual_clock.h"

static struct bench b;
static struct bench_client c;
static struct bench_message m;
static const struct server_config usual;

/** A server whose log has `frames` frames of one block. */
static void begin(uint32_t blocks, unsigned frames)
{
    bench_open(&b, blocks, &usual, NULL);
    for (unsigned i = 0; i < frames; i++)
        bench_publish(&b, 1000, 0);
    bench_greet(&b, &c, 0);
}

static void end(void)
{
    bench_expect_nothing(&c);
    bench_hang_up(&c);
    bench_close(&b);
}

static void expect_gap(uint64_t first, uint64_t last)
{
    bench_expect(&c, WIRE_TYPE_EVENT, &m);
    assert_int_equal(m.event.kind, WIRE_EVENT_GAP);
    assert_int_equal(m.event.first, first);
    assert_int_equal(m.event.last, last);
    assert_int_equal(m.event.sequence, last);
    assert_int_equal(m.event.boot_id, BENCH_BOOT_ID);
}

static void expect_event(uint64_t sequence)
{
    bench_expect(&c, WIRE_TYPE_EVENT, &m);
    assert_int_equal(m.event.kind, WIRE_EVENT_CAMERA);
    assert_int_equal(m.event.sequence, sequence);
}

static void test_from_newest(void **state)
{
    (void)state;
    for (uint8_t policy = WIRE_POLICY_LATEST; policy <= WIRE_POLICY_EVERY; policy++) {
        begin(32, 5);
        bench_subscribe(&c, &(struct wire_subscribe){.policy = policy});
        bench_expect_frame(&c, 5, 0);
        bench_expect_nothing(&c);
        bench_publish(&b, 70000, 0);
        bench_expect_frame(&c, 6, 0);
        end();
    }
}

static void test_from_next(void **state)
{
    (void)state;
    for (uint8_t policy = WIRE_POLICY_LATEST; policy <= WIRE_POLICY_EVERY; policy++) {
        begin(32, 5);
        bench_subscribe(
            &c, &(struct wire_subscribe){.policy = policy, .from_sequence = WIRE_FROM_NEXT});
        bench_expect_nothing(&c);
        bench_publish(&b, 10, 0);
        bench_expect_frame(&c, 6, 0);
        end();
    }
}

static void test_from_an_empty_log(void **state)
{
    (void)state;
    for (uint8_t policy = WIRE_POLICY_LATEST; policy <= WIRE_POLICY_EVERY; policy++) {
        begin(32, 0);
        bench_subscribe(&c, &(struct wire_subscribe){.policy = policy});
        bench_expect_nothing(&c);
        bench_publish(&b, 10, 0);
        bench_expect_frame(&c, 1, 0);
        end();
    }
}

static void test_every_from_a_sequence(void **state)
{
    (void)state;
    begin(32, 6);
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY, .from_sequence = 3});
    for (uint64_t id = 3; id <= 6; id++)
        bench_expect_frame(&c, id, 0);
    end();
}

static void test_beyond_the_log_waits(void **state)
{
    (void)state;
    for (uint8_t policy = WIRE_POLICY_LATEST; policy <= WIRE_POLICY_EVERY; policy++) {
        begin(32, 2);
        bench_subscribe(&c, &(struct wire_subscribe){.policy = policy, .from_sequence = 5});
        for (int i = 0; i < 2; i++) {
            bench_publish(&b, 10, 0);
            bench_expect_nothing(&c);
        }
        bench_publish(&b, 10, 0);
        bench_expect_frame(&c, 5, 0);
        end();
    }
}

static void test_evicted_records_are_one_exact_gap(void **state)
{
    (void)state;
    begin(10, 25);
    bench_publish_event(&b, "x");
    assert_int_equal(b.store.oldest, 16);
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY, .from_sequence = 4});
    expect_gap(4, 15);
    for (uint64_t id = 16; id <= 25; id++)
        bench_expect_frame(&c, id, 0);
    expect_event(26);
    assert_int_equal(b.server.stats.gaps, 1);
    assert_int_equal(b.server.stats.frames_skipped, 0);
    end();
}

static void test_another_boot_starts_anew(void **state)
{
    (void)state;
    begin(10, 25);
    struct wire_subscribe wish = {
        .policy = WIRE_POLICY_EVERY, .boot_id = 1234, .from_sequence = 900};
    bench_subscribe(&c, &wish);
    bench_expect(&c, WIRE_TYPE_EVENT, &m);
    assert_int_equal(m.event.kind, WIRE_EVENT_BOOT);
    assert_int_equal(m.event.boot_id, BENCH_BOOT_ID);
    assert_int_equal(m.event.sequence, 0);
    for (uint64_t id = 16; id <= 25; id++)
        bench_expect_frame(&c, id, 0);
    wish.policy = WIRE_POLICY_LATEST;
    bench_subscribe(&c, &wish);
    bench_expect(&c, WIRE_TYPE_EVENT, &m);
    assert_int_equal(m.event.kind, WIRE_EVENT_BOOT);
    bench_expect_frame(&c, 25, 0);
    // The node's own boot is no news.
    wish.policy = WIRE_POLICY_EVERY;
    wish.boot_id = BENCH_BOOT_ID;
    wish.from_sequence = 25;
    bench_subscribe(&c, &wish);
    bench_expect_frame(&c, 25, 0);
    end();
}

static void test_events_come_in_their_order(void **state)
{
    (void)state;
    begin(32, 1);
    bench_publish_event(&b, "2");
    bench_publish(&b, 10, 0);
    bench_publish_event(&b, "4");
    bench_publish(&b, 10, 0);
    bench_publish_event(&b, "6");
    struct wire_subscribe wish = {.policy = WIRE_POLICY_LATEST, .from_sequence = 1};
    bench_subscribe(&c, &wish);
    expect_event(2);
    expect_event(4);
    bench_expect_frame(&c, 3, 1); // frame 2 lies between the event and it
    expect_event(6);
    wish.policy = WIRE_POLICY_EVERY;
    bench_subscribe(&c, &wish);
    bench_expect_frame(&c, 1, 0);
    expect_event(2);
    bench_expect_frame(&c, 2, 0);
    expect_event(4);
    bench_expect_frame(&c, 3, 0);
    expect_event(6);
    wish.filter = WIRE_FILTER_NO_EVENTS;
    bench_subscribe(&c, &wish);
    for (uint64_t id = 1; id <= 3; id++)
        bench_expect_frame(&c, id, 0);
    end();
}

static void test_triggered_only(void **state)
{
    (void)state;
    begin(32, 0);
    for (uint64_t i = 1; i <= 12; i++)
        bench_publish(&b, 10, i % 4 == 0 ? i : 0);
    struct wire_subscribe wish = {
        .policy = WIRE_POLICY_EVERY, .filter = WIRE_FILTER_TRIGGERED_ONLY, .from_sequence = 1};
    bench_subscribe(&c, &wish);
    bench_expect_frame(&c, 4, 0);
    bench_expect_frame(&c, 8, 3);
    bench_expect_frame(&c, 12, 3);
    bench_publish(&b, 10, 0);
    bench_expect_nothing(&c);
    wish.policy = WIRE_POLICY_LATEST;
    bench_subscribe(&c, &wish);
    bench_expect_frame(&c, 12, 0); // the newest of those wanted, not the newest of all
    end();
}

static void test_interval(void **state)
{
    (void)state;
    begin(32, 20); // 10 ms apart
    struct wire_subscribe wish = {
        .policy = WIRE_POLICY_EVERY, .interval_us = 35000, .from_sequence = 1};
    bench_subscribe(&c, &wish);
    bench_expect_frame(&c, 1, 0);
    for (uint64_t id = 5; id <= 17; id += 4)
        bench_expect_frame(&c, id, 3);
    bench_expect_nothing(&c);
    wish.policy = WIRE_POLICY_LATEST;
    bench_subscribe(&c, &wish);
    bench_expect_frame(&c, 20, 0);
    for (int i = 0; i < 3; i++) {
        bench_publish(&b, 10, 0);
        bench_expect_nothing(&c);
    }
    bench_publish(&b, 10, 0);
    bench_expect_frame(&c, 24, 3);
    end();
}

static void test_policy_none_stops_the_flow(void **state)
{
    (void)state;
    begin(32, 1);
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY});
    bench_expect_frame(&c, 1, 0);
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_NONE});
    bench_publish(&b, 10, 0);
    bench_expect_nothing(&c);
    assert_false(server_has_output(&b.server));
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY, .from_sequence = 2});
    bench_expect_frame(&c, 2, 0);
    end();
}

static void test_newest_frame_pushed_out_of_the_log(void **state)
{
    (void)state;
    begin(32, 3);
    for (unsigned i = 0; i < STORE_RECORDS_MAX + 5; i++)
        bench_publish_event(&b, "flood");
    assert_int_equal(b.store.oldest, 3 + 6);
    // The frame is in no log any more, but it is the newest there is.
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_LATEST});
    bench_expect_frame(&c, 3, 0);
    expect_gap(4, b.store.oldest - 1); // events that are gone are told of under any policy
    for (uint64_t s = b.store.oldest; s < b.store.next_sequence; s++)
        expect_event(s);
    bench_publish(&b, 10, 0);
    bench_expect_frame(&c, 4, 0);
    // Policy every is about the log.
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY, .from_sequence = 2});
    expect_gap(2, b.store.oldest - 1);
    uint64_t last = b.store.next_sequence - 1;
    for (uint64_t s = b.store.oldest; s < last; s++)
        expect_event(s);
    bench_expect_frame(&c, 4, 0);
    end();
}

static void test_latest_with_a_position_before_the_log(void **state)
{
    (void)state;
    begin(4, 12);
    bench_publish_event(&b, "13");
    bench_publish(&b, 10, 0);
    assert_int_equal(b.store.oldest, 10);
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_LATEST, .from_sequence = 2});
    expect_event(13);
    bench_expect_frame(&c, 13, 0);
    end();
}

static void test_latest_is_told_of_events_that_are_gone(void **state)
{
    (void)state;
    begin(4, 3);
    bench_publish_event(&b, "4");
    for (unsigned i = 0; i < 6; i++)
        bench_publish(&b, 10, 0); // sequences 5 to 10, frames 4 to 9
    assert_int_equal(b.store.oldest, 7);
    struct wire_subscribe wish = {.policy = WIRE_POLICY_LATEST, .from_sequence = 2};
    bench_subscribe(&c, &wish);
    expect_gap(2, 6);
    bench_expect_frame(&c, 9, 3); // frames 6 to 8 are retained, and left out by the policy
    assert_int_equal(b.server.stats.gaps, 1);
    // Frames alone are no loss here, nor are events to a subscriber without them.
    wish.from_sequence = 5;
    bench_subscribe(&c, &wish);
    bench_expect_frame(&c, 9, 0);
    wish.from_sequence = 2;
    wish.filter = WIRE_FILTER_NO_EVENTS;
    bench_subscribe(&c, &wish);
    bench_expect_frame(&c, 9, 0);
    end();
}

static void test_latest_gets_a_frame_that_outlasts_its_neighbours(void **state)
{
    (void)state;
    begin(32, 1);
    bench_publish_event(&b, "2");
    bench_publish(&b, 10, 0); // 3
    for (unsigned i = 0; i < STORE_RECORDS_MAX + 5; i++)
        bench_publish_event(&b, "flood");
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_LATEST, .from_sequence = 1});
    expect_gap(1, 2);
    bench_expect_frame(&c, 2, 0);
    expect_gap(4, b.store.oldest - 1);
    for (uint64_t s = b.store.oldest; s < b.store.next_sequence; s++)
        expect_event(s);
    end();
}

/** Under `latest`: each event is sent or within a gap, each frame is sent, skipped or within one.
 */
static void test_latest_leaves_no_event_out_and_counts_each_frame(void **state)
{
    (void)state;
    enum { RECORDS = 4000 };
    static bool is_frame[RECORDS + 1];
    uint64_t next = 1, frames = 0, accounted = 0, published = 0;
    srand(7);
    bench_open(&b, 24, &usual, NULL);
    bench_connect(&b, &c, 8192);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_LATEST, .from_sequence = 1});
    while (next <= RECORDS) {
        if (published < RECORDS) {
            // First and last are events: from the first frame on, and up to the last, all count.
            published++;
            is_frame[published] = published > 1 && published < RECORDS && rand() % 4 != 0;
            if (is_frame[published])
                bench_publish(&b, (uint32_t)(rand() % 100000), 0);
            else
                bench_publish_event(&b, "event");
            frames += is_frame[published];
        }
        bench_turn(&b);
        if (published == RECORDS || (published / 200 % 2 == 0 && rand() % 2 == 0))
            assert_true(bench_read(&c, (size_t)(1 + rand() % 100000)) >= 0);
        while (bench_take(&c, &m)) {
            bool is_picture = m.header.type == WIRE_TYPE_FRAME;
            bool is_gap = !is_picture && m.event.kind == WIRE_EVENT_GAP;
            uint64_t sequence = is_picture ? m.frame.sequence : m.event.sequence;
            assert_true(sequence >= next);
            for (uint64_t s = next; s < sequence && !is_gap; s++)
                assert_true(is_frame[s]);
            for (uint64_t s = next; s <= sequence && is_gap; s++)
                accounted += is_frame[s];
            if (is_gap)
                assert_int_equal(m.event.first, next);
            accounted += is_picture ? 1 + m.frame.skipped : 0;
            next = sequence + 1;
        }
    }
    assert_true(b.server.stats.gaps > 3);
    assert_true(b.server.stats.frames_skipped > 100);
    // What was skipped after the last frame that came is told by the next one.
    bench_publish(&b, 10, 0);
    bench_expect(&c, WIRE_TYPE_FRAME, &m);
    assert_int_equal(accounted + 1 + m.frame.skipped, frames + 1);
    end();
}

/** Reads a random amount; counts what came. */
static void read_some(uint64_t *next)
{
    bench_turn(&b);
    assert_true(bench_read(&c, (size_t)(1 + rand() % 60000)) >= 0);
    while (bench_take(&c, &m)) {
        uint64_t sequence = m.header.type == WIRE_TYPE_FRAME ? m.frame.sequence : m.event.sequence;
        if (m.header.type == WIRE_TYPE_EVENT && m.event.kind == WIRE_EVENT_GAP) {
            assert_int_equal(m.event.first, *next);
            assert_true(m.event.last >= m.event.first);
        } else {
            assert_int_equal(sequence, *next);
        }
        *next = sequence + 1;
    }
}

/** However reading and publishing interleave: records and gaps together are the log, in order. */
static void check_partition(bool is_unix)
{
    char path[] = "/tmp/pinhole-test-XXXXXX/socket";
    path[24] = '\0';
    assert_non_null(mkdtemp(path));
    path[24] = '/';
    srand(99);
    bench_open(&b, 48, &usual, path);
    if (is_unix)
        bench_connect_unix(&b, &c);
    else
        bench_connect(&b, &c, 8192);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    bench_subscribe(&c, &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY});
    uint64_t next = 1;
    for (unsigned i = 0; i < 2000; i++) {
        if (rand() % 5 == 0)
            bench_publish_event(&b, "event");
        else
            bench_publish(&b, (uint32_t)(rand() % 100000), 0);
        // Now and then the client does not read for a while.
        unsigned reads = i / 200 % 3 == 1 ? 0 : (unsigned)rand() % 6;
        for (unsigned k = 0; k < reads; k++)
            read_some(&next);
    }
    while (next < b.store.next_sequence)
        read_some(&next);
    assert_true(b.server.stats.gaps > 3);
    end();
    path[24] = '\0';
    assert_int_equal(remove(path), 0);
}

static void test_records_and_gaps_are_the_whole_log(void **state)
{
    (void)state;
    check_partition(false);
}

static void test_records_and_gaps_are_the_whole_log_on_a_unix_socket(void **state)
{
    (void)state;
    check_partition(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_newest),
        cmocka_unit_test(test_from_next),
        cmocka_unit_test(test_from_an_empty_log),
        cmocka_unit_test(test_every_from_a_sequence),
        cmocka_unit_test(test_beyond_the_log_waits),
        cmocka_unit_test(test_evicted_records_are_one_exact_gap),
        cmocka_unit_test(test_another_boot_starts_anew),
        cmocka_unit_test(test_events_come_in_their_order),
        cmocka_unit_test(test_triggered_only),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_policy_none_stops_the_flow),
        cmocka_unit_test(test_newest_frame_pushed_out_of_the_log),
        cmocka_unit_test(test_latest_with_a_position_before_the_log),
        cmocka_unit_test(test_latest_is_told_of_events_that_are_gone),
        cmocka_unit_test(test_latest_gets_a_frame_that_outlasts_its_neighbours),
        cmocka_unit_test(test_latest_leaves_no_event_out_and_counts_each_frame),
        cmocka_unit_test(test_records_and_gaps_are_the_whole_log),
        cmocka_unit_test(test_records_and_gaps_are_the_whole_log_on_a_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
