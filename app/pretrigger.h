// SPDX-License-Identifier: MIT
// The frames held for a trigger that may come: encoded, not published. Pure: it keeps records and
// says which one to publish or to abort; the caller does that.
#ifndef PINHOLE_APP_PRETRIGGER_H
#define PINHOLE_APP_PRETRIGGER_H

#include "app/config/config.h"
#include "net/server/store.h"

/** One encoded frame. The record is begun and not yet published. */
struct held_frame {
    struct store_record *record;
    struct wire_frame fields;
    uint32_t jpeg_bytes;
    bool is_claimed; /**< by a trigger: publish it, else abort it */
};

/** All zero holds none. */
struct pretrigger {
    struct held_frame held[CONFIG_PRETRIGGER_LIMIT]; /**< oldest first */
    unsigned count, used_max;
};

/** Holds a frame; `limit` is trigger.pretrigger_frames. Returns the record that there is no place
 * for, which the caller aborts: the oldest one, or `frame`'s own when `limit` is 0. NULL when there
 * is a place. */
struct store_record *pretrigger_hold(struct pretrigger *pretrigger, const struct held_frame *frame,
                                     unsigned limit);
/** A trigger claims the newest `count` frames: they get its id, source and edge from `answer`, and
 * burst indices that end with -1. Fewer when fewer are held. */
void pretrigger_claim(struct pretrigger *pretrigger, const struct wire_frame *answer,
                      unsigned count);
/** Takes the oldest frame out. False when none is held. */
bool pretrigger_pop(struct pretrigger *pretrigger, struct held_frame *out);

#endif
