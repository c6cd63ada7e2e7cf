// SPDX-License-Identifier: MIT
// The server's connections and requests: what a client may send, and what happens to one that
// sends something else.
#include "tests/host/support/server_bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/host/support/virtual_clock.h"

static struct bench b;
static struct bench_message m;
static const struct server_config usual;
static const struct wire_subscribe every = {.policy = WIRE_POLICY_EVERY};

static void advance(uint64_t step_ns)
{
    virtual_now_ns += step_ns;
    bench_settle(&b);
}

static void test_hello_says_what_the_node_is(void **state)
{
    (void)state;
    struct server_config wish = {.clients_max = 3, .command_rate = 50, .frame_bytes_max = 12345};
    struct bench_client c;
    bench_open(&b, 8, &wish, NULL);
    bench_publish(&b, 100, 0);
    bench_connect(&b, &c, 0);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    assert_int_equal(m.header.tag, 0);
    assert_int_equal(m.header.flags, 0);
    assert_int_equal(m.hello.boot_id, BENCH_BOOT_ID);
    assert_int_equal(m.hello.clients_max, 3);
    assert_int_equal(m.hello.command_rate_max, 50);
    assert_int_equal(m.hello.frame_bytes_max, 12345);
    assert_int_equal(m.hello.message_bytes_max, WIRE_REQUEST_BYTES_MAX);
    assert_int_equal(m.hello.sequence_oldest, 1);
    assert_int_equal(m.hello.sequence_next, 2);
    assert_int_equal(m.hello.send_deadline_ms, 5000);
    assert_string_equal(m.text, "DeviceUserID=bench\n");
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_requests_arrive_byte_by_byte(void **state)
{
    (void)state;
    struct bench_client c;
    uint8_t message[WIRE_HEADER_BYTES + 5];
    struct wire_header header = {.version = 1, .type = WIRE_TYPE_PING, .length = 5, .tag = 42};
    bench_open(&b, 8, &usual, NULL);
    bench_greet(&b, &c, 0);
    wire_put_header(message, &header);
    memcpy(message + WIRE_HEADER_BYTES, "hello", 5);
    for (size_t i = 0; i < sizeof message; i++) {
        bench_expect_nothing(&c);
        bench_send_raw(&c, message + i, 1);
    }
    bench_expect(&c, WIRE_TYPE_PING, &m);
    assert_int_equal(m.header.tag, 42);
    assert_string_equal(m.text, "hello");
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct bench_client c;
    bench_open(&b, 8, &usual, NULL);
    bench_greet(&b, &c, 0);
    for (uint32_t tag = 1; tag <= 300; tag += 3) {
        bench_send(&c, WIRE_TYPE_TRIGGER, tag, NULL, 0);
        bench_send(&c, WIRE_TYPE_STATS, tag + 1, NULL, 0);
        bench_send(&c, WIRE_TYPE_GET, tag + 2, "Width", 5);
    }
    for (uint32_t tag = 1; tag <= 300; tag += 3) {
        bench_expect(&c, WIRE_TYPE_TRIGGER, &m);
        assert_int_equal(m.header.tag, tag);
        assert_int_equal(wire_load_u64((uint8_t *)m.text), tag / 3 + 1);
        bench_expect(&c, WIRE_TYPE_STATS, &m);
        assert_int_equal(m.text_bytes, 8000);
        bench_expect(&c, WIRE_TYPE_GET, &m);
        assert_int_equal(m.header.tag, tag + 2);
        assert_string_equal(m.text, "Width");
    }
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_longest_request_fits(void **state)
{
    (void)state;
    struct bench_client c;
    char text[WIRE_REQUEST_BYTES_MAX];
    memset(text, 'x', sizeof text);
    bench_open(&b, 8, &usual, NULL);
    bench_greet(&b, &c, 0);
    bench_send(&c, WIRE_TYPE_GET, 1, text, sizeof text);
    bench_send(&c, WIRE_TYPE_GET, 2, "y", 1);
    bench_expect(&c, WIRE_TYPE_GET, &m);
    assert_int_equal(m.text_bytes, sizeof text);
    bench_expect(&c, WIRE_TYPE_GET, &m);
    assert_string_equal(m.text, "y");
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_refusals_leave_the_connection(void **state)
{
    (void)state;
    struct bench_client c;
    bench_open(&b, 8, &usual, NULL);
    bench_greet(&b, &c, 0);
    bench_send(&c, 200, 7, "what is this", 12);
    bench_expect_error(&c, WIRE_ERROR_UNKNOWN_TYPE, 7, false);
    bench_send(&c, WIRE_TYPE_SET, 8, "Width=1", 7);
    bench_expect_error(&c, WIRE_ERROR_BAD_VALUE, 8, false);
    bench_send(&c, WIRE_TYPE_PING, 9, NULL, 0);
    bench_expect(&c, WIRE_TYPE_PING, &m);
    assert_int_equal(m.header.tag, 9);
    bench_hang_up(&c);
    bench_close(&b);
}

/** Sends bytes that end a connection; another subscriber goes on. */
static void check_ends(const void *bytes, size_t count, unsigned code, uint32_t tag)
{
    struct bench_client bad, good;
    bench_open(&b, 8, &usual, NULL);
    bench_greet(&b, &good, 0);
    bench_subscribe(&good, &every);
    bench_greet(&b, &bad, 0);
    bench_send_raw(&bad, bytes, count);
    bench_expect_error(&bad, code, tag, true);
    bench_expect_end(&bad);
    bench_hang_up(&bad);
    bench_settle(&b);
    assert_int_equal(b.server.stats.dropped_malformed, 1);
    assert_int_equal(b.server.stats.clients, 1);
    bench_publish(&b, 5000, 0);
    bench_expect_frame(&good, 1, 0);
    bench_hang_up(&good);
    bench_close(&b);
}

static void test_malformed_messages_end_the_connection(void **state)
{
    (void)state;
    uint8_t raw[WIRE_HEADER_BYTES + 65];
    struct wire_header header = {.version = 1, .type = WIRE_TYPE_PING, .tag = 5};
    memset(raw, 0, sizeof raw);
    check_ends("GET / HTTP/1.1\r\n\r\n", 18, WIRE_ERROR_MALFORMED, 0);
    check_ends("PINX", 4, WIRE_ERROR_MALFORMED, 0);
    check_ends("Q", 1, WIRE_ERROR_MALFORMED, 0);
    header.version = 2;
    wire_put_header(raw, &header);
    check_ends(raw, WIRE_HEADER_BYTES, WIRE_ERROR_VERSION, 5);
    header.version = 1;
    header.length = WIRE_REQUEST_BYTES_MAX + 1;
    wire_put_header(raw, &header);
    check_ends(raw, WIRE_HEADER_BYTES, WIRE_ERROR_TOO_LARGE, 5);
    header.length = 65; // of a PING
    wire_put_header(raw, &header);
    check_ends(raw, sizeof raw, WIRE_ERROR_MALFORMED, 5);
    header.type = WIRE_TYPE_SUBSCRIBE;
    header.length = 1;
    wire_put_header(raw, &header);
    check_ends(raw, WIRE_HEADER_BYTES + 1, WIRE_ERROR_MALFORMED, 5);
    header.length = WIRE_SUBSCRIBE_FIXED;
    wire_put_header(raw, &header);
    wire_put_subscribe(raw + WIRE_HEADER_BYTES, &(struct wire_subscribe){.policy = 3});
    check_ends(raw, WIRE_HEADER_BYTES + WIRE_SUBSCRIBE_FIXED, WIRE_ERROR_MALFORMED, 5);
}

static void test_garbage_at_line_rate_hurts_nobody_else(void **state)
{
    (void)state;
    struct bench_client good, bad;
    static uint8_t garbage[1 << 20];
    srand(7);
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (uint8_t)rand();
    bench_open(&b, 64, &usual, NULL);
    bench_greet(&b, &good, 0);
    bench_subscribe(&good, &every);
    for (unsigned round = 1; round <= 20; round++) {
        bench_connect(&b, &bad, 0);
        for (size_t at = 0; at < sizeof garbage;) {
            ssize_t sent =
                send(bad.fd, garbage + at, sizeof garbage - at, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno != EAGAIN)
                break; // closed by the node
            at += sent > 0 ? (size_t)sent : 0;
            bench_turn(&b);
            virtual_now_ns += NS_PER_MS;
        }
        bench_publish(&b, 20000, 0);
        bench_expect_frame(&good, round, 0);
        bench_hang_up(&bad);
        bench_settle(&b);
    }
    assert_int_equal(b.server.stats.dropped_malformed, 20);
    assert_int_equal(b.server.stats.clients, 1);
    bench_hang_up(&good);
    bench_close(&b);
}

static void test_silent_connections_time_out(void **state)
{
    (void)state;
    struct bench_client silent, half, alive;
    bench_open(&b, 8, &usual, NULL);
    bench_greet(&b, &silent, 0);
    bench_greet(&b, &half, 0);
    bench_greet(&b, &alive, 0);
    bench_send_raw(&half, "PINH\1\12\0\0\5", 9);
    bench_send(&alive, WIRE_TYPE_PING, 1, NULL, 0);
    bench_expect(&alive, WIRE_TYPE_PING, &m);
    advance(SERVER_HANDSHAKE_NS - NS_PER_MS);
    bench_expect_nothing(&silent);
    advance(SERVER_TICK_NS + NS_PER_MS);
    bench_expect_error(&silent, WIRE_ERROR_TIMEOUT, 0, true);
    bench_expect_end(&silent);
    bench_expect_error(&half, WIRE_ERROR_TIMEOUT, 0, true);
    assert_int_equal(b.server.stats.dropped_timeout, 2);
    advance(10 * SERVER_HANDSHAKE_NS); // neither of them closes its end
    assert_int_equal(b.server.stats.clients, 1);
    bench_expect_nothing(&alive);
    bench_hang_up(&silent);
    bench_hang_up(&half);
    bench_hang_up(&alive);
    bench_close(&b);
}

static void test_one_client_too_many_is_told_so(void **state)
{
    (void)state;
    struct bench_client c[3];
    bench_open(&b, 8, &(struct server_config){.clients_max = 2}, NULL);
    bench_greet(&b, &c[0], 0);
    bench_greet(&b, &c[1], 0);
    bench_subscribe(&c[0], &every); // else they would be idle and give way
    bench_subscribe(&c[1], &every);
    bench_connect(&b, &c[2], 0);
    bench_expect_error(&c[2], WIRE_ERROR_FULL, 0, true);
    bench_expect_end(&c[2]);
    assert_int_equal(b.server.stats.refused, 1);
    bench_hang_up(&c[2]);
    bench_hang_up(&c[0]);
    bench_settle(&b);
    bench_greet(&b, &c[0], 0);
    assert_int_equal(b.server.stats.clients_used_max, 2);
    bench_hang_up(&c[0]);
    bench_hang_up(&c[1]);
    bench_close(&b);
}

static void test_a_thousand_connections_leave_nothing_behind(void **state)
{
    (void)state;
    struct bench_client good, c[7];
    bench_open(&b, 16, &usual, NULL);
    bench_greet(&b, &good, 0);
    bench_subscribe(&good, &every);
    unsigned before = bench_watched_fds(&b);
    for (unsigned round = 0; round < 143; round++) {
        for (unsigned i = 0; i < ARRAY_SIZE(c); i++)
            bench_connect(&b, &c[i], 0);
        for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
            // Some end politely, some amid a message, some by reset, some with much unread.
            struct linger reset = {.l_onoff = 1, .l_linger = 0};
            if (i % 3 == 0)
                bench_send_subscribe(&c[i], 1, &every);
            if (i % 3 == 1)
                bench_send_raw(&c[i], "PINH", 4);
            bench_turn(&b);
            if (i % 2 == 1)
                setsockopt(c[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            bench_hang_up(&c[i]);
        }
        bench_publish(&b, 30000, 0);
        bench_expect_frame(&good, round + 1, 0);
        bench_settle(&b);
    }
    assert_int_equal(b.server.stats.accepted, 1 + 143 * ARRAY_SIZE(c));
    assert_int_equal(b.server.stats.clients, 1);
    assert_int_equal(bench_watched_fds(&b), before);
    bench_hang_up(&good);
    bench_close(&b);
}

static void test_requests_above_the_rate_are_answered_later(void **state)
{
    (void)state;
    struct bench_client c;
    bench_open(&b, 8, &(struct server_config){.command_rate = 10}, NULL);
    bench_greet(&b, &c, 0);
    for (uint32_t tag = 1; tag <= 400; tag++)
        bench_send(&c, WIRE_TYPE_PING, tag, NULL, 0);
    for (uint32_t tag = 1; tag <= 10; tag++) // a second's worth at once
        bench_expect(&c, WIRE_TYPE_PING, &m);
    bench_expect_nothing(&c);
    for (uint32_t tag = 11; tag <= 400; tag++) {
        for (int tick = 0; tick < 2; tick++) {
            bench_expect_nothing(&c);
            advance(50 * NS_PER_MS);
        }
        bench_expect(&c, WIRE_TYPE_PING, &m);
        assert_int_equal(m.header.tag, tag);
    }
    assert_int_equal(b.server.stats.requests, 400);
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_all_clients_share_a_rate(void **state)
{
    (void)state;
    enum { FLOODERS = 6, RATE = 100 };
    struct bench_client flooder[FLOODERS], honest;
    bench_open(&b, 8, &(struct server_config){.command_rate = RATE}, NULL);
    for (unsigned i = 0; i < FLOODERS; i++)
        bench_greet(&b, &flooder[i], 0);
    bench_greet(&b, &honest, 0);
    for (unsigned i = 0; i < FLOODERS; i++)
        for (unsigned n = 0; n < 10 * RATE; n++)
            bench_send(&flooder[i], WIRE_TYPE_TRIGGER, n + 1, NULL, 0);
    bench_settle(&b);
    assert_in_range(b.triggers, 1, SERVER_RATES_FOR_ALL * RATE);
    bench_send(&honest, WIRE_TYPE_PING, 1, NULL, 0);
    for (unsigned i = 0; i < 20; i++) // a second
        advance(SERVER_TICK_NS);
    assert_in_range(b.triggers, SERVER_RATES_FOR_ALL * RATE, 2 * SERVER_RATES_FOR_ALL * RATE);
    bench_expect(&honest, WIRE_TYPE_PING, &m); // and had its turn
    for (unsigned i = 0; i < FLOODERS; i++)
        bench_hang_up(&flooder[i]);
    bench_hang_up(&honest);
    bench_close(&b);
}

static void test_what_the_application_puts_off_is_asked_again(void **state)
{
    (void)state;
    struct bench_client waiting, other;
    bench_open(&b, 8, &usual, NULL);
    bench_greet(&b, &waiting, 0);
    bench_greet(&b, &other, 0);
    b.is_busy = true;
    bench_send(&waiting, WIRE_TYPE_FEATURES, 7, NULL, 0);
    bench_send(&waiting, WIRE_TYPE_PING, 8, NULL, 0);
    for (unsigned i = 0; i < 4; i++)
        advance(SERVER_TICK_NS);
    assert_in_range(b.asked, 3, 6);
    bench_expect_nothing(&waiting); // requests are answered in order
    bench_send(&other, WIRE_TYPE_PING, 1, NULL, 0);
    bench_expect(&other, WIRE_TYPE_PING, &m);
    b.is_busy = false;
    advance(SERVER_TICK_NS);
    bench_expect(&waiting, WIRE_TYPE_FEATURES, &m);
    assert_int_equal(m.header.tag, 7);
    bench_expect(&waiting, WIRE_TYPE_PING, &m);
    bench_hang_up(&waiting);
    bench_hang_up(&other);
    bench_close(&b);
}

static void test_dear_requests_count_as_ten(void **state)
{
    (void)state;
    static const uint8_t dear[] = {WIRE_TYPE_FEATURES, WIRE_TYPE_SET, WIRE_TYPE_STATS};
    struct bench_client c;
    bench_open(&b, 8, &(struct server_config){.command_rate = 10}, NULL);
    bench_greet(&b, &c, 0);
    for (uint32_t i = 0; i < ARRAY_SIZE(dear); i++)
        bench_send(&c, dear[i], i + 1, "A=1", 3);
    for (uint32_t i = 0; i < ARRAY_SIZE(dear); i++) {
        bench_expect(&c, dear[i] == WIRE_TYPE_SET ? WIRE_TYPE_ERROR : dear[i], &m); // it refuses
        for (int tick = 0; tick < 20; tick++) {
            bench_expect_nothing(&c);
            advance(50 * NS_PER_MS);
        }
    }
    bench_hang_up(&c);
    bench_close(&b);
}

static void test_a_turn_answers_a_few_requests_only(void **state)
{
    (void)state;
    struct bench_client c;
    uint8_t all[200 * WIRE_HEADER_BYTES];
    bench_open(&b, 8, &(struct server_config){.command_rate = 1000}, NULL);
    bench_greet(&b, &c, 0);
    for (uint32_t i = 0; i < 200; i++) {
        struct wire_header header = {.version = 1, .type = WIRE_TYPE_PING, .tag = i + 1};
        wire_put_header(all + i * WIRE_HEADER_BYTES, &header);
    }
    bench_send_raw(&c, all, sizeof all);
    for (uint64_t before = 0; before < 200; before = b.server.stats.requests) {
        bench_turn(&b); // no time passes: the rest does not wait for a tick
        assert_true(b.server.stats.requests > before && b.server.stats.requests <= before + 8);
    }
    for (uint32_t tag = 1; tag <= 200; tag++) {
        bench_expect(&c, WIRE_TYPE_PING, &m);
        assert_int_equal(m.header.tag, tag);
    }
    bench_hang_up(&c);
    bench_close(&b);
}

/** Lets time pass until the node dials. Returns the accepted socket; *waited_ns is how long it
 * took, in steps of 50 ms. */
static int accept_uplink(int listener, uint64_t *waited_ns)
{
    for (*waited_ns = 0; *waited_ns < 120 * NS_PER_S; *waited_ns += 50 * NS_PER_MS) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            bench_settle(&b);
            return fd;
        }
        advance(50 * NS_PER_MS);
    }
    return -1;
}

static void test_an_uplink_that_hangs_up_is_tried_ever_more_seldom(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    char text[32];
    uint64_t waited_ns;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 4), 0);
    getsockname(listener, (struct sockaddr *)&address, &size);
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(address.sin_port));
    bench_open(&b, 8, &usual, NULL);
    assert_int_equal(server_dial(&b.server, text), 0);
    uint64_t least_ns = 0;
    for (int i = 0; i < 8; i++) { // at once, then after 1, 2, 4 ... 30 s
        int fd = accept_uplink(listener, &waited_ns);
        assert_true(fd >= 0 && waited_ns >= least_ns);
        least_ns = i == 0 ? NS_PER_S / 2 : base_min_u64(2 * least_ns, 29 * NS_PER_S);
        close(fd);
        bench_settle(&b);
    }
    int fd = accept_uplink(listener, &waited_ns);
    assert_true(fd >= 0 && waited_ns >= 29 * NS_PER_S);
    struct wire_header header = {.version = 1, .type = WIRE_TYPE_PING, .tag = 1};
    uint8_t ping[WIRE_HEADER_BYTES];
    wire_put_header(ping, &header);
    assert_int_equal(send(fd, ping, sizeof ping, 0), sizeof ping);
    bench_settle(&b);
    close(fd); // it spoke, so it is dialled again soon
    bench_settle(&b);
    fd = accept_uplink(listener, &waited_ns);
    assert_true(fd >= 0 && waited_ns <= 2 * NS_PER_S);
    close(fd);
    close(listener);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_says_what_the_node_is),
        cmocka_unit_test(test_all_clients_share_a_rate),
        cmocka_unit_test(test_what_the_application_puts_off_is_asked_again),
        cmocka_unit_test(test_requests_arrive_byte_by_byte),
        cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_longest_request_fits),
        cmocka_unit_test(test_refusals_leave_the_connection),
        cmocka_unit_test(test_malformed_messages_end_the_connection),
        cmocka_unit_test(test_garbage_at_line_rate_hurts_nobody_else),
        cmocka_unit_test(test_silent_connections_time_out),
        cmocka_unit_test(test_one_client_too_many_is_told_so),
        cmocka_unit_test(test_a_thousand_connections_leave_nothing_behind),
        cmocka_unit_test(test_requests_above_the_rate_are_answered_later),
        cmocka_unit_test(test_dear_requests_count_as_ten),
        cmocka_unit_test(test_a_turn_answers_a_few_requests_only),
        cmocka_unit_test(test_an_uplink_that_hangs_up_is_tried_ever_more_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
