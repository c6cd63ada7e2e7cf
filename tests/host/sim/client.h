// SPDX-License-Identifier: MIT
// Simulated clients of the node. Each checks what it gets against the truth: each record once, in
// order, whole, or in exactly one GAP.
#ifndef PINHOLE_TEST_SIM_CLIENT_H
#define PINHOLE_TEST_SIM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum client_kind {
    CLIENT_LATEST,                  /**< reads fast or slowly, policy latest */
    CLIENT_EVERY,                   /**< policy every, resumes where a broken link stopped */
    CLIENT_SILENT,                  /**< connects and says nothing */
    CLIENT_STOPPED,                 /**< subscribes and reads nothing any more */
    CLIENT_HOSTILE,                 /**< sends bytes that are no protocol, or nearly one */
    CLIENT_CONTROLLER,              /**< sets features, triggers, asks */
    CLIENT_KINDS,                   /**< those above come by themselves */
    CLIENT_COLLECTOR = CLIENT_KINDS /**< is dialled by the node, see collector.h */
};

/** What the node was configured with, as far as clients check it. */
struct client_limits {
    uint64_t frame_bytes_max;
    uint64_t send_deadline_ns;
    unsigned local_role, anonymous_role;
    bool has_network; /**< there are a Unix socket and an uplink ... */
    bool has_secret;  /**< ... with a secret */
};

/** What the node's key files have. */
#define CLIENT_VIEW_KEY    "simulated key to see"
#define CLIENT_CONTROL_KEY "simulated key to set"

/** Starts a client; it lives to the end of the run. */
void client_start(enum client_kind kind, const struct client_limits *limits);
/** No client breaks its link any more, and controllers change nothing. A steward then sets the node
 * back to a free-running camera at 30 frames/s. */
void client_calm_down(void);
/** The answer to client_ask_stats(), and the frames published when it was asked and answered. */
struct client_stats {
    const char *text; /**< 0-terminated; "" before it came */
    uint64_t frames_before, frames_after;
};
const struct client_stats *client_stats(void);
/** The steward asks for STATS. */
void client_ask_stats(void);
/** After the node has ended: what each client must have heard by then. */
void client_check_end(void);

/** A client that does not connect by itself, and parts of its life for who gives it a link: what
 * has come, what is checked at times (value: the link), what is forgotten with the link. */
struct client;
struct client *client_make(enum client_kind kind, unsigned host,
                           const struct client_limits *limits);
void client_received(void *user, const uint8_t *bytes, size_t count);
void client_check_deadlines(void *user, uint64_t link);
void client_forget_link(struct client *c);

#endif
