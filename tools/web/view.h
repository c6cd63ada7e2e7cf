// SPDX-License-Identifier: MIT
// What the gateway knows of its node: the link, the newest frame, the frame rate, the latest
// events, the clock. Guarded by the gateway's lock (tools/web/gateway.h).
//
// The node's clock is learnt from the frames. A frame says when its first byte left the node, and
// it cannot arrive before that. So the least distance between leaving and arriving is the offset of
// the two clocks plus the fastest transfer of a frame. When the node is on this host, the clocks
// are one and the offset is exactly 0. Otherwise WEB_CLOCK_MARGIN_NS covers that fastest transfer
// where a guarantee is given.
#ifndef PINHOLE_TOOLS_WEB_VIEW_H
#define PINHOLE_TOOLS_WEB_VIEW_H

#include "hal/os/clock.h"
#include "net/client/pinhole.h"
#include "tools/web/frame.h"

#include <stdbool.h>

#define WEB_CLOCK_SAMPLES   64u
#define WEB_CLOCK_MARGIN_NS INT64_C(30000000) /**< 300 kB at 100 Mbit/s */

struct web_clock {
    bool may_be_same; /**< the node's address is one of this host */
    uint64_t boot_id;
    int64_t samples[WEB_CLOCK_SAMPLES];
    unsigned count; /**< samples ever taken of this boot */
};

#define WEB_EVENTS_KEPT   64u
#define WEB_TRIGGERS_KEPT 32u
#define WEB_ARRIVALS_KEPT 64u

struct web_event {
    struct pinhole_event meta; /**< its `text` is not valid; `text` below is */
    char text[192];
};

/** How a trigger ended. */
struct web_trigger {
    uint64_t id, last_id; /**< a run of triggers with one outcome */
    uint64_t frame_id;    /**< MATCHED */
    int64_t delta_ns;     /**< MATCHED: start of exposure minus edge */
    uint8_t outcome, source;
};

struct web_view {
    bool is_connected;
    char away[384]; /**< why not connected, a sentence */
    char name[128], model[128], version[64];
    uint64_t boot_id;
    uint32_t frame_bytes_max;
    int camera_state; /**< -1: not known; a frame means streaming */

    struct web_frame *newest; /**< NULL: none yet */
    uint64_t frames, bytes, skipped, links;
    struct web_clock clock;
    struct {
        uint64_t at_ns;
        size_t bytes;
    } arrivals[WEB_ARRIVALS_KEPT]; /**< of frame number n at n % WEB_ARRIVALS_KEPT */
    struct web_event events[WEB_EVENTS_KEPT];
    uint64_t event_count;
    struct web_trigger triggers[WEB_TRIGGERS_KEPT];
    uint64_t trigger_count;
};

struct web_rate {
    double frames_per_second, bytes_per_second;
};

/** The link is up: takes over what the node said of itself. */
void web_view_connect(struct web_view *view, const struct pinhole_info *info);
/** The link is down. */
void web_view_disconnect(struct web_view *view, const char *why);
/** Makes `frame` the newest and takes over its reference; returns the former newest (may be NULL),
 * whose reference is the caller's now. */
struct web_frame *web_view_add_frame(struct web_view *view, struct web_frame *frame);
void web_view_add_event(struct web_view *view, const struct pinhole_event *event);
/** How fast frames arrive now; 0 when they do not. */
struct web_rate web_view_rate(const struct web_view *view, uint64_t now_ns);

/** Does this address of a node (NULL: the default's) lead to this host? */
bool web_clock_is_local(const char *address);
/** Takes one frame into account; a new boot_id starts anew. */
void web_clock_add(struct web_clock *clock, const struct pinhole_frame *frame);
/** Adds to the node's time to get this host's. */
int64_t web_clock_offset_ns(const struct web_clock *clock);
/** How much later than estimated a frame must be to be surely later: 0 or WEB_CLOCK_MARGIN_NS. */
int64_t web_clock_margin_ns(const struct web_clock *clock);

#endif
