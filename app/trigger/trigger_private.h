// SPDX-License-Identifier: MIT
// Between the files of the trigger engine: the ring of triggers in id order.
#ifndef PINHOLE_APP_TRIGGER_TRIGGER_PRIVATE_H
#define PINHOLE_APP_TRIGGER_TRIGGER_PRIVATE_H

#include "app/trigger/trigger.h"

/** The i-th oldest entry, i < t->used. */
static inline struct trigger_entry *trigger_ring_at(struct trigger *t, unsigned i)
{
    return &t->ring[(t->head + i) % TRIGGER_RING];
}

/** Gives a trigger its one outcome. */
void trigger_ring_resolve(struct trigger *t, struct trigger_entry *entry,
                          enum wire_outcome outcome);
/** Joins neighbours with the same known outcome. */
void trigger_ring_compact(struct trigger *t);
/** The oldest waiting trigger, or NULL. */
struct trigger_entry *trigger_ring_pending(struct trigger *t);
/** Gives a new trigger its id and place, waiting or with its outcome. 0 = no room, no id. */
uint64_t trigger_ring_add(struct trigger *t, enum wire_trigger_source source, uint64_t edge_ns);
/** Stops waiting for the rest of the running burst, if there is one. */
void trigger_ring_end_burst(struct trigger *t);
/** A trigger with no frame to come and none open gets its outcome. */
void trigger_ring_settle(struct trigger *t, struct trigger_entry *entry);
/** Gives up on what has waited too long. */
void trigger_ring_expire(struct trigger *t, uint64_t now_ns);

#endif
