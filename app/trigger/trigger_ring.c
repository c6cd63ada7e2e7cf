// SPDX-License-Identifier: MIT
#include "app/trigger/trigger_ring.h"

#include <errno.h>

void trigger_ring_resolve(struct trigger *t, struct trigger_entry *entry, enum wire_outcome outcome)
{
    if (entry->state == TRIGGER_PENDING)
        t->pending--;
    entry->state = TRIGGER_RESOLVED;
    entry->outcome = (uint8_t)outcome;
    t->counters.outcomes[entry->source][outcome]++;
}

static bool same_run(const struct trigger_entry *a, const struct trigger_entry *b)
{
    return a->state == TRIGGER_RESOLVED && b->state == TRIGGER_RESOLVED &&
           a->outcome == b->outcome && a->source == b->source;
}

void trigger_ring_compact(struct trigger *t)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < t->used; i++) {
        const struct trigger_entry *entry = trigger_ring_at(t, i);
        struct trigger_entry *last = kept ? trigger_ring_at(t, kept - 1) : NULL;
        if (last != NULL && same_run(last, entry)) {
            last->last_id = entry->last_id;
        } else {
            *trigger_ring_at(t, kept) = *entry;
            kept++;
        }
    }
    t->used = kept;
}

struct trigger_entry *trigger_ring_pending(struct trigger *t)
{
    for (unsigned i = 0; t->pending && i < t->used; i++) {
        struct trigger_entry *entry = trigger_ring_at(t, i);
        if (entry->state == TRIGGER_PENDING)
            return entry;
    }
    return NULL;
}

/** NONE = it may wait. */
static enum wire_outcome outcome_at_once(const struct trigger *t, uint64_t target_ns)
{
    if (!t->is_camera_up)
        return WIRE_OUTCOME_FAILED;
    if (t->config.rule != TRIGGER_EXTERNAL && target_ns <= t->answered_ns)
        return WIRE_OUTCOME_OVERRUN;
    if (t->pending >= TRIGGER_PENDING_DENSE &&
        target_ns - t->pending_target_ns < t->config.frame_interval_ns)
        return WIRE_OUTCOME_OVERRUN;
    // One more place is for the run of those that will not find one.
    if (t->pending >= TRIGGER_PENDING_MAX || t->used + 2 > TRIGGER_RING)
        return WIRE_OUTCOME_OVERRUN;
    return WIRE_OUTCOME_NONE;
}

uint64_t trigger_ring_add(struct trigger *t, enum wire_trigger_source source, uint64_t edge_ns)
{
    if (t->used + 2 > TRIGGER_RING)
        trigger_ring_compact(t);
    uint64_t target_ns = base_max_u64(edge_ns + t->config.delay_ns, t->target_ns);
    enum wire_outcome outcome = outcome_at_once(t, target_ns);
    struct trigger_entry *tail = t->used ? trigger_ring_at(t, t->used - 1) : NULL;
    bool is_joined = outcome && tail != NULL && tail->state == TRIGGER_RESOLVED &&
                     tail->outcome == outcome && tail->source == source;
    if (!is_joined && t->used == TRIGGER_RING)
        return 0;

    uint64_t id = ++t->counters.triggers;
    t->target_ns = target_ns;
    if (is_joined) {
        tail->last_id = id;
        t->counters.outcomes[source][outcome]++;
        return id;
    }
    struct trigger_entry *entry = trigger_ring_at(t, t->used++);
    *entry = (struct trigger_entry){.first_id = id,
                                    .last_id = id,
                                    .edge_ns = edge_ns,
                                    .target_ns = target_ns,
                                    .state = TRIGGER_PENDING,
                                    .source = (uint8_t)source};
    t->pending++;
    if (outcome)
        trigger_ring_resolve(t, entry, outcome);
    else
        t->pending_target_ns = target_ns;
    return id;
}

void trigger_ring_settle(struct trigger *t, struct trigger_entry *entry)
{
    if (entry->state == TRIGGER_ANSWERING && !entry->frames_left && !entry->frames_open)
        trigger_ring_resolve(t, entry,
                             entry->frames_done ? WIRE_OUTCOME_MATCHED : WIRE_OUTCOME_FAILED);
}

void trigger_ring_end_burst(struct trigger *t)
{
    for (unsigned i = 0; t->bursting_id && i < t->used; i++) {
        struct trigger_entry *entry = trigger_ring_at(t, i);
        if (entry->first_id == t->bursting_id) {
            entry->frames_left = 0;
            t->bursting_id = 0;
            trigger_ring_settle(t, entry);
        }
    }
}

void trigger_ring_expire(struct trigger *t, uint64_t now_ns)
{
    struct trigger_entry *entry;
    while ((entry = trigger_ring_pending(t)) != NULL &&
           entry->target_ns + t->config.deadline_ns <= now_ns)
        trigger_ring_resolve(t, entry, WIRE_OUTCOME_MISSED);
    if (t->bursting_id && t->burst_deadline_ns <= now_ns)
        trigger_ring_end_burst(t);
    trigger_ring_compact(t);
}
