// SPDX-License-Identifier: MIT
// The subscriber's place in the node's log: where to resume, what is missing, what came twice.
#include "net/client.h"

static bool is_filtered(const struct pinhole_subscription *wish)
{
    return wish->triggered_only || wish->no_events || wish->interval_us != 0;
}

void client_position_start(struct pinhole *p)
{
    const struct pinhole_subscription *wish = &p->wish;
    struct client_position *at = &p->position;
    const bool is_every = wish->policy == PINHOLE_EVERY;
    const bool is_here = wish->boot_id == 0 || wish->boot_id == p->info.boot_id;
    *at = (struct client_position){.boot_id = p->info.boot_id};
    at->exact = is_every && !is_filtered(wish);
    if (is_every && is_here && wish->from_sequence != WIRE_FROM_NEXT)
        at->expected = wish->from_sequence; // WIRE_FROM_NEWEST is 0: not known
}

void client_position_resume(struct pinhole *p)
{
    struct client_position *at = &p->position;
    at->floor = at->expected > 0 ? at->expected - 1 : 0;
    at->resumed = true;
}

struct wire_subscribe client_position_subscribe(const struct pinhole *p, bool is_resuming)
{
    const struct pinhole_subscription *wish = &p->wish;
    const struct client_position *at = &p->position;
    struct wire_subscribe out = {
        .policy = (uint8_t)wish->policy,
        .filter = (uint8_t)((wish->triggered_only ? WIRE_FILTER_TRIGGERED_ONLY : 0) |
                            (wish->no_events ? WIRE_FILTER_NO_EVENTS : 0)),
        .interval_us = wish->interval_us,
        .boot_id = wish->boot_id,
        .from_sequence = wish->from_sequence,
    };
    if (!is_resuming)
        return out;
    // Without a record received yet the wish stands as it was, but the node must say if it
    // restarted.
    if (out.boot_id == 0 || at->expected > 0)
        out.boot_id = at->boot_id;
    if (at->expected > 0)
        out.from_sequence = wish->policy == PINHOLE_EVERY ? at->expected : WIRE_FROM_NEWEST;
    return out;
}

static void start_boot(struct pinhole *p, uint64_t boot_id, uint64_t expected)
{
    struct client_position *at = &p->position;
    at->boot_id = boot_id;
    at->expected = expected;
    at->floor = 0;
    at->last_frame_id = 0;
}

/** The node counts `skipped` per subscription; over a new link the count goes on here. */
static void count_skipped(struct pinhole *p, struct pinhole_frame *frame)
{
    struct client_position *at = &p->position;
    if (at->resumed && p->wish.policy == PINHOLE_LATEST && !is_filtered(&p->wish) &&
        at->last_frame_id != 0 && frame->frame_id > at->last_frame_id)
        frame->skipped = (uint32_t)(frame->frame_id - at->last_frame_id - 1);
    at->last_frame_id = frame->frame_id;
    at->resumed = false;
}

int client_position_accept(struct pinhole *p, struct client_record *record)
{
    struct client_position *at = &p->position;
    const bool is_frame = record->shown.kind == PINHOLE_FRAME;
    struct pinhole_event *event = &record->shown.event;
    struct pinhole_frame *frame = &record->shown.frame;
    const uint64_t boot_id = is_frame ? frame->boot_id : event->boot_id;
    uint64_t first = is_frame ? frame->sequence : event->sequence;
    uint64_t last = first;

    if (!is_frame && event->kind == PINHOLE_EVENT_BOOT) {
        // The new log comes from its start; what is gone of it already is a hole like any other.
        start_boot(p, boot_id, p->wish.policy == PINHOLE_EVERY ? 1 : 0);
        client_list_append(&p->queue, record);
        return 0;
    }
    if (boot_id != at->boot_id)
        start_boot(p, boot_id, 0);
    if (!is_frame && event->kind == PINHOLE_EVENT_GAP) {
        first = event->first;
        last = event->last;
    }
    if (at->floor != 0 && last <= at->floor) {
        client_record_give(p, record); // came over the earlier link already
        return 0;
    }
    if (at->exact && at->expected != 0 && first > at->expected) {
        int error = client_event_add(p, PINHOLE_EVENT_GAP, at->expected, first - 1,
                                     "missing between two records that the node sent");
        if (error < 0) {
            client_record_give(p, record);
            return error;
        }
    }
    if (last != UINT64_MAX)
        at->expected = base_max_u64(at->expected, last + 1);
    if (is_frame)
        count_skipped(p, frame);
    client_list_append(&p->queue, record);
    return 0;
}
