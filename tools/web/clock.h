// SPDX-License-Identifier: MIT
// What the node's CLOCK_MONOTONIC reads by this host's, learnt from the frames themselves.
//
// A frame says when its first byte left the node; it cannot arrive before that. So the least
// distance between leaving and arriving is the clocks' offset plus the fastest transfer of a frame.
// When the node is on this host the clocks are one and the offset is 0 exactly. Else it is known to
// within that fastest transfer, and WEB_CLOCK_MARGIN_NS stands for it where a guarantee is given.
#ifndef PINHOLE_TOOLS_WEB_CLOCK_H
#define PINHOLE_TOOLS_WEB_CLOCK_H

#include "hal/os/clock.h"
#include "net/client/pinhole.h"

#include <stdbool.h>

#define WEB_CLOCK_SAMPLES   64u
#define WEB_CLOCK_MARGIN_NS INT64_C(30000000) /**< 300 kB at 100 Mbit/s */

struct web_clock {
    bool may_be_same; /**< the node's address is one of this host */
    uint64_t boot_id;
    int64_t samples[WEB_CLOCK_SAMPLES];
    unsigned count; /**< samples ever taken of this boot */
};

/** Does this address of a node (NULL: the default's) lead to this host? */
bool web_clock_is_local(const char *address);
/** Takes one frame into account; a new boot_id starts anew. */
void web_clock_add(struct web_clock *clock, const struct pinhole_frame *frame);
/** Adds to the node's time to get this host's. */
int64_t web_clock_offset_ns(const struct web_clock *clock);
/** How much later than estimated a frame must be to be surely later: 0 or WEB_CLOCK_MARGIN_NS. */
int64_t web_clock_margin_ns(const struct web_clock *clock);

#endif
