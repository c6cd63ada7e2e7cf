// SPDX-License-Identifier: MIT
// Frames in memory, shared by all that write them out. A frame is a record borrowed from
// libpinhole, with a count of references. Its metadata as HTTP headers.
//
// libpinhole takes records back in the receiver's thread alone. So a frame without references waits
// for that thread. When the connection to the node is given up, its frames live on, and the last
// one ends it.
//
// How many exist is bounded by who may hold one: the newest, its copy in colour (colour.h), the one
// being received, and one for each HTTP connection. None is larger than the node's frame_bytes_max
// and its metadata, and a quarter. The copy has about a sixth more at most: a block takes 6 bits
// there, and its share of chroma one.
#ifndef PINHOLE_TOOLS_WEB_FRAME_H
#define PINHOLE_TOOLS_WEB_FRAME_H

#include "net/client/pinhole.h"
#include "tools/common/jpeg_shape.h"

#include <pthread.h>
#include <stdbool.h>

/** Frames in memory beside one for each HTTP connection: the newest, the one being received, and
 * the former newest. */
#define WEB_FRAMES_OWN 3u

#define WEB_FRAME_HEAD_BYTES 1024u

struct web_frame_pool {
    pthread_mutex_t lock;    /**< guards the counts of frames and lenders */
    unsigned live, live_max; /**< until libpinhole has them back */
};

/** A connection to the node whose records are lent out. */
struct web_lender {
    struct web_frame_pool *pool;
    struct pinhole *node;
    struct web_frame *returned; /**< to be released in the receiver's thread */
    unsigned lent;              /**< frames in memory */
    bool is_left;               /**< by the receiver: its last frame closes the handle */
};

struct web_frame {
    struct pinhole_frame meta; /**< its `jpeg` is the record's, or `bytes` */
    struct jpeg_shape shape;
    uint64_t serial;                 /**< counts the gateway's frames, from 1 */
    int64_t latency_ns;              /**< start of readout to here; see view.h */
    uint64_t exposed_ns;             /**< start of exposure by this host's CLOCK_MONOTONIC */
    char head[WEB_FRAME_HEAD_BYTES]; /**< of a part, made by the first stream; the gateway's lock */
    size_t head_bytes;               /**< 0: not made yet */
    struct pinhole_record *record;   /**< NULL: nothing is borrowed */
    struct web_lender *lender;
    struct web_frame *next_returned;
    unsigned references;
    struct web_frame *colour; /**< see colour.h; NULL: nobody has wanted it. Goes with the frame */
    uint8_t bytes[];          /**< of web_frame_new() */
};

void web_frame_pool_init(struct web_frame_pool *pool);
/** Every frame must have been given back. */
void web_frame_pool_destroy(struct web_frame_pool *pool);

/** How many frames are in memory, and the most there were. */
void web_frame_pool_count(struct web_frame_pool *pool, unsigned *live, unsigned *live_max);

/** Takes over a handle. NULL: no memory, and the handle is the caller's still. */
struct web_lender *web_lender_open(struct web_frame_pool *pool, struct pinhole *node);
/** Gives libpinhole back what has no reference any more. The receiver's thread only. */
void web_lender_settle(struct web_lender *lender);
/** Closes the handle, at the latest when its last frame is given back. The receiver's thread only.
 */
void web_lender_close(struct web_lender *lender);

/** Makes a frame of a borrowed record, which it takes over, with one reference. NULL: no memory,
 * and the record is the caller's still. */
struct web_frame *web_frame_borrow(struct web_lender *lender, struct pinhole_record *record);
/** A frame with memory of its own, whose `jpeg` is to be written to `bytes`, and one reference.
 * NULL: no memory. */
struct web_frame *web_frame_new(struct web_lender *lender, size_t bytes);
/** Gives back what colour.h keeps with it, unless that is in use. NULL is allowed. Hold web.lock.
 */
void web_frame_drop_colour(struct web_frame *frame);
/** One more reference. Returns the frame. */
struct web_frame *web_frame_ref(struct web_frame *frame);
/** One less; NULL is allowed. Any thread. */
void web_frame_unref(struct web_frame *frame);

/** Calls `take` for each header that tells a frame's metadata. */
void web_frame_headers(const struct web_frame *frame,
                       void (*take)(void *context, const char *name, const char *value),
                       void *context);
/** Writes the flags as words with spaces between; "" for none. */
void web_frame_flags(uint32_t flags, char *out, size_t size);

#endif
