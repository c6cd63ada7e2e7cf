// SPDX-License-Identifier: MIT
// What the SDK adds to receiving: copies, strategies, pause, callbacks, typed features.
#include "net/client/client.h"
#include "tests/host/support/peer.h"

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BOOT = 77, PATIENCE_MS = 20000, LIMIT_S = 400 };

static struct pinhole *open_client(struct peer *peer, void (*script)(struct peer *), int reconnect)
{
    const struct pinhole_options options = {
        .size = sizeof options, .reconnect = reconnect, .request_timeout_ms = PATIENCE_MS};
    struct pinhole *client;
    peer_start(peer, script);
    assert_int_equal(pinhole_open(&client, peer->address, &options), 0);
    return client;
}

static void subscribe(struct pinhole *client, struct pinhole_subscription wish)
{
    wish.size = sizeof wish;
    if (pinhole_subscribe(client, &wish) < 0)
        fail_msg("%s", pinhole_error(client));
}

static struct pinhole_frame next_frame(struct pinhole *client)
{
    struct pinhole_record *record;
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), 1);
    if (record->kind != PINHOLE_FRAME)
        fail_msg("%s instead of a frame", pinhole_event_name(record->event.kind));
    struct pinhole_frame frame = record->frame;
    pinhole_release(client, record);
    return frame;
}

static struct pinhole_event next_event(struct pinhole *client, enum pinhole_event_kind kind)
{
    struct pinhole_record *record;
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), 1);
    if (record->kind != PINHOLE_EVENT)
        fail_msg("frame %llu instead of %s", (unsigned long long)record->frame.sequence,
                 pinhole_event_name(kind));
    assert_string_equal(pinhole_event_name(record->event.kind), pinhole_event_name(kind));
    struct pinhole_event event = record->event;
    pinhole_release(client, record);
    return event;
}

static void close_both(struct pinhole *client, struct peer *peer)
{
    pinhole_close(client);
    peer_join(peer);
}

static void play_copies(struct peer *peer)
{
    uint8_t message[PEER_MESSAGE_MAX];
    const struct wire_event event = {.kind = WIRE_EVENT_TRIGGER,
                                     .boot_id = BOOT,
                                     .sequence = 31,
                                     .first = 4,
                                     .last = 6,
                                     .outcome = WIRE_OUTCOME_MISSED};
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 30); // 130 bytes
    peer_send(peer, message, peer_make_event(message, &event, "no frame in time"));
    peer_sees_end(peer);
}

static void test_copy_keeps_what_does_not_fit(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_client(&peer, play_copies, -1);
    struct pinhole_record record;
    uint8_t buffer[200];
    memset(buffer, 0xee, sizeof buffer);
    subscribe(client, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    for (int i = 0; i < 3; i++) {
        size_t bytes = 129;
        assert_int_equal(pinhole_copy_next(client, PATIENCE_MS, buffer, &bytes, &record), -ENOSPC);
        assert_int_equal(bytes, 130);
        assert_int_equal(buffer[0], 0xee);
    }
    size_t bytes = 130;
    assert_int_equal(pinhole_copy_next(client, PATIENCE_MS, buffer, &bytes, &record), 1);
    assert_int_equal(bytes, 130);
    assert_int_equal(record.kind, PINHOLE_FRAME);
    assert_int_equal(record.frame.sequence, 30);
    assert_ptr_equal(record.frame.jpeg, buffer);
    assert_int_equal(buffer[0], 30);
    assert_int_equal(buffer[129], 30);
    assert_int_equal(buffer[130], 0xee);

    // An event's text goes the same way, with its end.
    bytes = strlen("no frame in time");
    assert_int_equal(pinhole_copy_next(client, PATIENCE_MS, buffer, &bytes, &record), -ENOSPC);
    assert_int_equal(pinhole_copy_next(client, PATIENCE_MS, buffer, &bytes, &record), 1);
    assert_int_equal(record.event.kind, PINHOLE_EVENT_TRIGGER);
    assert_int_equal(record.event.outcome, WIRE_OUTCOME_MISSED);
    assert_int_equal(record.event.first, 4);
    assert_int_equal(record.event.last, 6);
    assert_string_equal((char *)buffer, "no frame in time");
    bytes = sizeof buffer;
    assert_int_equal(pinhole_copy_next(client, 0, buffer, &bytes, &record), 0);
    close_both(client, &peer);
}

/** Ten frames and an event in their midst are in the socket before the client looks. */
static void play_ten(struct peer *peer)
{
    uint8_t stream[12 * PEER_MESSAGE_MAX];
    const struct wire_event event = {
        .kind = WIRE_EVENT_CAMERA, .boot_id = BOOT, .sequence = 105, .camera_state = 2};
    size_t bytes = 0;
    peer_greet(peer, BOOT, false);
    peer_expect(peer, WIRE_TYPE_SUBSCRIBE);
    bytes += peer_make(stream, WIRE_TYPE_SUBSCRIBE, WIRE_FLAG_REPLY, peer->tag, NULL, 0);
    for (uint64_t s = 100; s <= 110; s++)
        bytes += s == 105 ? peer_make_event(stream + bytes, &event, "stalled")
                          : peer_make_frame(stream + bytes, BOOT, s);
    peer_send(peer, stream, bytes);
    peer_expect(peer, WIRE_TYPE_PING); // so that all of it has come
    peer_reply(peer, WIRE_TYPE_PING, peer->request, peer->request_bytes);
    peer_frame(peer, BOOT, 111);
    peer_sees_end(peer);
}

static void test_latest_only(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_client(&peer, play_ten, -1);
    subscribe(client,
              (struct pinhole_subscription){.strategy = PINHOLE_LATEST_ONLY, .from_sequence = 0});
    assert_int_equal(peer.subscribe.policy, WIRE_POLICY_LATEST);
    assert_true(pinhole_ping(client) > 0);
    // Events are never dropped.
    assert_int_equal(next_event(client, PINHOLE_EVENT_CAMERA).camera_state, 2);
    struct pinhole_frame frame = next_frame(client);
    while (frame.sequence < 111) { // 111 may come in time to replace 110, or after it
        assert_int_equal(frame.sequence, 110);
        assert_int_equal(frame.skipped, 9);
        assert_int_equal(frame.lost_first, 100);
        assert_int_equal(frame.lost_last, 109);
        frame = next_frame(client);
        assert_int_equal(frame.skipped, 0);
        assert_int_equal(frame.lost_first, 0);
        assert_int_equal(frame.lost_last, 0);
    }
    assert_int_equal(frame.sequence, 111);
    close_both(client, &peer);
}

/** The first record of eleven frames that stand in the socket. */
static struct pinhole_frame first_of_eleven(void)
{
    uint8_t stream[12 * PEER_MESSAGE_MAX];
    const struct pinhole_options options = {.size = sizeof options, .reconnect = -1};
    struct pinhole_record *record;
    struct pinhole *client;
    int fds[2];
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), errno);
    assert_int_equal(client_make(&client, &options), 0);
    client_link_adopt(client, fds[0]);
    size_t bytes = peer_make_hello(stream, BOOT);
    for (uint64_t s = 100; s <= 110; s++)
        bytes += peer_make_frame(stream + bytes, BOOT, s);
    assert_int_equal(write(fds[1], stream, bytes), bytes);
    client->wish =
        (struct pinhole_subscription){.policy = PINHOLE_LATEST, .strategy = PINHOLE_LATEST_ONLY};
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), 1);
    const struct pinhole_frame frame = record->frame;
    pinhole_close(client);
    close(fds[1]);
    return frame;
}

/** What stands in the socket is fresher than what was received first. */
static void test_latest_only_looks_into_the_socket(void **state)
{
    (void)state;
    struct pinhole_frame frame;
    int tries = 0;
    do // the library looks for some milliseconds only, which a busy machine may take from it
        frame = first_of_eleven();
    while (frame.sequence < 110 && ++tries < 20);
    assert_int_equal(frame.sequence, 110);
    assert_int_equal(frame.skipped, 10);
}

static void test_latest_n(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_client(&peer, play_ten, -1);
    subscribe(client, (struct pinhole_subscription){.strategy = PINHOLE_LATEST_N, .queue_max = 3});
    assert_int_equal(peer.subscribe.policy, WIRE_POLICY_EVERY);
    assert_true(pinhole_ping(client) > 0);
    next_event(client, PINHOLE_EVENT_CAMERA);
    uint64_t sum = 0, frames = 0, sequence = 0;
    while (sequence < 111) {
        struct pinhole_frame frame = next_frame(client);
        if (frames == 0)
            assert_true(frame.sequence == 108 || frame.sequence == 109);
        else
            assert_int_equal(frame.sequence, sequence + 1);
        if (frame.skipped > 0) {
            assert_int_equal(frame.lost_first, 100);
            assert_int_equal(frame.lost_last, frame.sequence - 1);
        }
        sequence = frame.sequence;
        sum += 1 + frame.skipped;
        frames++;
    }
    assert_true(frames == 3 || frames == 4);
    assert_int_equal(sum, 11); // each frame came or was counted
    close_both(client, &peer);
}

static void test_one_by_one_drops_none(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_client(&peer, play_ten, -1);
    subscribe(client, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    assert_true(pinhole_ping(client) > 0);
    for (uint64_t s = 100; s <= 111; s++)
        if (s == 105)
            next_event(client, PINHOLE_EVENT_CAMERA);
        else
            assert_int_equal(next_frame(client).sequence, s);
    close_both(client, &peer);
}

static void take_subscribe_at(struct peer *peer, uint64_t start)
{
    uint8_t payload[8];
    wire_store_u64(payload, start);
    peer_expect(peer, WIRE_TYPE_SUBSCRIBE);
    peer_reply(peer, WIRE_TYPE_SUBSCRIBE, payload, sizeof payload);
}

/** The link breaks before the first record: the node has said where it would have begun. */
static void play_early_break(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    take_subscribe_at(peer, 500);
    peer_hang_up(peer);
    peer_accept(peer);
    peer_say_hello(peer, BOOT);
    take_subscribe_at(peer, 500);
    peer_gap(peer, BOOT, 500, 502);
    peer_frame(peer, BOOT, 503);
    peer_frame(peer, BOOT, 506);
    peer_sees_end(peer);
}

static void test_break_before_the_first_record(void **state)
{
    (void)state;
    for (unsigned newest = 0; newest < 2; newest++) {
        static struct peer peer;
        struct pinhole *client = open_client(&peer, play_early_break, 0);
        subscribe(client, (struct pinhole_subscription){.policy = PINHOLE_EVERY,
                                                        .from_sequence = newest ? 0 : UINT64_MAX});
        next_event(client, PINHOLE_EVENT_DISCONNECTED);
        next_event(client, PINHOLE_EVENT_RECONNECTED);
        struct pinhole_event gap = next_event(client, PINHOLE_EVENT_GAP);
        assert_int_equal(gap.first, 500);
        assert_int_equal(gap.last, 502);
        struct pinhole_frame frame = next_frame(client);
        assert_int_equal(frame.sequence, 503);
        assert_int_equal(frame.lost_first, 500);
        assert_int_equal(frame.lost_last, 502);
        gap = next_event(client, PINHOLE_EVENT_GAP);
        assert_int_equal(gap.first, 504);
        assert_int_equal(gap.last, 505);
        frame = next_frame(client);
        assert_int_equal(frame.lost_first, 504);
        assert_int_equal(frame.lost_last, 505);
        close_both(client, &peer);
        assert_int_equal(peer.subscribe.from_sequence, 500);
        assert_int_equal(peer.subscribe.boot_id, BOOT);
    }
}

static void play_pause(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 7);
    peer_expect(peer, WIRE_TYPE_SUBSCRIBE);
    if (peer->subscribe.policy != WIRE_POLICY_NONE)
        return;
    peer_frame(peer, BOOT, 8); // was on its way
    peer_reply(peer, WIRE_TYPE_SUBSCRIBE, NULL, 0);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 9);
    peer_sees_end(peer);
}

static void test_pause_goes_on_where_it_stopped(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_client(&peer, play_pause, -1);
    struct pinhole_record *record;
    assert_int_equal(pinhole_pause(client, 1), -EINVAL);
    subscribe(client, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    assert_int_equal(next_frame(client).sequence, 7);
    assert_int_equal(pinhole_pause(client, 1), 0);
    assert_int_equal(pinhole_pause(client, 1), 0);
    assert_int_equal(next_frame(client).sequence, 8);
    assert_int_equal(pinhole_next(client, 0, &record), 0);
    assert_int_equal(pinhole_pause(client, 0), 0);
    assert_int_equal(next_frame(client).sequence, 9);
    close_both(client, &peer);
    assert_int_equal(peer.subscribe.policy, WIRE_POLICY_EVERY);
    assert_int_equal(peer.subscribe.from_sequence, 9);
}

struct heard {
    atomic_uint frames, ends;
    char why[200];
};

static void on_record(struct pinhole *p, const struct pinhole_record *record, void *user)
{
    struct heard *heard = user;
    (void)p;
    if (record->kind == PINHOLE_FRAME) {
        atomic_fetch_add(&heard->frames, 1);
        return;
    }
    snprintf(heard->why, sizeof heard->why, "%s", record->event.text);
    atomic_fetch_add(&heard->ends, record->event.kind == PINHOLE_EVENT_DISCONNECTED);
}

static void play_two_and_gone(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 1);
    peer_frame(peer, BOOT, 2);
}

static void test_callback_learns_of_the_end(void **state)
{
    (void)state;
    static struct peer peer;
    struct heard heard = {.frames = 0};
    struct pinhole *client = open_client(&peer, play_two_and_gone, -1);
    assert_int_equal(pinhole_start(client, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(pinhole_start(client, NULL, on_record, &heard), 0);
    while (atomic_load(&heard.ends) == 0)
        usleep(1000);
    assert_int_equal(atomic_load(&heard.frames), 2);
    assert_non_null(strstr(heard.why, "closed the link"));
    struct pinhole_record *record;
    assert_true(pinhole_next(client, 0, &record) < 0); // broken, and no longer busy
    close_both(client, &peer);
    assert_int_equal(atomic_load(&heard.ends), 1);
}

static void play_silence(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    for (int i = 0; i < 20; i++) {
        peer_expect(peer, WIRE_TYPE_PING);
        peer_reply(peer, WIRE_TYPE_PING, peer->request, peer->request_bytes);
    }
    peer_take_subscribe(peer);
    peer_sees_end(peer);
}

/** The callback's thread sleeps on the link; who calls meanwhile must not wait for a frame. */
static void test_calls_while_nothing_comes(void **state)
{
    (void)state;
    static struct peer peer;
    struct heard heard = {.frames = 0};
    struct pinhole *client = open_client(&peer, play_silence, -1);
    assert_int_equal(pinhole_start(client, NULL, on_record, &heard), 0);
    for (int i = 0; i < 20; i++) {
        usleep(5000); // so that it sleeps
        assert_true(pinhole_ping(client) > 0);
    }
    usleep(5000);
    assert_int_equal(pinhole_stop(client), 0);
    close_both(client, &peer);
    assert_int_equal(peer.subscribe.policy, WIRE_POLICY_NONE);
    assert_int_equal(atomic_load(&heard.frames), 0);
}

static void test_callback_needs_all_records_back(void **state)
{
    (void)state;
    static struct peer peer;
    struct heard heard = {.frames = 0};
    struct pinhole_record *record;
    struct pinhole *client = open_client(&peer, play_two_and_gone, -1);
    subscribe(client, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), 1);
    assert_int_equal(pinhole_start(client, NULL, on_record, &heard), -EBUSY);
    pinhole_release(client, record);
    close_both(client, &peer);
}

#define WIDTH  "Width\t1280\tInteger\tpx\t64\t4096\t2\trw\t\tColumns of the image\n"
#define GAIN   "Gain\t1.5\tFloat\tdB\t1\t16.5\t\trw\t\t\n"
#define AUTO   "ExposureAuto\tOff\tEnum\t\t\t\t\trw\tOff|Once|Continuous\t\n"
#define FLIP   "ReverseX\t1\tBoolean\t\t\t\t\trw\t\t\n"
#define WIDER  "Width\t1280\tInteger\tpx\t64\t8192\t2\trw\t\tColumns of the image\n"
#define OTHERS "Width2\t1\tInteger\t\t0\t1\t\trw\t\t\n"

static void reply_text(struct peer *peer, uint8_t type, const char *text)
{
    peer_expect(peer, type);
    peer_reply(peer, type, text, strlen(text));
}

static void play_features(struct peer *peer)
{
    uint8_t message[PEER_MESSAGE_MAX];
    const struct wire_event event = {.kind = WIRE_EVENT_FEATURES, .boot_id = BOOT, .sequence = 1};
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    reply_text(peer, WIRE_TYPE_FEATURES, OTHERS WIDTH GAIN AUTO FLIP); // asked once
    reply_text(peer, WIRE_TYPE_GET, "Width=1280\n");
    peer_send(peer, message, peer_make_event(message, &event, "Width=1280\n"));
    peer_expect(peer, WIRE_TYPE_PING); // after the event
    peer_reply(peer, WIRE_TYPE_PING, peer->request, peer->request_bytes);
    reply_text(peer, WIRE_TYPE_FEATURES, WIDER GAIN AUTO FLIP); // asked anew
    reply_text(peer, WIRE_TYPE_GET, "Gain=1.5\n");
    reply_text(peer, WIRE_TYPE_SET, "Gain=2.25\n");
    if (strcmp((char *)peer->request, "Gain=2.25") != 0)
        return;
    reply_text(peer, WIRE_TYPE_GET, "ReverseX=1\n");
    reply_text(peer, WIRE_TYPE_GET, "Gain=1.5\n");
    reply_text(peer, WIRE_TYPE_FEATURES, WIDER GAIN AUTO FLIP); // a SET may have moved ranges
    reply_text(peer, WIRE_TYPE_SET, "ExposureAuto=Once\n");
    if (strcmp((char *)peer->request, "ExposureAuto=Once") != 0)
        return;
    reply_text(peer, WIRE_TYPE_SET, "Width=-9007199254740993\n");
    if (strcmp((char *)peer->request, "Width=-9007199254740993") != 0)
        return;
    reply_text(peer, WIRE_TYPE_SET, "ReverseX=0\n");
    peer_sees_end(peer);
}

static void test_typed_features(void **state)
{
    (void)state;
    static struct peer peer;
    int64_t min, max, step, number;
    double low, high, real;
    int truth;
    struct pinhole *client = open_client(&peer, play_features, -1);
    subscribe(client, (struct pinhole_subscription){.policy = PINHOLE_EVERY});
    // Where this locale is installed its decimal point is a comma.
    setlocale(LC_ALL, "de_DE.UTF-8");
    assert_int_equal(pinhole_range_int(client, "Width", &min, &max, &step), 0);
    assert_int_equal(min, 64);
    assert_int_equal(max, 4096);
    assert_int_equal(step, 2);
    assert_int_equal(pinhole_range_float(client, "Gain", &low, &high, NULL), 0);
    assert_true(low == 1 && high == 16.5);
    real = 7;
    assert_int_equal(pinhole_range_float(client, "Gain", NULL, NULL, &real), 0);
    assert_true(real == 0); // it has no increment
    assert_int_equal(pinhole_range_int(client, "Gain", &min, &max, NULL), -ENODATA);
    assert_int_equal(pinhole_range_float(client, "ExposureAuto", &low, &high, NULL), -ENODATA);
    assert_int_equal(pinhole_range_int(client, "Widt", &min, &max, NULL), -ENOENT);
    assert_int_equal(pinhole_set_enum(client, "ExposureAuto", "On"), -ERANGE);
    assert_non_null(strstr(pinhole_error(client), "Off|Once|Continuous"));
    assert_int_equal(pinhole_set_enum(client, "ExposureAuto", ""), -ERANGE);
    assert_int_equal(pinhole_set_enum(client, "Gain", "Off"), -EINVAL);
    assert_int_equal(pinhole_get_int(client, "Width", &number), 0);
    assert_int_equal(number, 1280);

    assert_true(pinhole_ping(client) > 0); // the event has come
    assert_int_equal(pinhole_range_int(client, "Width", NULL, &max, NULL), 0);
    assert_int_equal(max, 8192);
    assert_int_equal(pinhole_get_float(client, "Gain", &real), 0);
    assert_true(real == 1.5);
    assert_int_equal(pinhole_set_float(client, "Gain", 2.25), 0);
    assert_int_equal(pinhole_get_bool(client, "ReverseX", &truth), 0);
    assert_int_equal(truth, 1);
    assert_int_equal(pinhole_get_int(client, "Gain", &number), -EINVAL);
    assert_non_null(strstr(pinhole_error(client), "no integer"));
    assert_int_equal(pinhole_set_enum(client, "ExposureAuto", "Once"), 0);
    assert_int_equal(pinhole_set_int(client, "Width", -9007199254740993), 0); // no double holds it
    assert_int_equal(pinhole_set_bool(client, "ReverseX", 0), 0);
    setlocale(LC_ALL, "C");
    close_both(client, &peer);
    assert_string_equal((char *)peer.request, "ReverseX=0");
}

/** Programs built with an earlier or a later header have other sizes. */
static void test_elements_of_other_sizes(void **state)
{
    (void)state;
    struct {
        struct pinhole_feature known;
        char later[40];
    } larger[2];
    char smaller[2][48];
    memset(larger, 0xee, sizeof larger);
    memset(smaller, 0xee, sizeof smaller);
    assert_int_equal(client_features_parse(WIDTH GAIN AUTO, larger, sizeof larger[0], 2), 3);
    assert_string_equal(larger[1].known.name, "Gain");
    assert_int_equal(larger[1].later[39], 0);
    assert_int_equal(client_features_parse(WIDTH GAIN AUTO, smaller, sizeof smaller[0], 2), 3);
    assert_string_equal(smaller[0], "Width");
    assert_string_equal(smaller[1], "Gain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_keeps_what_does_not_fit),
        cmocka_unit_test(test_latest_only),
        cmocka_unit_test(test_latest_only_looks_into_the_socket),
        cmocka_unit_test(test_latest_n),
        cmocka_unit_test(test_one_by_one_drops_none),
        cmocka_unit_test(test_break_before_the_first_record),
        cmocka_unit_test(test_pause_goes_on_where_it_stopped),
        cmocka_unit_test(test_callback_learns_of_the_end),
        cmocka_unit_test(test_calls_while_nothing_comes),
        cmocka_unit_test(test_callback_needs_all_records_back),
        cmocka_unit_test(test_typed_features),
        cmocka_unit_test(test_elements_of_other_sizes),
    };
    alarm(LIMIT_S); // what hangs is ended
    return cmocka_run_group_tests(tests, NULL, NULL);
}
