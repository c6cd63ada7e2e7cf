// SPDX-License-Identifier: MIT
// The trigger engine's rules: which waiting trigger does a frame answer?
#include "app/trigger/trigger.h"

#include <string.h>

/** FIRST_AFTER. Targets never go back, so the oldest waiting trigger is the only candidate. */
static struct trigger_entry *match_first_after(struct trigger *t, const struct trigger_frame *frame)
{
    struct trigger_entry *entry = trigger_ring_pending(t);
    return entry != NULL && entry->target_ns <= frame->start_ns ? entry : NULL;
}

static struct trigger_entry *match_contains(struct trigger *t, const struct trigger_frame *frame)
{
    struct trigger_entry *entry;
    while ((entry = trigger_ring_pending(t)) != NULL && entry->target_ns < frame->start_ns)
        trigger_ring_resolve(t, entry, WIRE_OUTCOME_MISSED);
    return entry != NULL && entry->target_ns <= frame->end_ns + t->config.readout_ns ? entry : NULL;
}

static int64_t median(const int64_t *samples, unsigned count)
{
    int64_t sorted[TRIGGER_CALIBRATION_PAIRS] = {0};
    for (unsigned i = 0; i < count; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1] > samples[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = samples[i];
    }
    return sorted[count / 2];
}

static void learn_offset(struct trigger *t, int64_t sample)
{
    if (t->offset_pairs == TRIGGER_CALIBRATION_PAIRS) {
        memmove(t->offset_samples, t->offset_samples + 1,
                (TRIGGER_CALIBRATION_PAIRS - 1) * sizeof t->offset_samples[0]);
        t->offset_pairs--;
    }
    t->offset_samples[t->offset_pairs++] = sample;
    if (t->offset_pairs < TRIGGER_CALIBRATION_PAIRS)
        return;
    int64_t middle = median(t->offset_samples, TRIGGER_CALIBRATION_PAIRS);
    for (unsigned i = 0; i < TRIGGER_CALIBRATION_PAIRS; i++) {
        int64_t off = t->offset_samples[i] - middle;
        if ((uint64_t)(off < 0 ? -off : off) > t->config.window_ns)
            return;
    }
    t->is_offset_known = true;
    t->offset_ns = middle;
    t->offset_pairs = 0;
}

/** Offset not known yet: readout cannot begin before the edge that caused the exposure, and the
 * newest such edge is the likeliest. */
static struct trigger_entry *match_learning(struct trigger *t, const struct trigger_frame *frame)
{
    struct trigger_entry *newest = NULL;
    for (unsigned i = 0; i < t->used; i++) {
        struct trigger_entry *entry = trigger_ring_at(t, i);
        if (entry->state != TRIGGER_PENDING || entry->target_ns > frame->end_ns)
            continue;
        if (newest != NULL)
            trigger_ring_resolve(t, newest, WIRE_OUTCOME_MISSED);
        newest = entry;
    }
    if (newest != NULL)
        learn_offset(t, (int64_t)(frame->start_ns - newest->target_ns));
    return newest;
}

static struct trigger_entry *match_known(struct trigger *t, const struct trigger_frame *frame)
{
    int64_t window_ns = (int64_t)t->config.window_ns;
    struct trigger_entry *entry;
    while ((entry = trigger_ring_pending(t)) != NULL) {
        int64_t off = (int64_t)(frame->start_ns - entry->target_ns) - t->offset_ns;
        if (off < -window_ns)
            break;
        if (off <= window_ns) {
            t->offset_ns += off / 16;
            t->offset_pairs = 0;
            return entry;
        }
        trigger_ring_resolve(t, entry, WIRE_OUTCOME_MISSED);
    }
    if (++t->offset_pairs == TRIGGER_CALIBRATION_PAIRS) {
        t->is_offset_known = false;
        t->offset_pairs = 0;
    }
    return NULL;
}

static struct trigger_entry *match_external(struct trigger *t, const struct trigger_frame *frame)
{
    struct trigger_entry *entry =
        t->is_offset_known ? match_known(t, frame) : match_learning(t, frame);
    if (entry == NULL)
        t->counters.frames_unpaired++;
    return entry;
}

static struct trigger_entry *match(struct trigger *t, const struct trigger_frame *frame)
{
    switch (t->config.rule) {
    case TRIGGER_CONTAINS: return match_contains(t, frame);
    case TRIGGER_EXTERNAL: return match_external(t, frame);
    default: return match_first_after(t, frame);
    }
}

/** The trigger whose burst goes on with this frame, or NULL. */
static struct trigger_entry *find_bursting(struct trigger *t)
{
    for (unsigned i = 0; t->bursting_id && i < t->used; i++)
        if (trigger_ring_at(t, i)->first_id == t->bursting_id)
            return trigger_ring_at(t, i);
    return NULL;
}

static void give(struct trigger *t, struct trigger_entry *entry, const struct trigger_frame *frame,
                 uint64_t now_ns, struct trigger_decision *out)
{
    if (entry->state == TRIGGER_PENDING) {
        t->pending--;
        entry->state = TRIGGER_ANSWERING;
        entry->frames_left = t->config.burst_count;
        out->pretrigger = (uint16_t)t->held;
        t->held = 0;
    }
    out->verdict = TRIGGER_ANSWER;
    out->source = (enum wire_trigger_source)entry->source;
    out->trigger_id = entry->first_id;
    out->edge_ns = entry->edge_ns;
    out->exposure_delta_ns = (int64_t)(frame->start_ns - entry->edge_ns);
    out->burst_index = (int16_t)entry->frames_given++;
    entry->frames_open++;
    entry->frames_left--;
    t->bursting_id = entry->frames_left ? entry->first_id : 0;
    t->burst_deadline_ns = now_ns + t->config.deadline_ns;
}

/** Who wanted this very frame, or one before it, came while the answered trigger was pending. */
static void overrun_up_to(struct trigger *t, uint64_t reach_ns)
{
    t->answered_ns = base_max_u64(t->answered_ns, reach_ns);
    struct trigger_entry *entry;
    while ((entry = trigger_ring_pending(t)) != NULL && entry->target_ns <= reach_ns)
        trigger_ring_resolve(t, entry, WIRE_OUTCOME_OVERRUN);
}

static bool frame_is_sane(const struct trigger *t, const struct trigger_frame *frame,
                          uint64_t now_ns)
{
    return frame->start_ns <= frame->end_ns && frame->end_ns >= t->last_end_ns &&
           frame->end_ns <= now_ns + TRIGGER_AHEAD_MAX_NS;
}

void trigger_frame(struct trigger *t, const struct trigger_frame *frame, uint64_t now_ns,
                   struct trigger_decision *out)
{
    *out = (struct trigger_decision){.verdict = t->config.is_on ? TRIGGER_DROP : TRIGGER_FREE};
    if (!t->config.is_on)
        return;
    trigger_ring_expire(t, now_ns);
    if (!frame_is_sane(t, frame, now_ns)) {
        t->counters.frames_refused++;
        return;
    }
    t->last_end_ns = frame->end_ns;
    struct trigger_entry *entry = find_bursting(t);
    if (entry == NULL)
        entry = match(t, frame);
    if (entry != NULL) {
        give(t, entry, frame, now_ns, out);
        if (t->config.rule != TRIGGER_EXTERNAL)
            overrun_up_to(t, t->config.rule == TRIGGER_CONTAINS
                                 ? frame->end_ns + t->config.readout_ns
                                 : frame->start_ns);
    } else if (t->config.pretrigger) {
        out->verdict = TRIGGER_HOLD;
        t->held = base_min_u32(t->held + 1, t->config.pretrigger);
    }
    trigger_ring_compact(t);
}

static struct trigger_entry *find_open(struct trigger *t, uint64_t trigger_id)
{
    for (unsigned i = 0; i < t->used; i++) {
        struct trigger_entry *entry = trigger_ring_at(t, i);
        if (entry->state == TRIGGER_ANSWERING && entry->first_id == trigger_id)
            return entry->frames_open ? entry : NULL;
    }
    return NULL;
}

void trigger_frame_done(struct trigger *t, uint64_t trigger_id)
{
    struct trigger_entry *entry = find_open(t, trigger_id);
    if (entry == NULL)
        return;
    entry->frames_open--;
    entry->frames_done++;
    trigger_ring_settle(t, entry);
}

void trigger_frame_failed(struct trigger *t, uint64_t trigger_id, uint32_t sensor_sequence)
{
    struct trigger_entry *entry = find_open(t, trigger_id);
    if (entry == NULL)
        return;
    entry->frames_open--;
    entry->failed_sequence = sensor_sequence;
    trigger_ring_settle(t, entry);
}

bool trigger_offset(const struct trigger *t, int64_t *offset_ns)
{
    *offset_ns = t->is_offset_known ? t->offset_ns : 0;
    return t->is_offset_known;
}
