// SPDX-License-Identifier: MIT
// The stream of NATS JetStream that the fleet page reads. What needs libnats is in a plug-in, as
// the recorder's is. It moves bytes and decides nothing.
//
// A link belongs to one thread. After a negative result only close() may follow.
#ifndef PINHOLE_TOOLS_WEB_FLEET_LINK_H
#define PINHOLE_TOOLS_WEB_FLEET_LINK_H

#include "tools/common/stream_access.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEB_FLEET_WHY_BYTES   600
#define WEB_FLEET_TOKEN_BYTES 256

/** Results of calls beside 0. Each comes with a sentence in `why`. */
enum {
    WEB_FLEET_GONE = -1,      /**< no server answers, or it refuses */
    WEB_FLEET_NO_STREAM = -2, /**< the server is there, the stream is not */
    WEB_FLEET_DISCARDED = -3, /**< of get(): the stream has that record no more. The link is good */
};

/** How far the stream is. */
struct web_fleet_extent {
    uint64_t messages, bytes;
    uint64_t last;       /**< place of its newest message; 0: it has never had one */
    uint64_t created_ns; /**< tells it from another of the same name */
};

/** The headers of a record. Numbers are 0 where a header is absent. */
struct web_fleet_record {
    char level[WEB_FLEET_TOKEN_BYTES]; /**< the node, as in the subject */
    bool is_frame;
    uint64_t place;     /**< in the stream */
    uint64_t stored_ns; /**< when, by the server's clock, since 1970 */
    uint64_t boot_id, first, sequence;
    uint64_t time_ns; /**< when it was taken, by the node's clock */
    uint64_t trigger, trigger_last;
    char event[24], outcome[24]; /**< "": none */
};

/** What a node's relay tells of it. */
struct web_fleet_health {
    char level[WEB_FLEET_TOKEN_BYTES];
    char text[8192]; /**< lines as of `pinholectl doctor --json`, cut to fit */
};

/** A leaf whose stream this one takes. */
struct web_fleet_source {
    char level[WEB_FLEET_TOKEN_BYTES]; /**< "": it is no leaf of a node */
    uint64_t behind;                   /**< records there that are not here yet, as last heard */
};

struct web_fleet_link;

struct web_fleet_ops {
    int (*open)(struct web_fleet_link **out, const struct stream_access *access,
                char why[WEB_FLEET_WHY_BYTES]);
    /** NULL is allowed. */
    void (*close)(struct web_fleet_link *link);
    int (*look)(struct web_fleet_link *link, struct web_fleet_extent *out,
                char why[WEB_FLEET_WHY_BYTES]);
    /** The sources as look() has seen them. False: there is none of this index. */
    bool (*source)(const struct web_fleet_link *link, unsigned index, struct web_fleet_source *out);
    /** False: nobody has told anything since. */
    bool (*health)(struct web_fleet_link *link, struct web_fleet_health *out);
    /** From now on next() has the headers of all records from this place on; 0: first the newest
     * of each subject. The stream must have had a message. */
    int (*follow)(struct web_fleet_link *link, uint64_t from, char why[WEB_FLEET_WHY_BYTES]);
    /** 1: there is one, 0: none came in time. */
    int (*next)(struct web_fleet_link *link, struct web_fleet_record *out, int timeout_ms,
                char why[WEB_FLEET_WHY_BYTES]);
    /** A whole record, which free() takes. The place must have been seen. */
    int (*get)(struct web_fleet_link *link, uint64_t place, uint8_t **data, size_t *bytes,
               char why[WEB_FLEET_WHY_BYTES]);
};

#endif
