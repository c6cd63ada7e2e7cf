// SPDX-License-Identifier: MIT
// How many passwords the gateway lets an address try, and all of them together.
#include "tools/web/attempts.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static struct web_attempts attempts;

static int set_up(void **state)
{
    (void)state;
    attempts = (struct web_attempts){0};
    return 0;
}

static unsigned take(const char *address, uint64_t now_ns)
{
    struct in6_addr bytes;
    assert_int_equal(inet_pton(AF_INET6, address, &bytes), 1);
    return web_attempts_take(&attempts, &bytes, now_ns);
}

static void test_one_address_is_slowed_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WEB_ATTEMPTS_OF_ONE; i++)
        assert_int_equal(take("::ffff:192.0.2.1", 1000 * S), 0);
    assert_int_equal(take("::ffff:192.0.2.1", 1000 * S), 6);
    assert_int_equal(take("::ffff:192.0.2.1", 1005 * S), 1);
    assert_int_equal(take("::ffff:192.0.2.1", 1006 * S), 0);
    assert_int_equal(take("::ffff:192.0.2.1", 1006 * S), 6);
    assert_int_equal(take("::ffff:192.0.2.2", 1006 * S), 0);
    for (unsigned i = 0; i < WEB_ATTEMPTS_OF_ONE; i++)
        assert_int_equal(take("::ffff:192.0.2.1", 2000 * S), 0);
    assert_int_not_equal(take("::ffff:192.0.2.1", 2000 * S), 0);
}

static void test_an_hour_of_trying_is_600_passwords(void **state)
{
    (void)state;
    unsigned tried = 0;
    for (uint64_t ms = 0; ms < 3600000; ms += 10)
        tried += take("2001:db8::1", 1000 * S + ms * 1000000) == 0;
    assert_int_equal(tried, 600 + WEB_ATTEMPTS_OF_ONE - 1);
}

static void test_a_network_of_ipv6_is_one_address(void **state)
{
    (void)state;
    char address[40];
    for (unsigned i = 0; i < WEB_ATTEMPTS_OF_ONE; i++) {
        snprintf(address, sizeof address, "2001:db8::%x", i + 1);
        assert_int_equal(take(address, S), 0);
    }
    assert_int_not_equal(take("2001:db8::ffff", S), 0);
    assert_int_equal(take("2001:db8:0:1::1", S), 0);
}

static void test_many_addresses_are_slowed_down_together(void **state)
{
    (void)state;
    char address[40];
    unsigned tried = 0;
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(address, sizeof address, "::ffff:10.0.%u.%u", i / 250, i % 250);
        tried += take(address, 1000 * S) == 0;
    }
    assert_int_equal(tried, WEB_ATTEMPTS_OF_ALL);
    assert_int_equal(take("::ffff:192.0.2.9", 1000 * S), 1);
    assert_int_equal(take("::ffff:192.0.2.9", 1001 * S), 0);
}

static void test_what_was_right_costs_nothing(void **state)
{
    (void)state;
    struct in6_addr address;
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &address);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(web_attempts_take(&attempts, &address, 1000 * S), 0);
        web_attempts_give_back(&attempts, &address);
    }
    for (unsigned i = 0; i < WEB_ATTEMPTS_OF_ONE; i++)
        assert_int_equal(web_attempts_take(&attempts, &address, 1000 * S), 0);
    assert_int_not_equal(web_attempts_take(&attempts, &address, 1000 * S), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_address_is_slowed_down, set_up),
        cmocka_unit_test_setup(test_an_hour_of_trying_is_600_passwords, set_up),
        cmocka_unit_test_setup(test_a_network_of_ipv6_is_one_address, set_up),
        cmocka_unit_test_setup(test_many_addresses_are_slowed_down_together, set_up),
        cmocka_unit_test_setup(test_what_was_right_costs_nothing, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
