// SPDX-License-Identifier: MIT
// The trigger engine's inputs other than frames: configuration, camera state, edges, time.
#include "app/trigger/trigger.h"

#include <errno.h>

#define LONGEST_NS (NS_PER_S * 86400 * 366) /**< sums with this cannot wrap */

void trigger_init(struct trigger *t)
{
    *t = (struct trigger){.config = {.divider = 1, .burst_count = 1, .deadline_ns = NS_PER_S}};
}

bool trigger_config_equals(const struct trigger_config *a, const struct trigger_config *b)
{
    return a->is_on == b->is_on && a->source == b->source && a->rule == b->rule &&
           a->delay_ns == b->delay_ns && a->divider == b->divider &&
           a->hold_off_ns == b->hold_off_ns && a->burst_count == b->burst_count &&
           a->pretrigger == b->pretrigger && a->deadline_ns == b->deadline_ns &&
           a->period_ns == b->period_ns && a->readout_ns == b->readout_ns &&
           a->frame_interval_ns == b->frame_interval_ns && a->window_ns == b->window_ns;
}

static bool config_is_valid(const struct trigger_config *c)
{
    if (c->source > WIRE_SOURCE_LINE || c->rule > TRIGGER_EXTERNAL || c->divider < 1 ||
        c->burst_count < 1 || c->burst_count > TRIGGER_BURST_MAX ||
        c->pretrigger > TRIGGER_PRETRIGGER_MAX || c->deadline_ns < 1)
        return false;
    if (c->delay_ns > LONGEST_NS || c->hold_off_ns > LONGEST_NS || c->deadline_ns > LONGEST_NS ||
        c->period_ns > LONGEST_NS || c->readout_ns > LONGEST_NS || c->window_ns > LONGEST_NS ||
        c->frame_interval_ns > LONGEST_NS)
        return false;
    if (c->source == WIRE_SOURCE_TIMER && c->period_ns < TRIGGER_PERIOD_MIN_NS)
        return false;
    bool is_plain = c->source == WIRE_SOURCE_LINE && !c->delay_ns && c->divider == 1 &&
                    !c->hold_off_ns && c->burst_count == 1 && !c->pretrigger && c->window_ns;
    return c->rule != TRIGGER_EXTERNAL || is_plain;
}

/** Nothing waits any longer: not for its first frame, not for the rest of a burst. */
static void fail_pending(struct trigger *t)
{
    struct trigger_entry *entry;
    while ((entry = trigger_ring_pending(t)) != NULL)
        trigger_ring_resolve(t, entry, WIRE_OUTCOME_FAILED);
    trigger_ring_end_burst(t);
    trigger_ring_compact(t);
    t->held = 0;
}

int trigger_configure(struct trigger *t, const struct trigger_config *config, uint64_t now_ns)
{
    if (!config_is_valid(config))
        return -EINVAL;
    trigger_ring_expire(t, now_ns);
    fail_pending(t);
    t->config = *config;
    t->target_ns = 0;
    t->hold_off_until_ns = 0;
    t->divider_phase = 0;
    t->tick_ns = now_ns + config->period_ns;
    t->is_offset_known = false;
    t->offset_pairs = 0;
    return 0;
}

void trigger_camera_up(struct trigger *t, uint64_t now_ns)
{
    trigger_ring_expire(t, now_ns);
    t->is_camera_up = true;
    t->last_end_ns = 0;
}

void trigger_camera_down(struct trigger *t, uint64_t now_ns)
{
    trigger_ring_expire(t, now_ns);
    t->is_camera_up = false;
    fail_pending(t);
}

/** What no room in the ring could help against. */
static const char *find_obstacle(const struct trigger *t, const struct trigger_config *config)
{
    if (!config->is_on)
        return "TriggerMode is Off";
    if (config->rule == TRIGGER_EXTERNAL)
        return "the sensor is triggered by its wire (trigger.rule = external)";
    return t->is_camera_up ? NULL : "the camera is not streaming";
}

const char *trigger_refusal(struct trigger *t, const struct trigger_config *config)
{
    const char *obstacle = find_obstacle(t, config);
    if (obstacle != NULL)
        return obstacle;
    trigger_ring_compact(t);
    return t->used < TRIGGER_RING ? NULL : "too many wait for their frames";
}

int64_t trigger_software(struct trigger *t, uint64_t now_ns)
{
    if (find_obstacle(t, &t->config) != NULL)
        return -EAGAIN;
    uint64_t id = trigger_ring_add(t, WIRE_SOURCE_SOFTWARE, now_ns);
    return id != 0 ? (int64_t)id : -EAGAIN;
}

void trigger_line_opened(struct trigger *t)
{
    t->line_sequence = 0;
    t->last_edge_ns = 0;
}

/** Counts what the kernel lost and lets the divider know of it. A sequence from the past is a new
 * beginning, not four thousand million lost edges. */
static void follow_sequence(struct trigger *t, uint32_t line_sequence)
{
    uint32_t lost = line_sequence - t->line_sequence - 1;
    t->line_sequence = line_sequence;
    if (lost > UINT32_MAX / 2)
        return;
    t->counters.edges_lost += lost;
    t->divider_phase = (uint32_t)(((uint64_t)t->divider_phase + lost) % t->config.divider);
}

uint64_t trigger_edge(struct trigger *t, uint64_t edge_ns, uint32_t line_sequence, uint64_t now_ns)
{
    struct trigger_counters *counters = &t->counters;
    counters->edges++;
    follow_sequence(t, line_sequence);
    if (edge_ns > now_ns + TRIGGER_AHEAD_MAX_NS || edge_ns < t->last_edge_ns) {
        counters->edges_refused++;
        return 0;
    }
    t->last_edge_ns = edge_ns;
    if (!t->config.is_on || t->config.source != WIRE_SOURCE_LINE) {
        counters->edges_idle++;
        return 0;
    }
    if (edge_ns < t->hold_off_until_ns) {
        counters->edges_held_off++;
        return 0;
    }
    t->hold_off_until_ns = edge_ns + t->config.hold_off_ns;
    if (++t->divider_phase < t->config.divider) {
        counters->edges_divided++;
        return 0;
    }
    t->divider_phase = 0;
    uint64_t id = trigger_ring_add(t, WIRE_SOURCE_LINE, edge_ns);
    if (!id)
        counters->edges_refused++;
    return id;
}

static bool timer_runs(const struct trigger *t)
{
    return t->config.is_on && t->config.source == WIRE_SOURCE_TIMER;
}

uint64_t trigger_next_deadline(const struct trigger *t)
{
    uint64_t earliest_ns = timer_runs(t) ? t->tick_ns : NS_NEVER;
    if (t->bursting_id)
        earliest_ns = base_min_u64(earliest_ns, t->burst_deadline_ns);
    for (unsigned i = 0; t->pending && i < t->used; i++) {
        const struct trigger_entry *entry = &t->ring[(t->head + i) % TRIGGER_RING];
        if (entry->state == TRIGGER_PENDING)
            return base_min_u64(earliest_ns, entry->target_ns + t->config.deadline_ns);
    }
    return earliest_ns;
}

void trigger_tick(struct trigger *t, uint64_t now_ns)
{
    trigger_ring_expire(t, now_ns);
    if (!timer_runs(t) || now_ns < t->tick_ns)
        return;
    uint64_t behind = (now_ns - t->tick_ns) / t->config.period_ns;
    uint64_t tick_ns = t->tick_ns + behind * t->config.period_ns;
    t->tick_ns = tick_ns + t->config.period_ns;
    t->counters.ticks_skipped += behind;
    if (!trigger_ring_add(t, WIRE_SOURCE_TIMER, tick_ns))
        t->counters.ticks_skipped++;
}

bool trigger_find_waiting(const struct trigger *t, uint64_t after_id, struct trigger_waiting *out)
{
    for (unsigned i = 0; t->pending && i < t->used; i++) {
        const struct trigger_entry *entry = &t->ring[(t->head + i) % TRIGGER_RING];
        if (entry->state != TRIGGER_PENDING || entry->first_id <= after_id)
            continue;
        *out = (struct trigger_waiting){.trigger_id = entry->first_id,
                                        .edge_ns = entry->edge_ns,
                                        .target_ns = entry->target_ns};
        return true;
    }
    return false;
}

bool trigger_pop_outcome(struct trigger *t, struct trigger_outcome *out)
{
    trigger_ring_compact(t);
    if (!t->used || trigger_ring_at(t, 0)->state != TRIGGER_RESOLVED)
        return false;
    const struct trigger_entry *entry = trigger_ring_at(t, 0);
    *out = (struct trigger_outcome){.first_id = entry->first_id,
                                    .last_id = entry->last_id,
                                    .edge_ns = entry->edge_ns,
                                    .source = (enum wire_trigger_source)entry->source,
                                    .outcome = (enum wire_outcome)entry->outcome,
                                    .sensor_sequence = entry->failed_sequence};
    t->head = (t->head + 1) % TRIGGER_RING;
    t->used--;
    return true;
}
