// SPDX-License-Identifier: MIT
#include "tests/host/support/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    PATIENCE_MS = 20000,
    SEQUENCE_AT = 16,      /**< in FRAME and EVENT */
    SEQUENCE_NEXT_AT = 32, /**< in HELLO */
};

/** In the test's own thread. */
static void check(bool is_right, const char *what)
{
    if (!is_right)
        fail_msg("scripted peer: %s", what);
}

/** In the script's thread: it ends, and peer_join() fails the case. */
static void require(struct peer *peer, bool is_right, const char *what)
{
    if (is_right)
        return;
    print_error("scripted peer: %s\n", what);
    peer_hang_up(peer);
    peer->wrong = what;
    pthread_exit(NULL);
}

size_t peer_make(uint8_t *out, uint8_t type, uint16_t flags, uint32_t tag, const void *payload,
                 size_t bytes)
{
    const struct wire_header header = {.version = WIRE_VERSION,
                                       .type = type,
                                       .flags = flags,
                                       .length = (uint32_t)bytes,
                                       .tag = tag};
    wire_put_header(out, &header);
    if (bytes > 0)
        memcpy(out + WIRE_HEADER_BYTES, payload, bytes);
    return WIRE_HEADER_BYTES + bytes;
}

size_t peer_make_hello(uint8_t *out, uint64_t boot_id)
{
    static const char text[] =
        "DeviceUserID=gate 7\nDeviceModelName=scripted\nDeviceFirmwareVersion=9.8.7\n";
    uint8_t payload[WIRE_HELLO_FIXED + sizeof text];
    const struct wire_hello hello = {.version_min = 1,
                                     .version_max = 1,
                                     .message_bytes_max = WIRE_REQUEST_BYTES_MAX,
                                     .boot_id = boot_id,
                                     .frame_bytes_max = PEER_FRAME_BYTES_MAX,
                                     .sequence_oldest = 3,
                                     .sequence_next = 11};
    size_t at = wire_put_hello(payload, &hello);
    memcpy(payload + at, text, sizeof text - 1);
    return peer_make(out, WIRE_TYPE_HELLO, 0, 0, payload, at + sizeof text - 1);
}

void peer_set_log_end(uint8_t *hello, uint64_t end)
{
    uint8_t *field = hello + WIRE_HEADER_BYTES + SEQUENCE_NEXT_AT;
    if (end > wire_load_u64(field))
        wire_store_u64(field, end);
}

size_t peer_make_frame(uint8_t *out, uint64_t boot_id, uint64_t sequence)
{
    uint8_t payload[PEER_MESSAGE_MAX];
    size_t jpeg_bytes = 100 + (size_t)(sequence % 1000);
    const struct wire_frame frame = {.format = 1,
                                     .quality = 80,
                                     .boot_id = boot_id,
                                     .sequence = sequence,
                                     .frame_id = sequence,
                                     .width = 640,
                                     .height = 480};
    size_t at = wire_put_frame(payload, &frame);
    memset(payload + at, (int)(sequence & 0xff), jpeg_bytes);
    return peer_make(out, WIRE_TYPE_FRAME, 0, 0, payload, at + jpeg_bytes);
}

size_t peer_make_event(uint8_t *out, const struct wire_event *event, const char *text)
{
    uint8_t payload[PEER_MESSAGE_MAX];
    size_t at = wire_put_event(payload, event);
    memcpy(payload + at, text, strlen(text));
    return peer_make(out, WIRE_TYPE_EVENT, 0, 0, payload, at + strlen(text));
}

static void *run(void *argument)
{
    struct peer *peer = argument;
    peer->script(peer);
    peer_hang_up(peer);
    return NULL;
}

void peer_start(struct peer *peer, void (*script)(struct peer *peer))
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    memset(peer, 0, sizeof *peer);
    peer->fd = -1;
    peer->script = script;
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(peer->listener >= 0, "socket");
    check(bind(peer->listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(listen(peer->listener, 4) == 0, "listen");
    check(getsockname(peer->listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    snprintf(peer->address, sizeof peer->address, "127.0.0.1:%u", ntohs(address.sin_port));
    check(pthread_create(&peer->thread, NULL, run, peer) == 0, "thread");
}

void peer_join(struct peer *peer)
{
    check(pthread_join(peer->thread, NULL) == 0, "join");
    close(peer->listener);
    check(peer->wrong == NULL, peer->wrong);
}

static void await(struct peer *peer, int fd, short events, const char *what)
{
    struct pollfd poller = {.fd = fd, .events = events};
    require(peer, poll(&poller, 1, PATIENCE_MS) == 1, what);
}

void peer_accept(struct peer *peer)
{
    await(peer, peer->listener, POLLIN, "nobody connects");
    peer->fd = accept(peer->listener, NULL, NULL);
    require(peer, peer->fd >= 0, "accept");
}

void peer_hang_up(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

/** Notes how far the node's log goes, for the next HELLO. */
static void note_published(struct peer *peer, const uint8_t *message, size_t count)
{
    const uint8_t *payload = message + WIRE_HEADER_BYTES;
    struct wire_header header;
    uint64_t end = 0;
    if (count < WIRE_HEADER_BYTES + sizeof end || wire_get_header(message, &header) < 0)
        return;
    const bool is_record = header.type == WIRE_TYPE_FRAME || header.type == WIRE_TYPE_EVENT;
    if (is_record && count >= WIRE_HEADER_BYTES + SEQUENCE_AT + sizeof end)
        end = wire_load_u64(payload + SEQUENCE_AT) + 1;
    else if (header.type == WIRE_TYPE_SUBSCRIBE)
        end = wire_load_u64(payload);
    if (end > peer->log_end)
        peer->log_end = end;
}

void peer_send(struct peer *peer, const void *bytes, size_t count)
{
    note_published(peer, bytes, count);
    for (size_t at = 0; at < count;) {
        await(peer, peer->fd, POLLOUT, "the client does not read");
        ssize_t sent = send(peer->fd, (const uint8_t *)bytes + at, count - at, MSG_NOSIGNAL);
        if (sent < 0)
            return; // the client has closed: some scripts provoke that
        at += (size_t)sent;
    }
}

static bool receive(struct peer *peer, uint8_t *out, size_t count)
{
    for (size_t at = 0; at < count;) {
        await(peer, peer->fd, POLLIN, "the client sends nothing");
        ssize_t got = recv(peer->fd, out + at, count - at, 0);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

bool peer_sees_end(struct peer *peer)
{
    uint8_t byte;
    return !receive(peer, &byte, 1);
}

void peer_expect(struct peer *peer, uint8_t type)
{
    uint8_t bytes[WIRE_HEADER_BYTES];
    struct wire_header header;
    require(peer, receive(peer, bytes, sizeof bytes), "the client has closed");
    require(peer, wire_get_header(bytes, &header) == 0, "not a header");
    require(peer, header.length <= WIRE_REQUEST_BYTES_MAX, "too long a request");
    if (header.type != type)
        fprintf(stderr, "scripted peer: type %u instead of %u\n", header.type, type);
    require(peer, header.type == type, "another request was expected");
    require(peer, header.tag != 0, "a request without a tag");
    require(peer, receive(peer, peer->request, header.length), "the client closed in a request");
    peer->request[header.length] = '\0';
    peer->request_bytes = header.length;
    peer->tag = header.tag;
    if (type == WIRE_TYPE_SUBSCRIBE)
        require(peer, wire_get_subscribe(peer->request, header.length, &peer->subscribe) > 0,
                "SUBSCRIBE");
}

void peer_reply(struct peer *peer, uint8_t type, const void *payload, size_t bytes)
{
    uint8_t message[PEER_MESSAGE_MAX];
    peer_send(peer, message, peer_make(message, type, WIRE_FLAG_REPLY, peer->tag, payload, bytes));
}

void peer_error(struct peer *peer, uint32_t tag, uint16_t code, uint32_t flags, const char *text)
{
    uint8_t message[PEER_MESSAGE_MAX], payload[512];
    const struct wire_error error = {.code = code, .flags = flags};
    size_t at = wire_put_error(payload, &error);
    memcpy(payload + at, text, strlen(text));
    peer_send(peer, message,
              peer_make(message, WIRE_TYPE_ERROR, tag != 0 ? WIRE_FLAG_REPLY : 0, tag, payload,
                        at + strlen(text)));
}

void peer_frame(struct peer *peer, uint64_t boot_id, uint64_t sequence)
{
    uint8_t message[PEER_MESSAGE_MAX];
    peer_send(peer, message, peer_make_frame(message, boot_id, sequence));
}

void peer_gap(struct peer *peer, uint64_t boot_id, uint64_t first, uint64_t last)
{
    uint8_t message[PEER_MESSAGE_MAX];
    const struct wire_event gap = {
        .kind = WIRE_EVENT_GAP, .boot_id = boot_id, .sequence = last, .first = first, .last = last};
    peer_send(peer, message, peer_make_event(message, &gap, ""));
}

void peer_take_subscribe(struct peer *peer)
{
    peer_expect(peer, WIRE_TYPE_SUBSCRIBE);
    peer_reply(peer, WIRE_TYPE_SUBSCRIBE, NULL, 0);
}

void peer_say_hello(struct peer *peer, uint64_t boot_id)
{
    uint8_t message[PEER_MESSAGE_MAX];
    const size_t bytes = peer_make_hello(message, boot_id);
    if (peer->boot_id != boot_id)
        peer->log_end = 0;
    peer->boot_id = boot_id;
    peer_set_log_end(message, peer->log_end);
    peer_send(peer, message, bytes);
}

void peer_greet(struct peer *peer, uint64_t boot_id, bool is_subscribed)
{
    peer_accept(peer);
    peer_say_hello(peer, boot_id);
    if (is_subscribed) {
        peer_take_subscribe(peer);
        return;
    }
    peer_expect(peer, WIRE_TYPE_PING);
    peer_reply(peer, WIRE_TYPE_PING, NULL, 0);
}
