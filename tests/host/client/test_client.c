// SPDX-License-Identifier: MIT
// The client library's receiving path and its requests, against scripted bytes.
#include "net/client/client.h"
#include "tests/host/support/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { BOOT = 77 };

// --- a handle on one end of a socket pair, bytes written by hand on the other ------------------

struct pair {
    struct pinhole *client;
    int fd;
};

static struct pair pair_open(int reconnect)
{
    struct pair pair;
    int fds[2];
    const struct pinhole_options options = {.size = sizeof options, .reconnect = reconnect};
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), errno);
    assert_return_code(client_make(&pair.client, &options), 0);
    client_link_adopt(pair.client, fds[0]);
    pair.fd = fds[1];
    return pair;
}

static void pair_write(struct pair *pair, const void *bytes, size_t count)
{
    assert_int_equal(write(pair->fd, bytes, count), count);
}

static struct pair pair_greeted(int reconnect)
{
    uint8_t message[PEER_MESSAGE_MAX];
    struct pair pair = pair_open(reconnect);
    pair_write(&pair, message, peer_make_hello(message, BOOT));
    while (pair.client->state != CLIENT_UP)
        assert_int_equal(client_advance(pair.client, true), 1);
    pair.client->was_opened = true;
    return pair;
}

static void pair_close(struct pair *pair)
{
    pinhole_close(pair->client);
    close(pair->fd);
}

static struct pinhole_record *next(struct pinhole *client)
{
    struct pinhole_record *record;
    int result = pinhole_next(client, 20000, &record);
    if (result != 1)
        fail_msg("pinhole_next: %d %s", result, pinhole_error(client));
    return record;
}

static void check_frame(const struct pinhole_record *record, uint64_t sequence)
{
    assert_int_equal(record->kind, PINHOLE_FRAME);
    assert_int_equal(record->frame.boot_id, BOOT);
    assert_int_equal(record->frame.sequence, sequence);
    assert_int_equal(record->frame.width, 640);
    assert_int_equal(record->frame.jpeg_bytes, 100 + sequence % 1000);
    for (size_t i = 0; i < record->frame.jpeg_bytes; i++)
        assert_int_equal(record->frame.jpeg[i], sequence & 0xff);
}

/** HELLO, a message of unknown type, a frame, an event, a frame: cut into pieces of every size. */
static void test_any_split(void **state)
{
    (void)state;
    uint8_t stream[4 * PEER_MESSAGE_MAX], unknown[3000] = {0};
    const struct wire_event event = {
        .kind = WIRE_EVENT_CAMERA, .boot_id = BOOT, .sequence = 12, .camera_state = 2};
    size_t total = peer_make_hello(stream, BOOT);
    total += peer_make(stream + total, 200, 0, 0, unknown, sizeof unknown);
    total += peer_make_frame(stream + total, BOOT, 11);
    total += peer_make_event(stream + total, &event, "stalled");
    total += peer_make_frame(stream + total, BOOT, 950);

    for (size_t piece = 1; piece <= total; piece += piece < 400 ? 7 : 397) {
        struct pair pair = pair_open(-1);
        struct pinhole_record *got[4] = {0};
        size_t count = 0;
        for (size_t at = 0; at < total; at += piece) {
            pair_write(&pair, stream + at, at + piece < total ? piece : total - at);
            while (pinhole_next(pair.client, 0, &got[count]) == 1)
                count++;
        }
        assert_int_equal(count, 3);
        check_frame(got[0], 11);
        assert_int_equal(got[1]->kind, PINHOLE_EVENT);
        assert_int_equal(got[1]->event.kind, PINHOLE_EVENT_CAMERA);
        assert_int_equal(got[1]->event.camera_state, 2);
        assert_string_equal(got[1]->event.text, "stalled");
        check_frame(got[2], 950);
        assert_true(got[0]->frame.received_ns <= got[2]->frame.received_ns);
        assert_string_equal(pinhole_info(pair.client)->name, "gate 7");
        pair_close(&pair); // with all three still borrowed
    }
}

/** Each spoils a message in one way; the link must break and say why. */
struct spoiled {
    const char *name;
    size_t at;
    uint32_t value;
    int error;
    bool is_event;
};

static void test_spoiled_messages(void **state)
{
    (void)state;
    const size_t payload = WIRE_HEADER_BYTES;
    const struct spoiled cases[] = {
        {"magic", 0, 0x20505448, EPROTO, false},
        {"version 2", 4, 0x00000302, EPROTONOSUPPORT, false},
        {"frame longer than HELLO allows", 8, PEER_FRAME_BYTES_MAX + 65536 + 1, EPROTO, false},
        {"frame of 4 GiB", 8, UINT32_MAX, EPROTO, false},
        {"event of 4 GiB", 8, UINT32_MAX, EPROTO, true},
        {"fixed part longer than the payload", payload, 0xffff, EPROTO, false},
        {"fixed part of one byte", payload, 1, EPROTO, false},
        {"no JPEG", payload, 136 + 105, EPROTO, false},
        {"event's fixed part longer than it", payload, 2000, EPROTO, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t message[PEER_MESSAGE_MAX];
        struct pinhole_record *record;
        struct pair pair = pair_greeted(-1);
        const struct wire_event event = {.kind = WIRE_EVENT_CAMERA, .boot_id = BOOT};
        size_t bytes = cases[i].is_event ? peer_make_event(message, &event, "")
                                         : peer_make_frame(message, BOOT, 5);
        wire_store_u32(message + cases[i].at, cases[i].value);
        pair_write(&pair, message, bytes);
        int result = pinhole_next(pair.client, 20000, &record);
        if (result != -cases[i].error)
            fail_msg("%s: %d %s", cases[i].name, result, pinhole_error(pair.client));
        assert_true(strlen(pinhole_error(pair.client)) > 10);
        assert_int_equal(pinhole_fd(pair.client), -1);
        assert_int_equal(pinhole_next(pair.client, 0, &record), -cases[i].error); // and stays so
        pair_close(&pair);
    }
}

static void test_frame_larger_than_hello_says(void **state)
{
    (void)state;
    uint8_t message[PEER_MESSAGE_MAX] = {0}, payload[PEER_MESSAGE_MAX] = {0};
    struct pinhole_record *record;
    struct pair pair = pair_greeted(-1);
    const struct wire_frame frame = {.format = 1, .boot_id = BOOT, .sequence = 1};
    size_t at = wire_put_frame(payload, &frame);
    pair_write(&pair, message,
               peer_make(message, WIRE_TYPE_FRAME, 0, 0, payload, at + PEER_FRAME_BYTES_MAX));
    assert_int_equal(pinhole_next(pair.client, 1000, &record), 1);
    pair_write(&pair, message,
               peer_make(message, WIRE_TYPE_FRAME, 0, 0, payload, at + PEER_FRAME_BYTES_MAX + 1));
    assert_int_equal(pinhole_next(pair.client, 1000, &record), -EPROTO);
    pair_close(&pair);
}

static void test_longer_fixed_part_and_unknown_format(void **state)
{
    (void)state;
    uint8_t message[PEER_MESSAGE_MAX], payload[PEER_MESSAGE_MAX] = {0};
    struct pair pair = pair_greeted(-1);
    struct wire_frame frame = {.format = 1, .boot_id = BOOT, .sequence = 1, .width = 640};
    wire_put_frame(payload, &frame);
    payload[0] = WIRE_FRAME_FIXED + 24; // a newer node's: 24 bytes more
    memcpy(payload + WIRE_FRAME_FIXED + 24, "jpeg", 4);
    size_t bytes = WIRE_FRAME_FIXED + 24 + 4;
    pair_write(&pair, message, peer_make(message, WIRE_TYPE_FRAME, 0, 0, payload, bytes));
    struct pinhole_record *record = next(pair.client);
    assert_int_equal(record->frame.width, 640);
    assert_int_equal(record->frame.jpeg_bytes, 4);
    assert_memory_equal(record->frame.jpeg, "jpeg", 4);
    assert_int_equal(record->frame.message_bytes, WIRE_HEADER_BYTES + bytes);
    assert_memory_equal(record->frame.message, message, WIRE_HEADER_BYTES + bytes);
    struct pinhole_record again;
    char text[8];
    assert_int_equal(
        pinhole_read_message(message, WIRE_HEADER_BYTES + bytes, &again, text, sizeof text), 0);
    assert_int_equal(again.frame.width, 640);
    assert_memory_equal(again.frame.jpeg, "jpeg", 4);
    for (size_t cut = 0; cut < WIRE_HEADER_BYTES + bytes; cut++)
        assert_int_equal(pinhole_read_message(message, cut, &again, text, sizeof text), -EBADMSG);

    frame.format = 9;
    frame.sequence = 2;
    bytes = wire_put_frame(payload, &frame) + 10;
    pair_write(&pair, message, peer_make(message, WIRE_TYPE_FRAME, 0, 0, payload, bytes));
    record = next(pair.client);
    assert_int_equal(record->kind, PINHOLE_EVENT);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_FRAME_LOST);
    assert_int_equal(record->event.sequence, 2);
    pair_close(&pair);
}

static void test_a_kept_event_is_read(void **state)
{
    (void)state;
    uint8_t message[PEER_MESSAGE_MAX], payload[PEER_MESSAGE_MAX] = {0};
    const struct wire_event event = {
        .kind = WIRE_EVENT_GAP, .boot_id = BOOT, .first = 3, .last = 5, .sequence = 5};
    const size_t at = wire_put_event(payload, &event);
    memcpy(payload + at, "three\x1b lost", 11);
    const size_t bytes = peer_make(message, WIRE_TYPE_EVENT, 0, 0, payload, at + 11);
    struct pinhole_record record;
    char text[8];
    assert_int_equal(pinhole_read_message(message, bytes, &record, text, sizeof text), 0);
    assert_int_equal(record.kind, PINHOLE_EVENT);
    assert_int_equal(record.event.kind, PINHOLE_EVENT_GAP);
    assert_int_equal(record.event.first, 3);
    assert_int_equal(record.event.last, 5);
    assert_string_equal(record.event.text, "three  "); // cut, and without control characters
    const size_t other = peer_make(message, WIRE_TYPE_PING, 0, 0, payload, 4);
    assert_int_equal(pinhole_read_message(message, other, &record, text, sizeof text), -EBADMSG);
}

static void test_borrowing(void **state)
{
    (void)state;
    uint8_t message[PEER_MESSAGE_MAX];
    struct pinhole_record *held[8], *extra;
    struct pair pair = pair_greeted(-1);
    for (uint64_t s = 1; s <= 9; s++)
        pair_write(&pair, message, peer_make_frame(message, BOOT, s));
    for (size_t i = 0; i < 8; i++)
        held[i] = next(pair.client);
    assert_int_equal(pinhole_next(pair.client, 0, &extra), -ENOBUFS);
    assert_null(extra);
    pinhole_release(pair.client, held[3]);
    pinhole_release(pair.client, held[3]); // twice is harmless
    pinhole_release(pair.client, NULL);
    check_frame(next(pair.client), 9);
    check_frame(held[0], 1);
    check_frame(held[7], 8);
    pair_close(&pair);
}

static void test_steady_state_reuses_buffers(void **state)
{
    (void)state;
    uint8_t message[PEER_MESSAGE_MAX];
    struct pair pair = pair_greeted(-1);
    const struct pinhole_record *first = NULL;
    const uint8_t *jpeg = NULL;
    for (uint64_t s = 1; s <= 50; s++) {
        pair_write(&pair, message, peer_make_frame(message, BOOT, s));
        struct pinhole_record *record = next(pair.client);
        if (first == NULL) {
            first = record;
            jpeg = record->frame.jpeg;
        }
        assert_ptr_equal(record, first);
        assert_ptr_equal(record->frame.jpeg, jpeg);
        pinhole_release(pair.client, record);
    }
    pair_close(&pair);
}

static void test_time_outs(void **state)
{
    (void)state;
    struct pinhole_record *record;
    struct pair pair = pair_greeted(-1);
    uint64_t start_ns = clock_now_ns();
    assert_int_equal(pinhole_next(pair.client, 0, &record), 0);
    assert_null(record);
    assert_int_equal(pinhole_next(pair.client, 40, &record), 0);
    assert_true(clock_now_ns() - start_ns >= 40 * NS_PER_MS);
    pair_write(&pair, "PINH", 4); // a message that never gets whole is no record either
    assert_int_equal(pinhole_next(pair.client, 10, &record), 0);
    pair_close(&pair);
}

// --- addresses and opening ----------------------------------------------------------------------

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result, port, family;
    } cases[] = {
        {"127.0.0.1", 0, WIRE_DEFAULT_PORT, AF_INET},
        {"127.0.0.1:9", 0, 9, AF_INET},
        {"[::1]:65535", 0, 65535, AF_INET6},
        {"[::1]", 0, WIRE_DEFAULT_PORT, AF_INET6},
        {"::1", 0, WIRE_DEFAULT_PORT, AF_INET6},
        {"unix:/run/x", 0, 0, AF_UNIX},
        {"127.0.0.1:", -EINVAL, 0, 0},
        {"127.0.0.1:0", -EINVAL, 0, 0},
        {"127.0.0.1:65536", -EINVAL, 0, 0},
        {"127.0.0.1:7x", -EINVAL, 0, 0},
        {":7447", -EINVAL, 0, 0},
        {"[::1", -EINVAL, 0, 0},
        {"[::1]7447", -EINVAL, 0, 0},
        {"unix:", -EINVAL, 0, 0},
        {"127.0.0.1:-1", -EINVAL, 0, 0},
        {"[]:1", -EINVAL, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client_found found;
        int result = client_resolve(cases[i].text, false, &found);
        if (result != cases[i].result)
            fail_msg("%s: %d", cases[i].text, result);
        if (result < 0)
            continue;
        const struct sockaddr *address = (const void *)&found.address.list[0].address;
        assert_int_equal(address->sa_family, cases[i].family);
        assert_true(found.address.is_numeric);
        if (cases[i].port != 0) // the port stands at the same place in both families
            assert_int_equal(((const uint8_t *)address)[2] << 8 | ((const uint8_t *)address)[3],
                             cases[i].port);
    }
}

static void expect_open_fails(const char *address, int error, const char *part)
{
    struct pinhole *client;
    struct pinhole_record *record;
    const struct pinhole_options options = {.size = sizeof options, .connect_timeout_ms = 300};
    int result = pinhole_open(&client, address, &options);
    assert_int_equal(result, -error);
    if (strstr(pinhole_error(client), part) == NULL)
        fail_msg("'%s' lacks '%s'", pinhole_error(client), part);
    assert_int_equal(pinhole_next(client, 0, &record), -error);
    assert_true(pinhole_ping(client) < 0);
    pinhole_close(client);
}

static void play_silent(struct peer *peer)
{
    peer_accept(peer);
    peer_sees_end(peer);
}

static void play_http(struct peer *peer)
{
    peer_accept(peer);
    peer_send(peer, "HTTP/1.0 400 Bad Request\r\n\r\n", 28);
    peer_sees_end(peer);
}

static void play_full(struct peer *peer)
{
    peer_accept(peer);
    peer_error(peer, 0, WIRE_ERROR_FULL, WIRE_ERROR_CLOSING, "8 of 8 connections are taken");
}

static void play_version_2(struct peer *peer)
{
    uint8_t message[PEER_MESSAGE_MAX];
    size_t bytes = peer_make_hello(message, BOOT);
    message[WIRE_HEADER_BYTES + 2] = message[WIRE_HEADER_BYTES + 3] = 2;
    peer_accept(peer);
    peer_send(peer, message, bytes);
    peer_sees_end(peer);
}

static void play_frame_first(struct peer *peer)
{
    peer_accept(peer);
    peer_frame(peer, BOOT, 1);
    peer_sees_end(peer);
}

static void test_open_failures(void **state)
{
    (void)state;
    static const struct {
        void (*script)(struct peer *);
        int error;
        const char *part;
    } cases[] = {
        {play_silent, ETIMEDOUT, "no greeting"},
        {play_http, EPROTO, "not the Pinhole protocol"},
        {play_full, EBUSY, "8 of 8 connections are taken"},
        {play_version_2, EPROTONOSUPPORT, "versions 2 to 2"},
        {play_frame_first, EPROTO, "not HELLO"},
    };
    static struct peer peer;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        peer_start(&peer, cases[i].script);
        expect_open_fails(peer.address, cases[i].error, cases[i].part);
        peer_join(&peer);
    }
    expect_open_fails(peer.address, ECONNREFUSED, "refused"); // nobody listens there any more
    expect_open_fails("unix:/nonexistent/socket", ENOENT, "unix:/nonexistent/socket");
}

static void test_options_need_their_size(void **state)
{
    (void)state;
    struct pinhole *client;
    const struct pinhole_options unset = {.reconnect = -1};
    assert_int_equal(pinhole_open(&client, "127.0.0.1:1", &unset), -EINVAL);
    pinhole_close(client);
    struct {
        struct pinhole_options known;
        int newer;
    } future = {.known.size = sizeof future, .newer = 1};
    assert_int_equal(pinhole_open(&client, "127.0.0.1:1", &future.known), -E2BIG);
    pinhole_close(client);
}

// --- requests -----------------------------------------------------------------------------------

static const char feature_text[] =
    "Width\t1280\tInteger\tpx\t64\t4096\t2\trw\t\tColumns of the image\tmore\n"
    "ExposureAuto\tOnce\tEnum\t\t\t\t\tro\tOff|Once|Continuous\tWho chooses the exposure\n";

static void play_requests(struct peer *peer)
{
    uint8_t id[8];
    peer_greet(peer, BOOT, false);
    peer_expect(peer, WIRE_TYPE_FEATURES);
    peer_frame(peer, BOOT, 11); // a record that comes before the reply is kept
    peer_reply(peer, WIRE_TYPE_FEATURES, feature_text, sizeof feature_text - 1);
    peer_expect(peer, WIRE_TYPE_GET);
    peer_reply(peer, WIRE_TYPE_GET, "Width=1280\n", 11);
    peer_expect(peer, WIRE_TYPE_GET);
    peer_reply(peer, WIRE_TYPE_GET, "Width=1280\n", 11);
    peer_expect(peer, WIRE_TYPE_SET);
    peer_error(peer, peer->tag, WIRE_ERROR_BAD_VALUE, 0, "Width=9: 64 to 4096");
    peer_frame(peer, BOOT, 12);
    peer_expect(peer, WIRE_TYPE_TRIGGER);
    wire_store_u64(id, UINT64_C(0x123456789a));
    peer_reply(peer, WIRE_TYPE_TRIGGER, id, sizeof id);
    peer_expect(peer, WIRE_TYPE_TRIGGER);
    peer_reply(peer, WIRE_TYPE_TRIGGER, id, 3);
    peer_expect(peer, WIRE_TYPE_STATS);
    peer_reply(peer, WIRE_TYPE_STATS, "frames 7\n", 9);
    peer_expect(peer, WIRE_TYPE_PING);
    peer_reply(peer, WIRE_TYPE_PING, peer->request, peer->request_bytes);
    peer_sees_end(peer);
}

static void test_requests(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client;
    struct pinhole_feature features[1];
    char value[64], tiny[4];
    uint64_t id = 0;
    peer_start(&peer, play_requests);
    assert_return_code(pinhole_open(&client, peer.address, NULL), 0);
    assert_int_equal(pinhole_info(client)->boot_id, BOOT);
    assert_int_equal(pinhole_info(client)->sequence_next, 11);
    assert_string_equal(pinhole_info(client)->version, "9.8.7");
    assert_true(pinhole_fd(client) >= 0);

    assert_int_equal(pinhole_features(client, features, 1), 2);
    assert_string_equal(features[0].name, "Width");
    assert_string_equal(features[0].max, "4096");
    assert_string_equal(features[0].help, "Columns of the image");
    assert_true(features[0].writable);
    assert_return_code(pinhole_get(client, "Width", value, sizeof value), 0);
    assert_string_equal(value, "1280");
    assert_int_equal(pinhole_get(client, "Width", tiny, sizeof tiny), -ENOSPC);
    assert_int_equal(pinhole_get(client, "a\nb", value, sizeof value), -EINVAL);
    assert_int_equal(pinhole_set(client, "Width", "9\nGain=1"), -EINVAL);
    assert_int_equal(pinhole_set(client, "Width", "9"), -ERANGE);
    assert_non_null(strstr(pinhole_error(client), "64 to 4096"));
    assert_return_code(pinhole_trigger(client, &id), 0);
    assert_int_equal(id, UINT64_C(0x123456789a));
    assert_int_equal(pinhole_trigger(client, NULL), -EPROTO);
    assert_int_equal(pinhole_stats(client, tiny, sizeof tiny), 9);
    assert_string_equal(tiny, "fra");
    assert_true(pinhole_ping(client) > 0);
    check_frame(next(client), 11);
    check_frame(next(client), 12);
    pinhole_close(client);
    peer_join(&peer);
}

static void play_late_reply(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_expect(peer, WIRE_TYPE_STATS);
    uint32_t late = peer->tag;
    peer_expect(peer, WIRE_TYPE_STATS); // the first has timed out by now
    uint32_t second = peer->tag;
    peer->tag = late;
    peer_reply(peer, WIRE_TYPE_STATS, "old", 3);
    peer->tag = second;
    peer_reply(peer, WIRE_TYPE_STATS, "new", 3);
    peer_expect(peer, WIRE_TYPE_TRIGGER);
}

static void test_late_and_lost_replies(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client;
    char text[16];
    const struct pinhole_options options = {
        .size = sizeof options, .request_timeout_ms = 200, .reconnect = -1};
    peer_start(&peer, play_late_reply);
    assert_return_code(pinhole_open(&client, peer.address, &options), 0);
    assert_int_equal(pinhole_stats(client, text, sizeof text), -ETIMEDOUT);
    assert_non_null(strstr(pinhole_error(client), "no reply to STATS within 200 ms"));
    client->options.request_timeout_ms = 20000;
    assert_int_equal(pinhole_stats(client, text, sizeof text), 3);
    assert_string_equal(text, "new");
    assert_int_equal(pinhole_trigger(client, NULL), -ECONNRESET); // carried out or not?
    assert_non_null(strstr(pinhole_error(client), "whether TRIGGER was carried out is not known"));
    pinhole_close(client);
    peer_join(&peer);
}

/** A node that floods records instead of answering is cut off. */
static void test_flood_before_reply(void **state)
{
    (void)state;
    struct pair pair = pair_greeted(-1);
    pair.client->queue.bytes = CLIENT_QUEUE_BYTES_MAX - 64; // as if so much waited
    uint8_t message[PEER_MESSAGE_MAX];
    pair_write(&pair, message, peer_make_frame(message, BOOT, 1));
    assert_int_equal(pinhole_stats(pair.client, NULL, 0), -EPROTO);
    assert_non_null(strstr(pinhole_error(pair.client), "while replies were awaited"));
    pair.client->queue.bytes = 0;
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_split),
        cmocka_unit_test(test_spoiled_messages),
        cmocka_unit_test(test_frame_larger_than_hello_says),
        cmocka_unit_test(test_longer_fixed_part_and_unknown_format),
        cmocka_unit_test(test_a_kept_event_is_read),
        cmocka_unit_test(test_borrowing),
        cmocka_unit_test(test_steady_state_reuses_buffers),
        cmocka_unit_test(test_time_outs),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_open_failures),
        cmocka_unit_test(test_options_need_their_size),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_late_and_lost_replies),
        cmocka_unit_test(test_flood_before_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
