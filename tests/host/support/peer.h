// SPDX-License-Identifier: MIT
// A scripted node for the client's tests: messages built here field by field, sent by a thread that
// plays a script over a real loopback connection. A script that meets something else than it
// expects ends, and peer_join() fails the test case. Keep a struct peer in static memory: its
// thread may outlive a case that fails.
#ifndef PINHOLE_TEST_SUPPORT_PEER_H
#define PINHOLE_TEST_SUPPORT_PEER_H

#include "net/wire.h"

#include <pthread.h>
#include <stdbool.h>

struct peer {
    int listener, fd;
    char address[32]; /**< for pinhole_open() */
    pthread_t thread;
    void (*script)(struct peer *peer);
    uint32_t tag;                                /**< of the last request received */
    uint8_t request[WIRE_REQUEST_BYTES_MAX + 1]; /**< its payload, 0-terminated */
    size_t request_bytes;
    struct wire_subscribe subscribe; /**< of the last SUBSCRIBE received */
    uint64_t boot_id;                /**< of the last HELLO */
    uint64_t log_end;  /**< after the last record of that boot, as the next HELLO says */
    const char *wrong; /**< why the script ended early; NULL: it did not */
};

/** Listens on an ephemeral loopback port and plays the script in a thread. */
void peer_start(struct peer *peer, void (*script)(struct peer *peer));
/** Waits for the script's end and closes. */
void peer_join(struct peer *peer);

// For scripts.

/** Waits for a connection, says HELLO and takes the client's first message (PING or, with
 * `is_subscribed`, SUBSCRIBE, which it answers). */
void peer_greet(struct peer *peer, uint64_t boot_id, bool is_subscribed);
void peer_accept(struct peer *peer);
/** HELLO, with the log's end after what was sent before. */
void peer_say_hello(struct peer *peer, uint64_t boot_id);
void peer_hang_up(struct peer *peer);
void peer_send(struct peer *peer, const void *bytes, size_t count);
/** Receives one message, which must be of this type. */
void peer_expect(struct peer *peer, uint8_t type);
/** True when the client has closed instead of sending. */
bool peer_sees_end(struct peer *peer);
void peer_reply(struct peer *peer, uint8_t type, const void *payload, size_t bytes);
void peer_error(struct peer *peer, uint32_t tag, uint16_t code, uint32_t flags, const char *text);
void peer_frame(struct peer *peer, uint64_t boot_id, uint64_t sequence);
void peer_gap(struct peer *peer, uint64_t boot_id, uint64_t first, uint64_t last);
/** SUBSCRIBE comes and is answered. */
void peer_take_subscribe(struct peer *peer);

// Messages as bytes; each returns its length.

#define PEER_MESSAGE_MAX     8192
#define PEER_FRAME_BYTES_MAX 4096 /**< what HELLO says */
size_t peer_make(uint8_t *out, uint8_t type, uint16_t flags, uint32_t tag, const void *payload,
                 size_t bytes);
size_t peer_make_hello(uint8_t *out, uint64_t boot_id);
/** Moves the log's end in a HELLO up to there. */
void peer_set_log_end(uint8_t *hello, uint64_t end);
/** frame_id = sequence; the "JPEG" is 100 + sequence % 1000 bytes, each the sequence's low byte. */
size_t peer_make_frame(uint8_t *out, uint64_t boot_id, uint64_t sequence);
size_t peer_make_event(uint8_t *out, const struct wire_event *event, const char *text);

#endif
