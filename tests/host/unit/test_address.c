// SPDX-License-Identifier: MIT
// ADDRESS:PORT taken apart: what is accepted, what is refused and why, and numeric hosts.
#include "net/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_PORT = 7447 };

static void test_splits_host_and_port(void **state)
{
    (void)state;
    const struct {
        const char *text, *host;
        unsigned port;
        bool is_ipv6;
    } cases[] = {
        {"127.0.0.1:80", "127.0.0.1", 80, false},
        {"camera.local:65535", "camera.local", 65535, false},
        {"[::1]:0", "::1", 0, true},
        {"[fe80::1%eth0]:7447", "fe80::1%eth0", 7447, true},
        {":8080", "", 8080, false},
        {"localhost:00080", "localhost", 80, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_address at;
        assert_null(net_address_split(cases[i].text, -1, &at));
        assert_string_equal(at.host, cases[i].host);
        assert_int_equal(at.port, cases[i].port);
        assert_int_equal(at.is_ipv6, cases[i].is_ipv6);
    }
}

static void test_default_port_fills_in(void **state)
{
    (void)state;
    const struct {
        const char *text, *host;
        unsigned port;
        bool is_ipv6;
    } cases[] = {
        {"camera", "camera", DEFAULT_PORT, false},
        {"camera:1", "camera", 1, false},
        {"[::1]", "::1", DEFAULT_PORT, true},
        {"fe80::1", "fe80::1", DEFAULT_PORT, true},
        {"", "", DEFAULT_PORT, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_address at;
        assert_null(net_address_split(cases[i].text, DEFAULT_PORT, &at));
        assert_string_equal(at.host, cases[i].host);
        assert_int_equal(at.port, cases[i].port);
        assert_int_equal(at.is_ipv6, cases[i].is_ipv6);
    }
}

static void test_says_why_it_refuses(void **state)
{
    (void)state;
    char long_host[NET_HOST_BYTES + 8];
    memset(long_host, 'h', sizeof long_host);
    memcpy(long_host + NET_HOST_BYTES, ":80", 4);
    const struct {
        const char *text, *why;
    } cases[] = {
        {"camera", "missing"},           {"[::1]", "missing"},
        {"camera:", "0 to 65535"},       {"camera:65536", "0 to 65535"},
        {"camera:-1", "0 to 65535"},     {"camera:+1", "0 to 65535"},
        {"camera: 1", "0 to 65535"},     {"camera:1x", "0 to 65535"},
        {"::1:80", "[ADDRESS]:PORT"},    {"[::1:80", "[ADDRESS]:PORT"},
        {"[::1]80", "[ADDRESS]:PORT"},   {"camera:99999999999999999999999", "0 to 65535"},
        {long_host, "host is too long"}, {"http://camera:80", "leave out the scheme"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_address at;
        const char *why = net_address_split(cases[i].text, -1, &at);
        if (why == NULL || strstr(why, cases[i].why) == NULL)
            fail_msg("'%s': '%s'", cases[i].text, why != NULL ? why : "accepted");
    }
}

/** The numeric address as text again; "" when it is none. */
static const char *numeric(const char *text)
{
    static char out[80];
    char host[INET6_ADDRSTRLEN] = "";
    struct net_address at;
    struct sockaddr_storage address;
    out[0] = '\0';
    if (net_address_split(text, -1, &at) != NULL)
        return out;
    const socklen_t size = net_address_numeric(&at, &address);
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
    if (size == sizeof *v6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, sizeof out, "%d %s %u", v6->sin6_family, host, ntohs(v6->sin6_port));
    } else if (size == sizeof *v4) {
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, sizeof out, "%d %s %u", v4->sin_family, host, ntohs(v4->sin_port));
    }
    return out;
}

static void test_numeric_hosts(void **state)
{
    (void)state;
    assert_string_equal(numeric("0.0.0.0:7447"), "2 0.0.0.0 7447");
    assert_string_equal(numeric("[2001:db8::7]:1"), "10 2001:db8::7 1");
    assert_string_equal(numeric("localhost:2"), "2 127.0.0.1 2");
    assert_string_equal(numeric("camera.local:3"), "");
    assert_string_equal(numeric("1.2.3:4"), "");
    assert_string_equal(numeric("[127.0.0.1]:5"), "");
    assert_string_equal(numeric(":6"), "");
}

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"relay", "relay.example.org", "7.example", "a-b_c"};
    static const char *const others[] = {"",       "10.0.0.1", "1.2.3", "-relay",   ".relay",
                                         "relay.", "re lay",   "a;b",   "localhost"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!net_address_is_name(names[i]))
            fail_msg("'%s' is a name", names[i]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (net_address_is_name(others[i]))
            fail_msg("'%s' is no name", others[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits_host_and_port),
        cmocka_unit_test(test_default_port_fills_in),
        cmocka_unit_test(test_says_why_it_refuses),
        cmocka_unit_test(test_numeric_hosts),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
