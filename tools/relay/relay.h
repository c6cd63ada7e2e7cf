// SPDX-License-Identifier: MIT
// From the node to the stream: each record, in order, once.
#ifndef PINHOLE_TOOLS_RELAY_RELAY_H
#define PINHOLE_TOOLS_RELAY_RELAY_H

#include "net/client/pinhole.h"
#include "tools/relay/message.h"
#include "tools/relay/server.h"
#include "tools/relay/stream.h"
#include "tools/relay/window.h"

#include <stdbool.h>
#include <stdint.h>

/** The side of the node. */
struct relay_node {
    struct pinhole *handle; /**< NULL: not open */
    bool is_subscribed, is_paused;
    bool has_more; /**< records wait inside libpinhole */
    uint64_t retry_ns, full_since_ns;
    struct pinhole_record *waiting; /**< taken, and not all of it in the window */
    uint64_t gap_from;              /**< where to go on with a GAP that waits */
    bool is_unsynchronized;         /**< its clock, as last said */
    char said[200];                 /**< the last trouble that was said */
};

/** Starts zeroed, then relay_init(). */
struct relay {
    const struct relay_settings *settings;
    struct relay_server server;
    struct relay_node node;
    struct relay_window window;
    struct relay_position position; /**< what the stream had when this connection was made */
    bool is_up;                     /**< connected, the only relay, and the position is known */
    uint64_t boot_id;               /**< of the newest record that was published */
    uint64_t retry_ns, claim_ns;    /**< when to connect, when to ask for other relays */
    uint64_t health_ns;             /**< when to tell of the node's health */
    unsigned attempts;              /**< in vain, in a row */
    bool has_said;                  /**< `said` is not taken back yet */
    char said[RELAY_WHY_BYTES];     /**< the last trouble that was said */
};

/** -errno with a sentence in `why`. */
int relay_init(struct relay *relay, const struct relay_settings *settings,
               char why[RELAY_WHY_BYTES]);
/** Runs until `stop_fd` is readable, then waits a moment for what is on its way. */
void relay_run(struct relay *relay, int stop_fd);
/** Frees all. */
void relay_end(struct relay *relay);

#endif
