// SPDX-License-Identifier: MIT
// Frames in memory, shared by all that write them out: counted references, and a few freed buffers
// kept for the next frames. A frame's metadata as HTTP headers.
//
// How many exist is bounded by who may hold one: the newest, its copy in colour (colour.h), the one
// being received, and one for each HTTP connection. None is larger than the node's frame_bytes_max,
// rounded up. The copy of a picture of the node's has about a sixth more at most: a block takes 6
// bits there, and its share of chroma one.
#ifndef PINHOLE_TOOLS_WEB_FRAME_H
#define PINHOLE_TOOLS_WEB_FRAME_H

#include "net/client/pinhole.h"
#include "tools/common/jpeg_shape.h"

#include <pthread.h>

#define WEB_FRAMES_KEPT 3u /**< free buffers kept */

struct web_frame {
    struct pinhole_frame meta; /**< its `jpeg` points to `bytes` */
    struct jpeg_shape shape;
    uint64_t serial;     /**< counts the gateway's frames, from 1 */
    int64_t latency_ns;  /**< start of readout to here; see view.h */
    uint64_t exposed_ns; /**< start of exposure by this host's CLOCK_MONOTONIC */
    struct web_frame_pool *pool;
    struct web_frame *next_free;
    unsigned references;
    struct web_frame *colour; /**< see colour.h; NULL: nobody has wanted it. Goes with the frame */
    size_t capacity;
    uint8_t *bytes;
};

struct web_frame_pool {
    pthread_mutex_t lock;
    struct web_frame *free;
    unsigned free_count, live, live_max; /**< live: those with a reference */
};

void web_frame_pool_init(struct web_frame_pool *pool);
/** Frees the kept buffers. Every frame must have been given back. */
void web_frame_pool_destroy(struct web_frame_pool *pool);

/** How many frames are in memory, and the most there were. */
void web_frame_pool_count(struct web_frame_pool *pool, unsigned *live, unsigned *live_max);

/** An empty frame with room for so many bytes and one reference. NULL: no memory. */
struct web_frame *web_frame_new(struct web_frame_pool *pool, size_t bytes);
/** A copy of a received frame, with one reference. NULL: no memory. */
struct web_frame *web_frame_copy(struct web_frame_pool *pool, const struct pinhole_frame *source);
/** One more reference. Returns the frame. */
struct web_frame *web_frame_ref(struct web_frame *frame);
/** Frees what colour.h keeps with it, unless that is in use. NULL is allowed. Hold web.lock. */
void web_frame_drop_colour(struct web_frame *frame);
/** One less; NULL is allowed. Any thread. */
void web_frame_unref(struct web_frame *frame);

/** Calls `take` for each header that tells a frame's metadata. */
void web_frame_headers(const struct web_frame *frame,
                       void (*take)(void *context, const char *name, const char *value),
                       void *context);
/** Writes the flags as words with spaces between; "" for none. */
void web_frame_flags(uint32_t flags, char *out, size_t size);

#endif
