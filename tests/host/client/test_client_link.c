// SPDX-License-Identifier: MIT
// Broken links, resuming and losses: what libpinhole tells its user, against a scripted node.
#include "net/client/client.h"
#include "tests/host/support/peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { BOOT = 77, NEXT_BOOT = 78 };

static void ensure(bool is_right, const char *what)
{
    if (!is_right)
        fail_msg("%s", what);
}

static struct pinhole_record *next(struct pinhole *client)
{
    struct pinhole_record *record;
    int result = pinhole_next(client, 20000, &record);
    if (result != 1)
        fail_msg("pinhole_next: %d %s", result, pinhole_error(client));
    return record;
}

static void expect_frame(struct pinhole *client, uint64_t boot_id, uint64_t sequence)
{
    struct pinhole_record *record = next(client);
    if (record->kind != PINHOLE_FRAME)
        fail_msg("event %s instead of frame %llu", pinhole_event_name(record->event.kind),
                 (unsigned long long)sequence);
    assert_int_equal(record->frame.sequence, sequence);
    assert_int_equal(record->frame.boot_id, boot_id);
    pinhole_release(client, record);
}

static void expect_event(struct pinhole *client, enum pinhole_event_kind kind, uint64_t first,
                         uint64_t last)
{
    struct pinhole_record *record = next(client);
    if (record->kind != PINHOLE_EVENT)
        fail_msg("frame %llu instead of %s", (unsigned long long)record->frame.sequence,
                 pinhole_event_name(kind));
    assert_string_equal(pinhole_event_name(record->event.kind), pinhole_event_name(kind));
    assert_int_equal(record->event.first, first);
    assert_int_equal(record->event.last, last);
    assert_non_null(record->event.text);
    if (kind == PINHOLE_EVENT_DISCONNECTED)
        ensure(strlen(record->event.text) > 0, "DISCONNECTED says why");
    pinhole_release(client, record);
}

static void expect_new_link(struct pinhole *client)
{
    expect_event(client, PINHOLE_EVENT_DISCONNECTED, 0, 0);
    expect_event(client, PINHOLE_EVENT_RECONNECTED, 0, 0);
}

/** An event from the node's log. */
static void expect_logged(struct pinhole *client, uint64_t sequence)
{
    struct pinhole_record *record = next(client);
    assert_int_equal(record->kind, PINHOLE_EVENT);
    assert_int_equal(record->event.sequence, sequence);
    pinhole_release(client, record);
}

static struct pinhole *open_and_subscribe(struct peer *peer, void (*script)(struct peer *),
                                          struct pinhole_subscription wish)
{
    struct pinhole *client;
    const struct pinhole_options options = {.size = sizeof options, .request_timeout_ms = 20000};
    wish.size = sizeof wish;
    peer_start(peer, script);
    assert_return_code(pinhole_open(&client, peer->address, &options), 0);
    assert_return_code(pinhole_subscribe(client, &wish), 0);
    return client;
}

static void close_both(struct pinhole *client, struct peer *peer)
{
    pinhole_close(client);
    peer_join(peer);
}

/** Cuts the link inside a frame, then expects to be asked for just that frame. */
static void play_cut_in_frame(struct peer *peer)
{
    uint8_t message[PEER_MESSAGE_MAX];
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 20);
    peer_send(peer, message, peer_make_frame(message, BOOT, 21) - 1);
    peer_hang_up(peer);
    peer_accept(peer); // and once more before the greeting: the user need not know
    peer_hang_up(peer);
    peer_greet(peer, BOOT, true);
    peer_frame(peer, BOOT, 21);
    peer_frame(peer, BOOT, 22);
    peer_sees_end(peer);
}

static void test_every_resumes_after_cut(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_and_subscribe(
        &peer, play_cut_in_frame, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    expect_frame(client, BOOT, 20);
    expect_event(client, PINHOLE_EVENT_DISCONNECTED, 0, 0);
    assert_int_equal(pinhole_fd(client), -1);
    expect_event(client, PINHOLE_EVENT_RECONNECTED, 0, 0);
    assert_true(pinhole_fd(client) >= 0);
    expect_frame(client, BOOT, 21);
    expect_frame(client, BOOT, 22);
    close_both(client, &peer);
    assert_int_equal(peer.subscribe.policy, WIRE_POLICY_EVERY);
    assert_int_equal(peer.subscribe.from_sequence, 21);
    assert_int_equal(peer.subscribe.boot_id, BOOT);
}

static void play_holes(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 5);
    peer_frame(peer, BOOT, 8); // 6 and 7 unsaid
    peer_gap(peer, BOOT, 9, 12);
    peer_frame(peer, BOOT, 13);
    peer_gap(peer, BOOT, 16, 18); // 14 and 15 unsaid
    peer_frame(peer, BOOT, 19);
    peer_hang_up(peer);
    peer_greet(peer, BOOT, true);
    peer_frame(peer, BOOT, 19); // came already
    peer_frame(peer, BOOT, 22);
    peer_sees_end(peer);
}

static void test_every_loss_is_told_once(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_and_subscribe(
        &peer, play_holes,
        (struct pinhole_subscription){.policy = PINHOLE_EVERY, .from_sequence = 4});
    expect_event(client, PINHOLE_EVENT_GAP, 4, 4); // asked for, never sent
    expect_frame(client, BOOT, 5);
    expect_event(client, PINHOLE_EVENT_GAP, 6, 7);
    expect_frame(client, BOOT, 8);
    expect_event(client, PINHOLE_EVENT_GAP, 9, 12);
    expect_frame(client, BOOT, 13);
    expect_event(client, PINHOLE_EVENT_GAP, 14, 15);
    expect_event(client, PINHOLE_EVENT_GAP, 16, 18);
    expect_frame(client, BOOT, 19);
    expect_new_link(client);
    expect_event(client, PINHOLE_EVENT_GAP, 20, 21);
    expect_frame(client, BOOT, 22);
    close_both(client, &peer);
}

static void play_filtered(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 5);
    peer_frame(peer, BOOT, 9); // what is between answers no trigger
    peer_hang_up(peer);
    peer_greet(peer, BOOT, true);
    peer_frame(peer, BOOT, 14);
    peer_sees_end(peer);
}

static void test_filter_makes_no_gaps(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_and_subscribe(
        &peer, play_filtered,
        (struct pinhole_subscription){.policy = PINHOLE_EVERY, .triggered_only = 1});
    expect_frame(client, BOOT, 5);
    expect_frame(client, BOOT, 9);
    expect_new_link(client);
    expect_frame(client, BOOT, 14);
    close_both(client, &peer);
    assert_int_equal(peer.subscribe.from_sequence, 10);
    assert_int_equal(peer.subscribe.filter, WIRE_FILTER_TRIGGERED_ONLY);
}

static void play_restart(struct peer *peer)
{
    uint8_t message[PEER_MESSAGE_MAX];
    const struct wire_event boot = {.kind = WIRE_EVENT_BOOT, .boot_id = NEXT_BOOT};
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 900);
    peer_hang_up(peer);
    peer_greet(peer, NEXT_BOOT, true);
    peer_send(peer, message, peer_make_event(message, &boot, "restarted"));
    peer_frame(peer, NEXT_BOOT, 4); // 1..3 of the new log are evicted already
    peer_frame(peer, NEXT_BOOT, 5);
    peer_hang_up(peer);
    peer_greet(peer, NEXT_BOOT, true);
    peer_frame(peer, NEXT_BOOT, 6);
    peer_sees_end(peer);
}

static void test_node_restart(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_and_subscribe(
        &peer, play_restart, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    expect_frame(client, BOOT, 900);
    expect_new_link(client);
    assert_int_equal(pinhole_info(client)->boot_id, NEXT_BOOT);
    expect_event(client, PINHOLE_EVENT_BOOT, 901, 0); // from there on the former log is not known
    expect_event(client, PINHOLE_EVENT_GAP, 1, 3);
    expect_frame(client, NEXT_BOOT, 4);
    expect_frame(client, NEXT_BOOT, 5);
    expect_new_link(client);
    expect_frame(client, NEXT_BOOT, 6);
    close_both(client, &peer);
    assert_int_equal(peer.subscribe.from_sequence, 6);
    assert_int_equal(peer.subscribe.boot_id, NEXT_BOOT);
}

static void peer_event(struct peer *peer, uint64_t sequence)
{
    uint8_t message[PEER_MESSAGE_MAX];
    const struct wire_event event = {
        .kind = WIRE_EVENT_CAMERA, .boot_id = BOOT, .sequence = sequence};
    peer_send(peer, message, peer_make_event(message, &event, ""));
}

static void play_latest(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 30);
    peer_frame(peer, BOOT, 33);
    peer_hang_up(peer);
    peer_greet(peer, BOOT, true);
    peer_frame(peer, BOOT, 33); // came already
    peer_event(peer, 35);
    peer_event(peer, 37);
    peer_frame(peer, BOOT, 40);
    peer_sees_end(peer);
}

static void test_latest_resumes_with_events(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client =
        open_and_subscribe(&peer, play_latest, (struct pinhole_subscription){0});
    expect_frame(client, BOOT, 30);
    expect_frame(client, BOOT, 33);
    expect_new_link(client);
    expect_logged(client, 35);
    expect_logged(client, 37);
    struct pinhole_record *record = next(client);
    assert_int_equal(record->frame.sequence, 40);
    assert_int_equal(record->frame.skipped, 4); // the count goes on over the new link
    close_both(client, &peer);
    assert_int_equal(peer.subscribe.policy, WIRE_POLICY_LATEST);
    assert_int_equal(peer.subscribe.from_sequence, 34);
    assert_int_equal(peer.subscribe.boot_id, BOOT);
}

static void play_latest_gap(struct peer *peer)
{
    const uint8_t start[8] = {30};
    peer_greet(peer, BOOT, false);
    peer_expect(peer, WIRE_TYPE_SUBSCRIBE);
    peer_reply(peer, WIRE_TYPE_SUBSCRIBE, start, sizeof start);
    peer_hang_up(peer); // before the first record
    peer_greet(peer, BOOT, true);
    peer_frame(peer, BOOT, 33);
    peer_hang_up(peer);
    peer_greet(peer, BOOT, true);
    peer_gap(peer, BOOT, 34, 50);
    peer_frame(peer, BOOT, 51);
    peer_sees_end(peer);
}

/** What stands in a GAP is not skipped as well. */
static void test_latest_resumes_with_a_gap(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_and_subscribe(
        &peer, play_latest_gap, (struct pinhole_subscription){.from_sequence = WIRE_FROM_NEXT});
    expect_new_link(client);
    expect_frame(client, BOOT, 33);
    assert_int_equal(peer.subscribe.from_sequence, 30);
    expect_new_link(client);
    expect_event(client, PINHOLE_EVENT_GAP, 34, 50);
    struct pinhole_record *record = next(client);
    assert_int_equal(record->frame.sequence, 51);
    assert_int_equal(record->frame.skipped, 0);
    assert_int_equal(record->frame.lost_first, 34);
    assert_int_equal(record->frame.lost_last, 50);
    close_both(client, &peer);
    assert_int_equal(peer.subscribe.from_sequence, 34);
}

static void play_latest_late_gap(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 30);
    peer_event(peer, 33); // behind two frames that were skipped
    peer_hang_up(peer);
    peer_greet(peer, BOOT, true);
    peer_event(peer, 35); // behind one
    peer_gap(peer, BOOT, 36, 50);
    peer_frame(peer, BOOT, 53); // behind two
    peer_sees_end(peer);
}

/** Wherever in the log the link breaks and the GAP stands: what is in it is not skipped, the other
 * frames are. */
static void test_latest_resumes_and_a_gap_comes_late(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client =
        open_and_subscribe(&peer, play_latest_late_gap, (struct pinhole_subscription){0});
    expect_frame(client, BOOT, 30);
    expect_logged(client, 33);
    expect_new_link(client);
    expect_logged(client, 35);
    expect_event(client, PINHOLE_EVENT_GAP, 36, 50);
    struct pinhole_record *record = next(client);
    assert_int_equal(record->frame.sequence, 53);
    assert_int_equal(record->frame.skipped, 5);
    assert_int_equal(record->frame.lost_first, 31);
    assert_int_equal(record->frame.lost_last, 52);
    close_both(client, &peer);
}

static void play_kick(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 1);
    peer_frame(peer, BOOT, 2);
    peer_error(peer, 0, WIRE_ERROR_SLOW, WIRE_ERROR_CLOSING, "took no byte for 10 s");
}

static void test_without_reconnecting(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client;
    struct pinhole_record *record;
    const struct pinhole_options options = {.size = sizeof options, .reconnect = -1};
    const struct pinhole_subscription wish = {.size = sizeof wish, .policy = PINHOLE_EVERY};
    peer_start(&peer, play_kick);
    assert_return_code(pinhole_open(&client, peer.address, &options), 0);
    assert_return_code(pinhole_subscribe(client, &wish), 0);
    expect_frame(client, BOOT, 1);
    expect_frame(client, BOOT, 2);
    assert_int_equal(pinhole_next(client, 20000, &record), -ECONNABORTED);
    ensure(strstr(pinhole_error(client), "SLOW took no byte for 10 s") != NULL, "the node's words");
    assert_int_equal(pinhole_next(client, 0, &record), -ECONNABORTED);
    assert_true(pinhole_ping(client) < 0);
    close_both(client, &peer);
}

static void play_new_subscription(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_expect(peer, WIRE_TYPE_SUBSCRIBE);
    peer_frame(peer, BOOT, 50); // still of the old one
    peer_reply(peer, WIRE_TYPE_SUBSCRIBE, NULL, 0);
    peer_frame(peer, BOOT, 10);
    peer_expect(peer, WIRE_TYPE_SUBSCRIBE);
    peer_error(peer, peer->tag, WIRE_ERROR_UNAVAILABLE, 0, "not now");
    peer_frame(peer, BOOT, 11);
    peer_take_subscribe(peer); // none
    peer_sees_end(peer);
}

static void test_subscription_changes(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole_record *record;
    struct pinhole *client = open_and_subscribe(
        &peer, play_new_subscription, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    const struct pinhole_subscription from_10 = {
        .size = sizeof from_10, .policy = PINHOLE_EVERY, .from_sequence = 10};
    assert_return_code(pinhole_subscribe(client, &from_10), 0);
    expect_frame(client, BOOT, 10);
    assert_int_equal(pinhole_subscribe(client, NULL), -EAGAIN); // refused: the old one goes on
    expect_frame(client, BOOT, 11);
    assert_return_code(pinhole_unsubscribe(client), 0);
    assert_int_equal(pinhole_next(client, 0, &record), 0);
    close_both(client, &peer);
    assert_int_equal(peer.subscribe.policy, WIRE_POLICY_NONE);
}

static void play_idle_break(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_hang_up(peer);
    peer_greet(peer, NEXT_BOOT, false);
    peer_expect(peer, WIRE_TYPE_STATS);
    peer_reply(peer, WIRE_TYPE_STATS, "x", 1);
    peer_sees_end(peer);
}

/** Who only sends requests gets the link mended by the request itself. */
static void test_request_mends_link(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client;
    char text[8];
    const struct pinhole_options options = {.size = sizeof options, .request_timeout_ms = 20000};
    peer_start(&peer, play_idle_break);
    assert_return_code(pinhole_open(&client, peer.address, &options), 0);
    expect_event(client, PINHOLE_EVENT_DISCONNECTED, 0, 0);
    assert_int_equal(pinhole_stats(client, text, sizeof text), 1);
    assert_int_equal(pinhole_info(client)->boot_id, NEXT_BOOT);
    expect_event(client, PINHOLE_EVENT_RECONNECTED, 0, 0);
    close_both(client, &peer);
}

static void play_refusal(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_hang_up(peer);
    peer_accept(peer);
    uint8_t message[PEER_MESSAGE_MAX];
    peer_send(peer, message, peer_make_hello(message, BOOT));
    peer_expect(peer, WIRE_TYPE_SUBSCRIBE);
    peer_error(peer, peer->tag, WIRE_ERROR_UNAVAILABLE, 0, "resuming is off");
    ensure(peer_sees_end(peer), "a link without its subscription is of no use");
    peer_hang_up(peer);
    peer_greet(peer, BOOT, true);
    peer_frame(peer, BOOT, 3);
    peer_sees_end(peer);
}

/** Breaks that nobody looked at between are one break. */
static void test_refused_resume_is_tried_again(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_and_subscribe(
        &peer, play_refusal, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    expect_event(client, PINHOLE_EVENT_DISCONNECTED, 0, 0);
    struct pinhole_record *record = next(client);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_RECONNECTED);
    record = next(client);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_DISCONNECTED);
    ensure(strstr(record->event.text, "resuming is off") != NULL, "the node's words");
    expect_event(client, PINHOLE_EVENT_RECONNECTED, 0, 0);
    expect_frame(client, BOOT, 3);
    close_both(client, &peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_resumes_after_cut),
        cmocka_unit_test(test_every_loss_is_told_once),
        cmocka_unit_test(test_filter_makes_no_gaps),
        cmocka_unit_test(test_node_restart),
        cmocka_unit_test(test_latest_resumes_with_events),
        cmocka_unit_test(test_latest_resumes_with_a_gap),
        cmocka_unit_test(test_latest_resumes_and_a_gap_comes_late),
        cmocka_unit_test(test_without_reconnecting),
        cmocka_unit_test(test_subscription_changes),
        cmocka_unit_test(test_request_mends_link),
        cmocka_unit_test(test_refused_resume_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
