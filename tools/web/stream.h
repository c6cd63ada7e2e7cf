// SPDX-License-Identifier: MIT
// The streams being served, for those who report about them.
#ifndef PINHOLE_TOOLS_WEB_STREAM_H
#define PINHOLE_TOOLS_WEB_STREAM_H

#include "tools/web/gateway.h"

#define WEB_STREAM_KEY_BYTES 40u

/** One client of /stream. Guarded by the gateway's lock, except what only its reader uses. */
struct web_stream {
    struct web_stream *previous, *next;
    struct web *web;
    struct web_sleeper sleeper;
    int fd;                         /**< the connection's; constant */
    char key[WEB_STREAM_KEY_BYTES]; /**< ?key=...: how its client calls it; "" without */
    uint64_t frames, repeated, skipped;
    uint64_t serial, frame_id; /**< of the last frame begun; 0: none yet */
    uint64_t part_ns;          /**< when it was begun */
    bool has_advance_headers;  /**< see stream.c; constant */
    bool wants_colour;         /**< of grey pictures, see colour.h; constant */
    bool takes_changes;        /**< of the pictures' shape: it goes on through them; constant */
    struct jpeg_shape shape;   /**< of the first frame */
    /** The part being written. It is the reader's, or while the stream is held, the receiver's. */
    struct web_frame *frame;               /**< NULL: none */
    char head[WEB_FRAME_HEAD_BYTES + 64u]; /**< with what is this stream's alone */
    size_t head_bytes, at;
};

/** The stream that its client calls so, or NULL. */
const struct web_stream *web_stream_find(const struct web *web, const char *key);

/** Sends the newest frame to the streams that sleep, as far as their sockets take it at once. The
 * receiver's thread; the lock is not held. */
void web_stream_send_newest(struct web *web);

#endif
