// SPDX-License-Identifier: MIT
// The gateway's cookies: who they are, when they end, and that the table stays bounded.
#include "tools/web/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static const struct web_user anna = {.name = "anna"}, bob = {.name = "bob"};
static struct web_sessions sessions;

static int set_up(void **state)
{
    (void)state;
    sessions = (struct web_sessions){0};
    return 0;
}

static void begin(const struct web_user *user, uint64_t now_ns, char token[WEB_TOKEN_BYTES])
{
    assert_int_equal(web_session_begin(&sessions, user, now_ns, token), 0);
    assert_int_equal(strspn(token, "0123456789abcdef"), 64);
    assert_int_equal(strlen(token), 64);
}

static void test_a_cookie_is_its_users(void **state)
{
    (void)state;
    char first[WEB_TOKEN_BYTES], second[WEB_TOKEN_BYTES];
    begin(&anna, S, first);
    begin(&bob, S, second);
    assert_string_not_equal(first, second);
    assert_ptr_equal(web_session_find(&sessions, first, 2 * S), &anna);
    assert_ptr_equal(web_session_find(&sessions, second, 2 * S), &bob);
    web_session_end(&sessions, first);
    assert_null(web_session_find(&sessions, first, 2 * S));
    assert_ptr_equal(web_session_find(&sessions, second, 2 * S), &bob);
}

static void test_no_other_text_is_a_cookie(void **state)
{
    (void)state;
    char token[WEB_TOKEN_BYTES], other[WEB_TOKEN_BYTES];
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    begin(&anna, S, token);
    for (int i = 0; i < 64; i++) {
        memcpy(other, token, sizeof other);
        other[i] = other[i] == 'a' ? 'b' : 'a';
        assert_null(web_session_find(&sessions, other, S));
        web_session_end(&sessions, other);
    }
    memcpy(other, token, sizeof other);
    other[63] = '\0';
    assert_null(web_session_find(&sessions, other, S));
    assert_null(web_session_find(&sessions, "", S));
    assert_null(web_session_find(&sessions, zeros, S)); // as free places have
    assert_ptr_equal(web_session_find(&sessions, token, S), &anna);
}

static void test_a_cookie_ends_when_it_is_not_used(void **state)
{
    (void)state;
    char token[WEB_TOKEN_BYTES];
    begin(&anna, S, token);
    assert_non_null(web_session_find(&sessions, token, WEB_SESSION_IDLE_S * S));
    assert_non_null(web_session_find(&sessions, token, (2 * WEB_SESSION_IDLE_S - 1) * S));
    assert_null(web_session_find(&sessions, token, (3 * WEB_SESSION_IDLE_S - 1) * S));
    assert_null(web_session_find(&sessions, token, S)); // for good
}

static void test_a_cookie_ends_however_much_it_is_used(void **state)
{
    (void)state;
    char token[WEB_TOKEN_BYTES];
    begin(&anna, S, token);
    for (uint64_t s = 1; s <= WEB_SESSION_AGE_S; s += 3600)
        assert_non_null(web_session_find(&sessions, token, s * S));
    assert_null(web_session_find(&sessions, token, (WEB_SESSION_AGE_S + 1) * S));
}

static void test_the_most_silent_gives_its_place(void **state)
{
    (void)state;
    char tokens[WEB_SESSIONS_MAX + 1][WEB_TOKEN_BYTES];
    for (unsigned i = 0; i < WEB_SESSIONS_MAX; i++)
        begin(&anna, i * S, tokens[i]);
    assert_non_null(web_session_find(&sessions, tokens[0], 100 * S));
    begin(&bob, 101 * S, tokens[WEB_SESSIONS_MAX]);
    assert_null(web_session_find(&sessions, tokens[1], 102 * S));
    for (unsigned i = 0; i <= WEB_SESSIONS_MAX; i++)
        if (i != 1)
            assert_non_null(web_session_find(&sessions, tokens[i], 102 * S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_cookie_is_its_users, set_up),
        cmocka_unit_test_setup(test_no_other_text_is_a_cookie, set_up),
        cmocka_unit_test_setup(test_a_cookie_ends_when_it_is_not_used, set_up),
        cmocka_unit_test_setup(test_a_cookie_ends_however_much_it_is_used, set_up),
        cmocka_unit_test_setup(test_the_most_silent_gives_its_place, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
