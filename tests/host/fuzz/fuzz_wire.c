// SPDX-License-Identifier: MIT
// Reaches: net/wire.c
// Arbitrary bytes as what a node sends: through the wire decoders, then through the client
// library's whole receiving path, in pieces. The first byte chooses the pieces and the
// subscription.
#include "net/client/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { BOOT = 77, FRAME_BYTES_MAX = 4096, AWAITED_TAG = 5 };

static void require(bool is_met)
{
    if (!is_met)
        abort();
}

/** What a decoder takes it gives back unchanged, as far as both sides know the fields. */
#define ROUND_TRIP(name, fixed)                                                                    \
    do {                                                                                           \
        struct wire_##name value;                                                                  \
        uint8_t out[fixed], again[fixed];                                                          \
        int at = wire_get_##name(data, bytes, &value);                                             \
        if (at >= 0) {                                                                             \
            struct wire_##name second;                                                             \
            require(at >= 2 && (size_t)at <= bytes);                                               \
            require(wire_put_##name(out, &value) == (fixed));                                      \
            require(wire_get_##name(out, sizeof out, &second) == (fixed));                         \
            wire_put_##name(again, &second);                                                       \
            require(memcmp(out, again, sizeof out) == 0);                                          \
        }                                                                                          \
    } while (0)

static void decode(const uint8_t *data, size_t bytes)
{
    ROUND_TRIP(hello, WIRE_HELLO_FIXED);
    ROUND_TRIP(subscribe, WIRE_SUBSCRIBE_FIXED);
    ROUND_TRIP(frame, WIRE_FRAME_FIXED);
    ROUND_TRIP(event, WIRE_EVENT_FIXED);
    ROUND_TRIP(error, WIRE_ERROR_FIXED);
    if (bytes < WIRE_HEADER_BYTES)
        return;
    struct wire_header header;
    if (wire_get_header(data, &header) == 0) {
        uint8_t out[WIRE_HEADER_BYTES];
        wire_put_header(out, &header);
        require(memcmp(out, data, sizeof out) == 0);
    }
}

static void say_hello(int fd)
{
    uint8_t message[WIRE_HEADER_BYTES + WIRE_HELLO_FIXED];
    const struct wire_header header = {
        .version = WIRE_VERSION, .type = WIRE_TYPE_HELLO, .length = WIRE_HELLO_FIXED};
    const struct wire_hello hello = {
        .version_min = 1, .version_max = 1, .boot_id = BOOT, .frame_bytes_max = FRAME_BYTES_MAX};
    wire_put_header(message, &header);
    wire_put_hello(message + WIRE_HEADER_BYTES, &hello);
    require(write(fd, message, sizeof message) == sizeof message);
}

static volatile unsigned sink;

/** Reads all that the user of a record may read. */
static void use(const struct pinhole_record *record)
{
    unsigned sum = 0;
    if (record->kind == PINHOLE_FRAME) {
        require(record->frame.jpeg_bytes > 0 && record->frame.jpeg_bytes <= FRAME_BYTES_MAX);
        for (size_t i = 0; i < record->frame.jpeg_bytes; i++)
            sum += record->frame.jpeg[i];
    } else {
        require(record->kind == PINHOLE_EVENT);
        sum += (unsigned)strlen(record->event.text);
        sum += (unsigned)strlen(pinhole_event_name(record->event.kind));
    }
    sink = sum;
}

static void use_answer(struct pinhole *p)
{
    struct pinhole_feature features[4];
    if (!p->is_answered)
        return;
    require(p->message[p->message_length] == '\0');
    int count = client_features_parse((const char *)p->message, features, sizeof features[0], 4);
    for (int i = 0; i < count && i < 4; i++)
        sink = (unsigned)(strlen(features[i].name) + strlen(features[i].help));
    p->is_answered = false;
}

/** One step at a time, as a request does: its answer is read before anything else is received. */
static void take_all(struct pinhole *p)
{
    struct pinhole_record *record;
    while (client_advance(p, true) > 0) {
        use_answer(p);
        while (p->queue.first != NULL && pinhole_next(p, 0, &record) == 1) {
            use(record);
            if (record->kind == PINHOLE_FRAME && record->frame.jpeg_bytes % 3 == 0 &&
                p->borrowed.count < 7)
                continue; // kept until the end
            pinhole_release(p, record);
        }
    }
}

static void receive(uint8_t choice, const uint8_t *data, size_t bytes)
{
    const struct pinhole_options options = {.size = sizeof options, .reconnect = -1};
    const size_t piece = choice & 2 ? (size_t)(choice >> 4) + 1 : bytes;
    struct pinhole *p;
    int fds[2];
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    require(client_make(&p, &options) == 0);
    client_link_adopt(p, fds[0]);
    if (choice & 1)
        say_hello(fds[1]);
    while (p->state == CLIENT_GREETING && client_advance(p, true) > 0)
        ;
    p->was_opened = p->state == CLIENT_UP;
    if (p->was_opened) {
        p->wish.policy = choice & 4 ? PINHOLE_EVERY : PINHOLE_LATEST;
        p->wish.triggered_only = (choice & 8) != 0;
        client_position_start(p, 0);
        client_position_resume(p);
        p->awaited_tag = AWAITED_TAG;
    }
    for (size_t at = 0; at < bytes && p->state != CLIENT_BROKEN; at += piece) {
        size_t count = bytes - at < piece ? bytes - at : piece;
        if (write(fds[1], data + at, count) != (ssize_t)count)
            break;
        take_all(p);
    }
    close(fds[1]);
    take_all(p);
    require(p->state == CLIENT_BROKEN);
    require(p->error[0] != '\0');
    pinhole_close(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    decode(data, bytes);
    if (bytes > 0)
        receive(data[0], data + 1, bytes - 1);
    return 0;
}
