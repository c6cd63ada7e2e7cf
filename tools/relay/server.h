// SPDX-License-Identifier: MIT
// One connection to a NATS server, and the acknowledgements that come over it.
//
// A connection that ends, for whatever reason, is closed here and made again by its owner: the
// library then repeats nothing by itself and keeps nothing. Messages are published with an inbox
// of this connection as their reply subject. js_PublishAsync() would keep a copy of each message
// until its acknowledgement; the window has them already.
//
// Belongs to one thread, which sleeps on wake_fd. The library's threads only add to `acks`.
#ifndef PINHOLE_TOOLS_RELAY_SERVER_H
#define PINHOLE_TOOLS_RELAY_SERVER_H

#include "tools/relay/settings.h"
#include "tools/relay/window.h"

#include <nats/nats.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/** How long an answer may take. */
#define RELAY_ANSWER_MS 5000

/** What JetStream answers to a message. */
struct relay_ack {
    uint64_t connection, serial; /**< of which message */
    uint64_t sequence;           /**< in the stream; 0: it is not stored */
    int code;                    /**< JetStream's error, 0 = none */
    char text[160];              /**< why not */
};

/** Starts zeroed, then relay_server_init(). */
struct relay_server {
    const struct relay_settings *settings;
    int wake_fd;         /**< an eventfd: an acknowledgement came, or the connection ended */
    uint64_t connection; /**< number of the present one */
    natsConnection *nc;  /**< NULL: none */
    jsCtx *js;
    jsErrCode code; /**< JetStream's, of the last question that failed */
    natsInbox *inbox;
    natsSubscription *acks_of, *claims_of;
    char identity[200];   /**< what claim.h says of this relay */
    uint64_t payload_max; /**< the server's */
    pthread_mutex_t lock; /**< of the rest */
    bool is_ended;
    char trouble[200]; /**< what the server last complained of */
    unsigned acks_first, acks_count;
    struct relay_ack acks[2 * RELAY_WINDOW_MAX];
};

/** -errno with a sentence in `why`. */
int relay_server_init(struct relay_server *server, const struct relay_settings *settings,
                      char why[RELAY_WHY_BYTES]);
/** Connects; waits at most some seconds. False with a sentence in `why`. */
bool relay_server_connect(struct relay_server *server, char why[RELAY_WHY_BYTES]);
/** Ends the connection, if there is one. */
void relay_server_close(struct relay_server *server);
/** Has the connection ended? Then `why` is the reason. */
bool relay_server_has_ended(struct relay_server *server, char why[RELAY_WHY_BYTES]);
/** The subject to which the answer to message `serial` goes. */
void relay_server_reply(const struct relay_server *server, uint64_t serial, char *out,
                        size_t bytes);
/** Takes an answer of this connection. */
bool relay_server_take(struct relay_server *server, struct relay_ack *out);
/** A sentence for a failed call: the status, JetStream's code (0: none) and what the server
 * complained of. Always false. */
bool relay_server_fail(struct relay_server *server, char why[RELAY_WHY_BYTES], const char *what,
                       natsStatus status, int code);

#endif
