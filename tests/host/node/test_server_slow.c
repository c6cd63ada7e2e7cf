// SPDX-License-Identifier: MIT
// Subscribers that read slowly, or not at all: what they get, what they cost, when they are
// dropped.
#include "tests/host/support/server_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/host/support/virtual_clock.h"

#define FRAMES_MAX 4096

static struct bench b;
static struct bench_message m;
static const struct server_config usual;
static const struct wire_subscribe latest = {.policy = WIRE_POLICY_LATEST};
static const struct wire_subscribe every = {.policy = WIRE_POLICY_EVERY};

/** Watches one connection from inside: the frame that was the newest at the moment when the first
 * byte of the next one was handed over, which is when its previous send ended or later. That one
 * may be gone as a whole by the end of the turn. */
static uint64_t expected[FRAMES_MAX];
static unsigned expected_count;
static uint64_t last_begun;

static void watch(const struct server_conn *conn)
{
    if (conn->position.last_frame_id == last_begun)
        return;
    last_begun = conn->position.last_frame_id;
    assert_true(expected_count < FRAMES_MAX);
    expected[expected_count++] = b.store.next_frame_id - 1;
}

/** One turn, in which at most one frame is new: begins are seen one by one. */
static void turn(const struct server_conn *conn)
{
    bench_turn(&b);
    watch(conn);
}

static void check_freshness(uint32_t frame_bytes, int receive_buffer, size_t read_bytes)
{
    struct bench_client c;
    uint64_t previous = 0;
    unsigned got = 0;
    expected_count = 0;
    last_begun = 0;
    bench_open(&b, 400, &usual, NULL);
    bench_greet(&b, &c, receive_buffer);
    const struct server_conn *conn = &b.server.conns[0];
    bench_subscribe(&c, &latest);
    for (unsigned i = 0; i < 500; i++) {
        bench_publish(&b, frame_bytes, 0);
        turn(conn);
        assert_true(bench_read(&c, read_bytes) >= 0);
        while (bench_take(&c, &m)) {
            assert_int_equal(m.header.type, WIRE_TYPE_FRAME);
            if (got < expected_count)
                assert_int_equal(m.frame.frame_id, expected[got]);
            got++;
            if (previous != 0)
                assert_int_equal(m.frame.skipped, m.frame.frame_id - previous - 1);
            previous = m.frame.frame_id;
        }
    }
    assert_true(got > 10);
    assert_true(got < 450); // it was too slow for all
    assert_true(got <= expected_count);
    assert_int_equal(b.server.stats.dropped_slow, 0);
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_slow_latest_gets_the_newest(void **state)
{
    (void)state;
    check_freshness(300000, 16384, 30000);
    check_freshness(200000, 0, 20000);
    check_freshness(50000, 16384, 5000); // at first whole frames fit into the socket
}

/** A folder with room for a socket's path. */
static void make_path(char path[40])
{
    strcpy(path, "/tmp/pinhole-test-XXXXXX");
    assert_non_null(mkdtemp(path));
    strcat(path, "/socket");
}

static void remove_folder(char path[40])
{
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
}

/** A Unix socket takes small messages whole or not at all, so every send ends with a full buffer:
 * the next frame must be chosen when there is room again, not before. */
/** A turn copies one large frame, not one for each subscriber; and who comes last in one turn comes
 * first in the next, or he would never get one of a camera that is faster than the copying. */
static void test_a_turn_sends_one_large_frame_and_starves_nobody(void **state)
{
    (void)state;
    enum { CLIENTS = 4, TURNS = 40, FRAME = 300000 };
    struct bench_client c[CLIENTS];
    char path[40];
    make_path(path);
    bench_open(&b, 400, &usual, path);
    for (unsigned i = 0; i < CLIENTS; i++) {
        bench_connect_unix(&b, &c[i]);
        bench_expect(&c[i], WIRE_TYPE_HELLO, &m);
        bench_subscribe(&c[i], &latest);
    }
    uint64_t got[CLIENTS] = {0};
    for (unsigned turn = 0; turn < TURNS; turn++) {
        bench_publish(&b, FRAME, 0);
        uint64_t before = b.server.stats.bytes_sent;
        bench_turn(&b);
        assert_true(b.server.stats.bytes_sent - before < SERVER_FLUSH_BYTES + FRAME + 1000);
        for (unsigned i = 0; i < CLIENTS; i++) {
            while (bench_read(&c[i], 2 * FRAME) > 0)
                ;
            while (bench_take(&c[i], &m))
                got[i]++;
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_in_range(got[i], TURNS / CLIENTS / 2, TURNS);
        bench_hang_up(&c[i]);
    }
    bench_close(&b);
    remove_folder(path);
}

static void test_no_frame_ages_before_its_first_byte(void **state)
{
    (void)state;
    struct bench_client c;
    char path[40];
    uint64_t previous = 0;
    make_path(path);
    bench_open(&b, 400, &usual, path);
    bench_connect_unix(&b, &c);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    const struct server_conn *conn = &b.server.conns[0];
    bench_subscribe(&c, &latest);
    unsigned blocked_between = 0;
    for (unsigned i = 0; i < 3000; i++) {
        bench_publish(&b, 9000, 0);
        bench_turn(&b);
        if (conn->wants_output && conn->head_bytes == 0)
            blocked_between++;
        // What is being sent has begun; nothing is chosen and waiting.
        assert_true(conn->head_bytes == 0 || conn->sent_bytes > 0);
        if (i % 16 == 0)
            assert_true(bench_read(&c, 9000) >= 0);
        while (bench_take(&c, &m)) {
            if (previous != 0)
                assert_int_equal(m.frame.skipped, m.frame.frame_id - previous - 1);
            previous = m.frame.frame_id;
        }
    }
    assert_true(blocked_between > 1000);
    bench_hang_up(&c);
    bench_close(&b);
    remove_folder(path);
}

/** A subscription that waits for room is replaced at once: nothing of the old one has begun. */
static void test_new_subscription_replaces_what_has_not_begun(void **state)
{
    (void)state;
    struct bench_client c;
    char path[40];
    make_path(path);
    bench_open(&b, 400, &usual, path);
    bench_connect_unix(&b, &c);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    const struct server_conn *conn = &b.server.conns[0];
    bench_subscribe(&c, &every);
    while (!conn->wants_output) {
        bench_publish(&b, 9000, 0);
        bench_turn(&b);
    }
    assert_int_equal(conn->head_bytes, 0);
    uint64_t sent = conn->frames_sent, last = 0;
    bench_publish(&b, 9000, 7);
    bench_send_subscribe(&c, 5,
                         &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY,
                                                  .filter = WIRE_FILTER_TRIGGERED_ONLY});
    bench_settle(&b);
    for (uint64_t id = 1; id <= sent; id++)
        bench_expect_frame(&c, last = id, 0);
    bench_expect(&c, WIRE_TYPE_SUBSCRIBE, &m);
    bench_expect_frame(&c, last + 2, 0);
    bench_expect_nothing(&c);
    bench_hang_up(&c);
    bench_close(&b);
    remove_folder(path);
}

/** Fills the client's way until a frame is half sent. */
static void block(struct bench_client *c, const struct wire_subscribe *wish)
{
    bench_greet(&b, c, 4096);
    bench_publish(&b, 900000, 0);
    bench_subscribe(c, wish);
    bench_settle(&b);
    assert_true(b.server.conns[0].head_bytes > 0 && b.server.conns[0].sent_bytes > 0);
}

static void test_replies_go_before_the_next_record(void **state)
{
    (void)state;
    struct bench_client c;
    bench_open(&b, 200, &usual, NULL);
    block(&c, &every);
    bench_publish(&b, 1000, 0);
    bench_send(&c, WIRE_TYPE_PING, 1, "a", 1);
    bench_send(&c, WIRE_TYPE_PING, 2, "b", 1);
    bench_settle(&b);
    bench_expect_frame(&c, 1, 0);
    bench_expect(&c, WIRE_TYPE_PING, &m);
    assert_string_equal(m.text, "a");
    // The second was not read before the first was answered; it may come after one record.
    bench_expect_frame(&c, 2, 0);
    bench_expect(&c, WIRE_TYPE_PING, &m);
    assert_string_equal(m.text, "b");
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_garbage_behind_a_request_is_answered_when_there_is_room(void **state)
{
    (void)state;
    struct bench_client c;
    bench_open(&b, 200, &usual, NULL);
    block(&c, &every);
    bench_send(&c, WIRE_TYPE_PING, 1, NULL, 0);
    bench_send_raw(&c, "rubbish", 7);
    bench_settle(&b);
    bench_expect_frame(&c, 1, 0);
    bench_expect(&c, WIRE_TYPE_PING, &m);
    bench_expect_error(&c, WIRE_ERROR_MALFORMED, 0, true);
    bench_expect_end(&c);
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_new_subscription_finishes_the_record_under_way(void **state)
{
    (void)state;
    struct bench_client c;
    bench_open(&b, 200, &usual, NULL);
    block(&c, &every);
    for (int i = 0; i < 5; i++)
        bench_publish(&b, 1000, 0);
    bench_send_subscribe(&c, 9,
                         &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY, .from_sequence = 5});
    bench_settle(&b);
    bench_expect_frame(&c, 1, 0);
    bench_expect(&c, WIRE_TYPE_SUBSCRIBE, &m);
    assert_int_equal(m.header.tag, 9);
    bench_expect_frame(&c, 5, 0);
    bench_expect_frame(&c, 6, 0);
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_stopped_reader_is_dropped_at_its_deadline(void **state)
{
    (void)state;
    struct bench_client stopped, good;
    bench_open(&b, 200, &usual, NULL);
    block(&stopped, &latest);
    bench_greet(&b, &good, 0);
    bench_subscribe(&good, &every);
    bench_expect_frame(&good, 1, 0);
    uint64_t frame = 1, start_ns = virtual_now_ns;
    while (virtual_now_ns - start_ns < 5 * NS_PER_S - 100 * NS_PER_MS) {
        bench_publish(&b, 30000, 0);
        bench_expect_frame(&good, ++frame, 0);
        virtual_now_ns += 50 * NS_PER_MS;
    }
    assert_int_equal(b.server.stats.dropped_slow, 0);
    // An acknowledgement that the kernel sent late is progress too, but there is an end to it.
    while (b.server.stats.dropped_slow == 0) {
        assert_true(virtual_now_ns - start_ns < 20 * NS_PER_S);
        bench_publish(&b, 30000, 0);
        bench_expect_frame(&good, ++frame, 0);
        virtual_now_ns += 50 * NS_PER_MS;
    }
    assert_int_equal(b.server.stats.clients, 1);
    bench_publish(&b, 30000, 0);
    bench_expect_frame(&good, ++frame, 0);
    bench_hang_up(&stopped);
    bench_hang_up(&good);
    bench_close(&b); // also checks that the frame half sent is pinned no longer
}

static void test_stopped_reader_of_replies_is_dropped_too(void **state)
{
    (void)state;
    struct bench_client c;
    bench_open(&b, 8, &usual, NULL);
    bench_greet(&b, &c, 4096);
    for (unsigned i = 0; i < 200; i++)
        bench_send(&c, WIRE_TYPE_STATS, i, NULL, 0);
    bench_settle(&b);
    assert_true(b.server.conns[0].reply_bytes > 0);
    for (int i = 0; i < 400 && b.server.stats.dropped_slow == 0; i++) {
        virtual_now_ns += 50 * NS_PER_MS;
        bench_settle(&b);
    }
    assert_int_equal(b.server.stats.dropped_slow, 1);
    assert_int_equal(b.server.stats.clients, 0);
    bench_hang_up(&c);
    bench_close(&b);
}

/** 10 kB/s for two minutes against a deadline of 5 s, at 10 frames/s of 100 kB. On a Unix socket,
 * where the kernel has no clock of its own; test_node_stream.py does it over TCP. */
static void test_reader_of_10_kilobytes_a_second_is_kept(void **state)
{
    (void)state;
    struct bench_client slow;
    char path[40];
    unsigned got = 0;
    make_path(path);
    bench_open(&b, 200, &usual, path);
    bench_connect_unix(&b, &slow);
    bench_expect(&slow, WIRE_TYPE_HELLO, &m);
    bench_subscribe(&slow, &latest);
    for (int i = 0; i < 1200; i++) {
        bench_publish(&b, 100000, 0);
        for (int k = 0; k < 4; k++)
            bench_turn(&b);
        virtual_now_ns += 100 * NS_PER_MS;
        assert_true(bench_read(&slow, 1000) >= 0);
        assert_int_equal(b.server.stats.dropped_slow, 0);
        while (bench_take(&slow, &m)) {
            assert_int_equal(m.header.type, WIRE_TYPE_FRAME);
            got++;
        }
    }
    assert_in_range(got, 8, 12);
    bench_hang_up(&slow);
    bench_close(&b);
    remove_folder(path);
}

static void test_a_full_house_of_stopped_readers_cannot_starve_capture(void **state)
{
    (void)state;
    static struct bench_client c[SERVER_CLIENTS_LIMIT];
    // The least store that the configuration's check lets through.
    unsigned cap_blocks = 14;
    bench_open(&b, (SERVER_CLIENTS_LIMIT + 2) * cap_blocks,
               &(struct server_config){.clients_max = SERVER_CLIENTS_LIMIT}, NULL);
    for (unsigned i = 0; i < SERVER_CLIENTS_LIMIT; i++) {
        bench_greet(&b, &c[i], 4096);
        bench_publish(&b, cap_blocks * STORE_BLOCK_BYTES, 0);
        bench_subscribe(&c[i], i % 2 == 0 ? &latest : &every);
        bench_settle(&b);
    }
    for (unsigned i = 0; i < 200; i++) { // bench_publish() aborts when it gets no block
        bench_publish(&b, cap_blocks * STORE_BLOCK_BYTES, 0);
        bench_turn(&b);
    }
    for (unsigned i = 0; i < SERVER_CLIENTS_LIMIT; i++)
        bench_hang_up(&c[i]);
    bench_settle(&b);
    assert_int_equal(b.server.stats.clients, 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_latest_gets_the_newest),
        cmocka_unit_test(test_a_turn_sends_one_large_frame_and_starves_nobody),
        cmocka_unit_test(test_no_frame_ages_before_its_first_byte),
        cmocka_unit_test(test_new_subscription_replaces_what_has_not_begun),
        cmocka_unit_test(test_replies_go_before_the_next_record),
        cmocka_unit_test(test_garbage_behind_a_request_is_answered_when_there_is_room),
        cmocka_unit_test(test_new_subscription_finishes_the_record_under_way),
        cmocka_unit_test(test_stopped_reader_is_dropped_at_its_deadline),
        cmocka_unit_test(test_stopped_reader_of_replies_is_dropped_too),
        cmocka_unit_test(test_reader_of_10_kilobytes_a_second_is_kept),
        cmocka_unit_test(test_a_full_house_of_stopped_readers_cannot_starve_capture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
