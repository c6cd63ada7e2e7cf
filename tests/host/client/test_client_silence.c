// SPDX-License-Identifier: MIT
// A node that hangs, drips or says what cannot be: libpinhole notices and tells its user.
#include "net/client/client.h"
#include "tests/host/support/peer.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { BOOT = 77, SHORT_MS = 100, LONG_MS = 2000, PATIENCE_MS = 20000 };

static struct peer peer;

static struct pinhole *open_with(void (*script)(struct peer *), int silence_ms, int reconnect)
{
    const struct pinhole_options options = {
        .size = sizeof options, .reconnect = reconnect, .silence_timeout_ms = silence_ms};
    const struct pinhole_subscription wish = {.size = sizeof wish, .policy = PINHOLE_EVERY};
    struct pinhole *client;
    peer_start(&peer, script);
    assert_return_code(pinhole_open(&client, peer.address, &options), 0);
    assert_int_equal(pinhole_subscribe(client, &wish), 0);
    return client;
}

static void close_both(struct pinhole *client)
{
    pinhole_close(client);
    peer_join(&peer);
}

static struct pinhole_record *next(struct pinhole *client)
{
    struct pinhole_record *record;
    const int result = pinhole_next(client, PATIENCE_MS, &record);
    if (result != 1)
        fail_msg("pinhole_next: %d %s", result, pinhole_error(client));
    return record;
}

/** The next record is the event that the link broke, and its text has this in it. */
static void expect_break(struct pinhole *client, const char *text)
{
    struct pinhole_record *record = next(client);
    assert_int_equal(record->kind, PINHOLE_EVENT);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_DISCONNECTED);
    if (strstr(record->event.text, text) == NULL)
        fail_msg("'%s' is not in '%s'", text, record->event.text);
    pinhole_release(client, record);
}

static void expect_frame(struct pinhole *client, uint64_t sequence)
{
    struct pinhole_record *record = next(client);
    if (record->kind != PINHOLE_FRAME)
        fail_msg("event %s: %s", pinhole_event_name(record->event.kind), record->event.text);
    assert_int_equal(record->frame.sequence, sequence);
    pinhole_release(client, record);
}

static void greet(struct peer *p)
{
    peer_greet(p, BOOT, false);
    peer_take_subscribe(p);
}

static void play_hung(struct peer *p)
{
    greet(p);
    peer_frame(p, BOOT, 3);
    peer_expect(p, WIRE_TYPE_PING); // and no answer
    if (!peer_sees_end(p))
        p->wrong = "the client did not end the link";
    peer_hang_up(p);
    peer_greet(p, BOOT, true);
    peer_frame(p, BOOT, 4);
    peer_sees_end(p);
}

static void test_a_hung_node_is_told(void **state)
{
    (void)state;
    struct pinhole *client = open_with(play_hung, SHORT_MS, 0);
    expect_frame(client, 3);
    expect_break(client, "does not answer PING");
    struct pinhole_record *record = next(client);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_RECONNECTED);
    pinhole_release(client, record);
    expect_frame(client, 4);
    close_both(client);
}

static void play_hung_for_good(struct peer *p)
{
    greet(p);
    peer_expect(p, WIRE_TYPE_PING);
    peer_sees_end(p);
}

static void test_without_reconnecting_it_is_an_error(void **state)
{
    (void)state;
    struct pinhole_record *record;
    struct pinhole *client = open_with(play_hung_for_good, SHORT_MS, -1);
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), -ETIMEDOUT);
    assert_non_null(strstr(pinhole_error(client), "does not answer PING"));
    close_both(client);
}

static void play_quiet(struct peer *p)
{
    greet(p);
    peer_expect(p, WIRE_TYPE_PING);
    peer_reply(p, WIRE_TYPE_PING, NULL, 0);
    peer_frame(p, BOOT, 3);
    peer_sees_end(p);
}

/** A trigger camera without a trigger has nothing to say, but answers. */
static void test_a_quiet_node_is_not_a_hung_one(void **state)
{
    (void)state;
    struct pinhole *client = open_with(play_quiet, LONG_MS, 0);
    expect_frame(client, 3);
    close_both(client);
}

static void play_drip(struct peer *p)
{
    uint8_t message[PEER_MESSAGE_MAX];
    const struct timespec pause = {.tv_nsec = 10000000};
    greet(p);
    const size_t bytes = peer_make_frame(message, BOOT, 999);
    for (size_t at = 0; at < bytes; at++) {
        peer_send(p, message + at, 1);
        nanosleep(&pause, NULL);
    }
    peer_sees_end(p);
}

static void test_a_frame_that_drips_is_silence(void **state)
{
    (void)state;
    struct pinhole *client = open_with(play_drip, SHORT_MS, 0);
    expect_break(client, "does not answer PING: nothing but");
    close_both(client);
}

static void play_far_gap(struct peer *p)
{
    greet(p);
    peer_frame(p, BOOT, 3);
    peer_gap(p, BOOT, 4, UINT64_C(1) << 40);
    peer_sees_end(p);
}

static void test_a_gap_that_cannot_be_ends_the_link(void **state)
{
    (void)state;
    struct pinhole_record *record;
    struct pinhole *client = open_with(play_far_gap, LONG_MS, -1);
    expect_frame(client, 3);
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), -EPROTO);
    assert_non_null(strstr(pinhole_error(client), "a GAP up to record 1099511627776 came"));
    close_both(client);
}

static void play_far_frame(struct peer *p)
{
    greet(p);
    peer_frame(p, BOOT, UINT64_MAX - 1);
    peer_sees_end(p);
}

static void test_a_record_that_cannot_be_ends_the_link(void **state)
{
    (void)state;
    struct pinhole_record *record;
    struct pinhole *client = open_with(play_far_frame, LONG_MS, -1);
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), -EPROTO);
    close_both(client);
}

static void play_rude(struct peer *p)
{
    uint8_t message[PEER_MESSAGE_MAX];
    const struct wire_event event = {.kind = WIRE_EVENT_CAMERA, .boot_id = BOOT, .sequence = 3};
    greet(p);
    peer_send(p, message,
              peer_make_event(message, &event,
                              "a\x1b]0;b\x07"
                              "c\xc2\x9b"
                              "d\r<3>e\nf"));
    peer_expect(p, WIRE_TYPE_TRIGGER);
    peer_error(p, p->tag, WIRE_ERROR_UNAVAILABLE, 0, "no\x1b[1m\nway");
    peer_sees_end(p);
}

static void test_text_from_a_node_is_safe_to_print(void **state)
{
    (void)state;
    struct pinhole *client = open_with(play_rude, LONG_MS, -1);
    struct pinhole_record *record = next(client);
    assert_string_equal(record->event.text, "a ]0;b c  d <3>e\nf");
    pinhole_release(client, record);
    assert_int_equal(pinhole_trigger(client, NULL), -EAGAIN);
    assert_non_null(strstr(pinhole_error(client), ": no [1m way"));
    close_both(client);
}

static void play_shorter_log(struct peer *p)
{
    greet(p);
    peer_gap(p, BOOT, 3, 2000);
    peer_hang_up(p);
    p->log_end = 0; // HELLO says 3 to 11
    peer_accept(p);
    peer_say_hello(p, BOOT);
    peer_expect(p, WIRE_TYPE_SUBSCRIBE);
    if (p->subscribe.from_sequence != 3)
        p->wrong = "the client waits for a record that will not come";
    peer_reply(p, WIRE_TYPE_SUBSCRIBE, NULL, 0);
    peer_frame(p, BOOT, 3);
    peer_sees_end(p);
}

/** Another node said so over the earlier link: what follows is not "received already". */
static void test_a_position_beyond_the_log_is_given_up(void **state)
{
    (void)state;
    struct pinhole *client = open_with(play_shorter_log, LONG_MS, 0);
    struct pinhole_record *record = next(client);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_GAP);
    pinhole_release(client, record);
    expect_break(client, "");
    record = next(client);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_RECONNECTED);
    assert_non_null(strstr(record->event.text, "log is shorter"));
    pinhole_release(client, record);
    expect_frame(client, 3);
    close_both(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hung_node_is_told),
        cmocka_unit_test(test_without_reconnecting_it_is_an_error),
        cmocka_unit_test(test_a_quiet_node_is_not_a_hung_one),
        cmocka_unit_test(test_a_frame_that_drips_is_silence),
        cmocka_unit_test(test_a_gap_that_cannot_be_ends_the_link),
        cmocka_unit_test(test_a_record_that_cannot_be_ends_the_link),
        cmocka_unit_test(test_text_from_a_node_is_safe_to_print),
        cmocka_unit_test(test_a_position_beyond_the_log_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
