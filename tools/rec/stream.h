// SPDX-License-Identifier: MIT
// The stream of NATS JetStream that a group of recorders takes records from. What needs libnats is
// in a plug-in, as libavformat is. It moves bytes and decides nothing.
//
// A stream belongs to one thread. After REC_STREAM_GONE only close() may follow.
#ifndef PINHOLE_TOOLS_REC_STREAM_H
#define PINHOLE_TOOLS_REC_STREAM_H

#include "tools/common/stream_access.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REC_WHY_BYTES 600
/** Most messages of one fetch. */
#define REC_FETCH_MAX 8
/** Room for an entry of the group, which has a line for each recorder that had the camera. */
#define REC_ENTRY_BYTES 16384

/** Results of calls beside 0. Each comes with a sentence in `why`. */
enum {
    REC_STREAM_GONE = -1,    /**< the connection is of no use any more, or nobody answers */
    REC_STREAM_CHANGED = -2, /**< another recorder has written the entry meanwhile */
};

/** Where records come from, and who shares them. */
struct rec_stream_options {
    struct stream_access access;
    const char *group;
};

/** One record as it is in the stream. */
struct rec_message {
    const uint8_t *data; /**< of net/SPEC.md; a 0 follows it */
    size_t bytes;
    uint64_t stream_sequence;   /**< its place in the stream */
    uint64_t delivery_sequence; /**< counts what the consumer has handed out */
    bool is_of_relay;           /**< else it is somebody else's */
    uint64_t settled;           /**< all records of its boot before this one came before */
    const char *reply;          /**< where an acknowledgement goes to */
    void *handle;               /**< of the plug-in */
};

struct rec_stream;

struct rec_stream_ops {
    /** Connects, and makes the group's entries if there are none yet. */
    int (*open)(struct rec_stream **out, const struct rec_stream_options *options,
                char why[REC_WHY_BYTES]);
    void (*close)(struct rec_stream *stream);
    /** Calls `visit` for each camera of the stream, by its token in subjects. */
    int (*list)(struct rec_stream *stream, void (*visit)(void *user, const char *level), void *user,
                char why[REC_WHY_BYTES]);
    /** The entry of a camera; *revision is 0 and *text "" when there is none. */
    int (*get)(struct rec_stream *stream, const char *level, char text[REC_ENTRY_BYTES],
               uint64_t *revision, char why[REC_WHY_BYTES]);
    /** Writes the entry if it still has this revision, and sets the new one. */
    int (*put)(struct rec_stream *stream, const char *level, const char *text, uint64_t *revision,
               char why[REC_WHY_BYTES]);
    /** Makes the camera's consumer anew, from this place of the stream on. It waits `ack_wait_ns`
     * for acknowledgements. */
    int (*subscribe)(struct rec_stream *stream, const char *level, uint64_t from,
                     uint64_t ack_wait_ns, char why[REC_WHY_BYTES]);
    /** How many messages have come within a moment, perhaps none. Each is released. */
    int (*fetch)(struct rec_stream *stream, int wait_ms, struct rec_message out[REC_FETCH_MAX],
                 char why[REC_WHY_BYTES]);
    /** Acknowledges this message and all before it. */
    void (*acknowledge)(struct rec_stream *stream, const char *reply);
    void (*release)(struct rec_message *message);
};

/** Loads the plug-in. NULL: it is not there. */
const struct rec_stream_ops *rec_stream_load(void);

#endif
