// SPDX-License-Identifier: MIT
// The subscriber's place in the node's log: where to resume, what is missing, what came twice.
#include "net/client/client.h"

#include <errno.h>
#include <inttypes.h>

enum { QUEUE_FRAMES = 8 };

static bool is_filtered(const struct pinhole_subscription *wish)
{
    return wish->triggered_only || wish->no_events || wish->interval_us != 0;
}

void client_position_start(struct pinhole *p, uint64_t start)
{
    const struct pinhole_subscription *wish = &p->wish;
    struct client_position *at = &p->position;
    const bool is_here = wish->boot_id == 0 || wish->boot_id == p->info.boot_id;
    *at = (struct client_position){.boot_id = p->info.boot_id};
    at->is_exact = wish->policy == PINHOLE_EVERY && !is_filtered(wish);
    if (!is_here)
        return;
    if (start != 0)
        at->expected = start;
    else if (wish->from_sequence != WIRE_FROM_NEXT)
        at->expected = wish->from_sequence; // WIRE_FROM_NEWEST is 0: not known
}

void client_position_resume(struct pinhole *p)
{
    struct client_position *at = &p->position;
    at->floor = at->expected > 0 ? at->expected - 1 : 0;
    at->is_resumed = true;
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
    // Policy `latest` too: of the frames the node sends the newest, but of the events all.
    if (at->expected > 0)
        out.from_sequence = at->expected;
    return out;
}

bool client_position_restart(struct pinhole *p)
{
    struct client_position *at = &p->position;
    const bool is_beyond = at->boot_id == p->info.boot_id && at->expected > p->info.sequence_next;
    if (!is_beyond || p->wish.policy == 0)
        return false;
    *at = (struct client_position){
        .boot_id = at->boot_id,
        .expected = p->wish.policy == PINHOLE_EVERY ? p->info.sequence_oldest : 0,
        .is_exact = at->is_exact,
    };
    return true;
}

/** A node publishes records one after the other: none can be far beyond the end that HELLO told. */
static bool is_possible(const struct pinhole *p, uint64_t boot_id, uint64_t last)
{
    const uint64_t seconds = (clock_now_ns() - p->up_since_ns) / NS_PER_S + 1;
    const uint64_t ahead = CLIENT_RECORDS_AHEAD + seconds * CLIENT_RECORDS_PER_S;
    return boot_id != p->info.boot_id || last < ahead || last - ahead < p->info.sequence_next;
}

static void start_boot(struct pinhole *p, uint64_t boot_id, uint64_t expected)
{
    p->position = (struct client_position){
        .boot_id = boot_id,
        .expected = expected,
        .is_exact = p->position.is_exact,
        .is_resumed = p->position.is_resumed,
    };
}

/** The node counts `skipped` per subscription; over a new link the count goes on here: what was not
 * told of since the last frame was frames, because all events are, by themselves or in a GAP. */
static void count_skipped(struct pinhole *p, struct pinhole_frame *frame)
{
    struct client_position *at = &p->position;
    if (at->is_resumed && p->wish.policy == PINHOLE_LATEST && !is_filtered(&p->wish) &&
        at->last_frame_sequence != 0 && frame->sequence > at->last_frame_sequence + at->told)
        frame->skipped = (uint32_t)(frame->sequence - at->last_frame_sequence - at->told - 1);
    at->told = 0;
    at->is_resumed = false;
}

/** Widens a range, which is 0 to 0 when empty. */
static void add_range(uint64_t *first, uint64_t *last, uint64_t from, uint64_t to)
{
    if (from == 0 || to < from)
        return;
    *first = *first == 0 ? from : base_min_u64(*first, from);
    *last = base_max_u64(*last, to);
}

static void tell_lost(struct client_position *at, struct pinhole_frame *frame)
{
    if (frame->skipped > 0 && at->last_frame_sequence != 0)
        add_range(&at->lost_first, &at->lost_last, at->last_frame_sequence + 1,
                  frame->sequence - 1);
    frame->lost_first = at->lost_first;
    frame->lost_last = at->lost_last;
    at->lost_first = at->lost_last = 0;
    at->last_frame_sequence = frame->sequence;
}

static struct client_record *find_frame(struct client_record *record)
{
    while (record != NULL && record->shown.kind != PINHOLE_FRAME)
        record = record->next;
    return record;
}

/** Drops the oldest frame of the queue; the next one says so. */
static void drop_oldest(struct pinhole *p)
{
    struct client_record *oldest = find_frame(p->queue.first);
    const struct pinhole_frame *gone = &oldest->shown.frame;
    struct pinhole_frame *next = &find_frame(oldest->next)->shown.frame;
    next->skipped += gone->skipped + 1;
    if (next->boot_id == gone->boot_id) {
        add_range(&next->lost_first, &next->lost_last, gone->lost_first, gone->lost_last);
        add_range(&next->lost_first, &next->lost_last, gone->sequence, gone->sequence);
    }
    client_list_remove(oldest);
    client_record_give(p, oldest);
    p->frames_queued--;
}

void client_queue_add_frame(struct pinhole *p, struct client_record *record)
{
    const struct pinhole_subscription *wish = &p->wish;
    unsigned max = wish->queue_max != 0 ? wish->queue_max : QUEUE_FRAMES;
    if (wish->strategy == PINHOLE_LATEST_ONLY)
        max = 1;
    client_list_append(&p->queue, record);
    p->frames_queued++;
    while (wish->strategy != PINHOLE_ONE_BY_ONE && p->frames_queued > max)
        drop_oldest(p);
}

/** The node has restarted: its new log comes from the start. Records evicted from it already are a
 * hole like any other. */
static void accept_boot(struct pinhole *p, struct client_record *record)
{
    const struct pinhole_subscription *wish = &p->wish;
    struct pinhole_event *event = &record->shown.event;
    const bool is_first = p->position.expected == 0 && wish->boot_id != 0;
    event->former_boot_id = is_first ? wish->boot_id : p->position.boot_id;
    event->first = is_first && wish->from_sequence != WIRE_FROM_NEXT ? wish->from_sequence
                                                                     : p->position.expected;
    start_boot(p, event->boot_id, wish->policy == PINHOLE_EVERY ? 1 : 0);
    client_list_append(&p->queue, record);
}

static int add_gap(struct pinhole *p, uint64_t first, uint64_t last)
{
    struct client_position *at = &p->position;
    add_range(&at->lost_first, &at->lost_last, first, last);
    return client_event_add(p, PINHOLE_EVENT_GAP, first, last,
                            "missing between two records that the node sent");
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

    if (!is_frame)
        p->are_features_fresh &= event->kind != PINHOLE_EVENT_FEATURES &&
                                 event->kind != PINHOLE_EVENT_CAMERA &&
                                 event->kind != PINHOLE_EVENT_BOOT;
    if (!is_frame && event->kind == PINHOLE_EVENT_BOOT) {
        accept_boot(p, record);
        return 0;
    }
    if (boot_id != at->boot_id)
        start_boot(p, boot_id, 0);
    const bool is_gap = !is_frame && event->kind == PINHOLE_EVENT_GAP;
    if (is_gap) {
        first = event->first;
        last = event->last;
    }
    if (!is_possible(p, boot_id, last)) {
        client_record_give(p, record);
        return client_fail(p, EPROTO,
                           "a %s up to record %" PRIu64 " came, but the log ended at %" PRIu64
                           " when the link was made",
                           is_gap ? "GAP" : "record", last, p->info.sequence_next);
    }
    if (at->floor != 0 && last <= at->floor) {
        client_record_give(p, record); // came over the earlier link already
        return 0;
    }
    if (at->is_exact && at->expected != 0 && first > at->expected) {
        int error = add_gap(p, at->expected, first - 1);
        if (error < 0) {
            client_record_give(p, record);
            return client_fail(p, -error, "out of memory");
        }
    }
    if (last != UINT64_MAX)
        at->expected = base_max_u64(at->expected, last + 1);
    if (is_gap)
        add_range(&at->lost_first, &at->lost_last, first, last);
    if (is_frame) {
        count_skipped(p, frame);
        tell_lost(at, frame);
        client_queue_add_frame(p, record);
        return 0;
    }
    at->told += last - first + 1;
    client_list_append(&p->queue, record);
    return 0;
}
