// SPDX-License-Identifier: MIT
// Who gets a place among clients_max: no host and no idle crowd can hold all of them.
#include "net/server/place.h"
#include "net/server/private.h"
#include "tests/host/support/server_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/host/support/virtual_clock.h"

enum { PLACES = 8 };

static struct bench b;
static struct bench_message m;
static const struct server_config eight = {.clients_max = PLACES};
static const struct wire_subscribe every = {.policy = WIRE_POLICY_EVERY};

static void advance(uint64_t step_ns)
{
    virtual_now_ns += step_ns;
    bench_settle(&b);
}

static void ping(struct bench_client *client)
{
    bench_send(client, WIRE_TYPE_PING, 1, NULL, 0);
    bench_expect(client, WIRE_TYPE_PING, &m);
}

static void greet_from(const char *text, struct bench_client *client)
{
    bench_connect_from(&b, client, text);
    bench_expect(client, WIRE_TYPE_HELLO, &m);
}

static void hang_up_all(struct bench_client *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bench_hang_up(&clients[i]);
    bench_settle(&b);
    bench_close(&b);
}

static void test_idle_connections_give_way(void **state)
{
    (void)state;
    struct bench_client c[PLACES + 1];
    bench_open(&b, 8, &eight, NULL);
    for (unsigned i = 0; i < PLACES; i++) {
        bench_greet(&b, &c[i], 0);
        ping(&c[i]);
        advance(NS_PER_MS);
    }
    bench_subscribe(&c[0], &every);
    advance(SERVER_IDLE_NS);
    ping(&c[1]);
    // Nobody needs a place: idle connections stay.
    advance(100 * SERVER_IDLE_NS);
    assert_int_equal(b.server.stats.clients, PLACES);
    ping(&c[2]);

    bench_greet(&b, &c[PLACES], 0);
    bench_expect_error(&c[3], WIRE_ERROR_FULL, 0, true); // heard of longest ago
    bench_expect_end(&c[3]);
    assert_int_equal(b.server.stats.replaced, 1);
    assert_int_equal(b.server.stats.refused, 0);
    ping(&c[0]);
    ping(&c[1]);
    hang_up_all(c, PLACES + 1);
}

static void test_subscribers_and_the_busy_stay(void **state)
{
    (void)state;
    struct bench_client c[PLACES + 1];
    bench_open(&b, 8, &eight, NULL);
    for (unsigned i = 0; i < PLACES; i++)
        bench_greet(&b, &c[i], 0);
    for (unsigned i = 0; i < PLACES - 1; i++)
        bench_subscribe(&c[i], &every);
    advance(10 * SERVER_IDLE_NS); // the silent one is gone by then
    bench_hang_up(&c[PLACES - 1]);
    bench_greet(&b, &c[PLACES - 1], 0);
    ping(&c[PLACES - 1]);
    advance(SERVER_IDLE_NS - 50 * NS_PER_MS);
    bench_connect(&b, &c[PLACES], 0);
    bench_expect_error(&c[PLACES], WIRE_ERROR_FULL, 0, true);
    bench_expect_end(&c[PLACES]);
    assert_int_equal(b.server.stats.refused, 1);
    assert_int_equal(b.server.stats.replaced, 0);
    hang_up_all(c, PLACES + 1);
}

static void test_a_storm_of_silent_ones_shuts_nobody_out(void **state)
{
    (void)state;
    struct bench_client silent[300], honest[3];
    unsigned used = 0;
    bench_open(&b, 8, &eight, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(honest); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(silent) / ARRAY_SIZE(honest); j++) {
            bench_connect(&b, &silent[used++], 0);
            bench_turn(&b);
        }
        bench_greet(&b, &honest[i], 0);
        bench_subscribe(&honest[i], &every);
    }
    bench_publish(&b, 100, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(honest); i++)
        bench_expect_frame(&honest[i], 1, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(honest); i++)
        bench_hang_up(&honest[i]);
    hang_up_all(silent, used);
}

static void test_one_address_holds_half(void **state)
{
    (void)state;
    struct bench_client c[PLACES], others[2], here[2], extra;
    bench_open(&b, 8, &eight, NULL);
    for (unsigned i = 0; i < PLACES / 2; i++) {
        greet_from("192.0.2.7", &c[i]);
        bench_subscribe(&c[i], &every);
    }
    bench_connect_from(&b, &extra, "192.0.2.7");
    bench_expect(&extra, WIRE_TYPE_ERROR, &m);
    assert_int_equal(m.error.code, WIRE_ERROR_FULL);
    assert_non_null(strstr(m.text, "at most 4 connections of one address"));
    bench_hang_up(&extra);

    // Another address gets what is left but for two places, this host gets these.
    for (unsigned i = 0; i < 2; i++) {
        greet_from("192.0.2.8", &others[i]);
        bench_subscribe(&others[i], &every);
    }
    bench_connect_from(&b, &extra, "192.0.2.9");
    bench_expect_error(&extra, WIRE_ERROR_FULL, 0, true);
    bench_hang_up(&extra);
    for (unsigned i = 0; i < 2; i++) {
        bench_greet(&b, &here[i], 0);
        bench_subscribe(&here[i], &every);
    }
    assert_int_equal(b.server.stats.clients, PLACES);
    assert_int_equal(b.server.stats.refused, 2);
    bench_hang_up(&others[0]);
    bench_hang_up(&others[1]);
    bench_hang_up(&here[0]);
    bench_hang_up(&here[1]);
    hang_up_all(c, PLACES / 2);
}

/** An address over its limit replaces its own idle connections, never another's. */
static void test_an_address_replaces_its_own(void **state)
{
    (void)state;
    struct bench_client c[PLACES / 2], other, next;
    bench_open(&b, 8, &eight, NULL);
    greet_from("2001:db8::1", &other);
    ping(&other);
    for (unsigned i = 0; i < PLACES / 2; i++) {
        greet_from(i % 2 == 0 ? "2001:db8:0:1::a" : "2001:db8:0:1::b", &c[i]);
        ping(&c[i]);
        advance(NS_PER_MS);
    }
    advance(SERVER_IDLE_NS);
    greet_from("2001:db8:0:1::c", &next);
    bench_expect_error(&c[0], WIRE_ERROR_FULL, 0, true);
    ping(&other);
    bench_hang_up(&other);
    bench_hang_up(&next);
    hang_up_all(c, PLACES / 2);
}

static void test_what_is_this_host(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool is_local;
    } cases[] = {{"127.0.0.1", true},        {"127.9.9.9", true}, {"::1", true},
                 {"::ffff:127.0.0.1", true}, {"10.0.0.1", false}, {"fe80::1", false},
                 {"::ffff:10.0.0.1", false}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct sockaddr_storage address = bench_address(cases[i].text);
        if (server_origin_of(&address).is_local != cases[i].is_local)
            fail_msg("%s", cases[i].text);
    }
    assert_true(server_origin_of(NULL).is_local);
    assert_true(server_origin_of(&(struct sockaddr_storage){.ss_family = AF_UNIX}).is_local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_connections_give_way),
        cmocka_unit_test(test_subscribers_and_the_busy_stay),
        cmocka_unit_test(test_a_storm_of_silent_ones_shuts_nobody_out),
        cmocka_unit_test(test_one_address_holds_half),
        cmocka_unit_test(test_an_address_replaces_its_own),
        cmocka_unit_test(test_what_is_this_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
