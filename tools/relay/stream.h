// SPDX-License-Identifier: MIT
// What is asked of JetStream: to have the stream, and where it stands.
#ifndef PINHOLE_TOOLS_RELAY_STREAM_H
#define PINHOLE_TOOLS_RELAY_STREAM_H

#include "tools/relay/server.h"
#include "tools/relay/window.h"

#include <stdbool.h>
#include <stdint.h>

/** Where the stream stands with one node. */
struct relay_position {
    bool is_known; /**< it has a record of the node */
    uint64_t boot_id;
    uint64_t next;              /**< the first record of this boot that it has not */
    struct relay_ranges stored; /**< which records from `next` on it has all the same */
    uint64_t stream_last;       /**< its newest sequence */
};

/** Makes the stream if it is absent. False with a sentence in `why`. */
bool relay_stream_ensure(struct relay_server *server, char why[RELAY_WHY_BYTES]);
/** Asks for the position: the last message of each subject, then what stands behind the place that
 * their headers name. False with a sentence in `why`. */
bool relay_stream_position(struct relay_server *server, struct relay_position *out,
                           char why[RELAY_WHY_BYTES]);
/** Lets the hub's stream take the streams of the settings' leaves. False with a sentence. */
bool relay_stream_gather(struct relay_server *server, char why[RELAY_WHY_BYTES]);

#endif
