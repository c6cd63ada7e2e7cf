// SPDX-License-Identifier: MIT
#include "tests/host/support/trigger_reference.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool waits(const struct reference_trigger *x)
{
    return x->outcome == WIRE_OUTCOME_NONE && !x->is_chosen;
}

static struct reference_trigger *first_waiting(struct reference *r)
{
    for (uint64_t i = 0; i < r->count; i++)
        if (waits(&r->trigger[i]))
            return &r->trigger[i];
    return NULL;
}

static unsigned count_waiting(const struct reference *r)
{
    unsigned n = 0;
    for (uint64_t i = 0; i < r->count; i++)
        n += waits(&r->trigger[i]);
    return n;
}

/** Places of the ring: one for each trigger without an outcome, one for each run of equal ones. */
static unsigned count_places(const struct reference *r)
{
    unsigned n = 0;
    for (uint64_t i = r->popped; i < r->count; i++) {
        const struct reference_trigger *x = &r->trigger[i], *before = x - 1;
        bool is_joined = i > r->popped && x->outcome != WIRE_OUTCOME_NONE &&
                         before->outcome == x->outcome && before->source == x->source;
        n += !is_joined;
    }
    return n;
}

/** A chosen trigger that wants no more frames and has none open is over. */
static void conclude(struct reference_trigger *x)
{
    if (x->is_chosen && x->outcome == WIRE_OUTCOME_NONE && !x->wants_more && x->open == 0)
        x->outcome = x->done > 0 ? WIRE_OUTCOME_MATCHED : WIRE_OUTCOME_FAILED;
}

static struct reference_trigger *bursting(struct reference *r)
{
    for (uint64_t i = 0; i < r->count; i++)
        if (r->trigger[i].wants_more)
            return &r->trigger[i];
    return NULL;
}

static void stop_burst(struct reference *r)
{
    struct reference_trigger *x = bursting(r);
    if (x != NULL) {
        x->wants_more = false;
        conclude(x);
    }
}

static void give_up_late_ones(struct reference *r, uint64_t now)
{
    for (uint64_t i = 0; i < r->count; i++)
        if (waits(&r->trigger[i]) && r->trigger[i].target + r->config.deadline_ns <= now)
            r->trigger[i].outcome = WIRE_OUTCOME_MISSED;
    if (bursting(r) != NULL && r->burst_deadline <= now)
        stop_burst(r);
}

static void fail_waiting(struct reference *r)
{
    for (uint64_t i = 0; i < r->count; i++)
        if (waits(&r->trigger[i]))
            r->trigger[i].outcome = WIRE_OUTCOME_FAILED;
    stop_burst(r);
    r->held = 0;
}

void reference_init(struct reference *r)
{
    // The list needs no clearing: an entry is written when its trigger is made.
    memset(&r->config, 0, sizeof r->config);
    r->config.divider = r->config.burst_count = 1;
    r->config.deadline_ns = NS_PER_S;
    size_t from = offsetof(struct reference, count);
    memset((char *)r + from, 0, sizeof *r - from);
}

void reference_configure(struct reference *r, const struct trigger_config *config, uint64_t now)
{
    give_up_late_ones(r, now);
    fail_waiting(r);
    r->config = *config;
    r->floor_target = 0;
    r->ignore_until = 0;
    r->swallowed = 0;
    r->tick = now + config->period_ns;
    r->knows_offset = false;
    r->sample_count = r->strangers = 0;
}

void reference_camera(struct reference *r, bool is_up, uint64_t now)
{
    give_up_late_ones(r, now);
    r->is_up = is_up;
    if (is_up)
        r->last_end = 0;
    else
        fail_waiting(r);
}

static enum wire_outcome at_once(const struct reference *r, uint64_t target)
{
    unsigned waiting = count_waiting(r);
    if (!r->is_up)
        return WIRE_OUTCOME_FAILED;
    if (r->config.rule != TRIGGER_EXTERNAL && target <= r->reach)
        return WIRE_OUTCOME_OVERRUN;
    if (waiting >= TRIGGER_PENDING_DENSE &&
        target < r->last_waiting_target + r->config.frame_interval_ns)
        return WIRE_OUTCOME_OVERRUN;
    if (waiting >= TRIGGER_PENDING_MAX)
        return WIRE_OUTCOME_OVERRUN;
    if (count_places(r) > TRIGGER_RING - 2)
        return WIRE_OUTCOME_OVERRUN;
    return WIRE_OUTCOME_NONE;
}

static uint64_t add(struct reference *r, enum wire_trigger_source source, uint64_t edge)
{
    assert_true(r->count < REFERENCE_TRIGGERS);
    struct reference_trigger x = {.source = source, .edge = edge};
    x.target = edge + r->config.delay_ns;
    if (x.target < r->floor_target)
        x.target = r->floor_target;
    x.outcome = at_once(r, x.target);
    r->trigger[r->count++] = x;
    if (count_places(r) > TRIGGER_RING) {
        r->count--;
        return 0;
    }
    r->floor_target = x.target;
    if (x.outcome == WIRE_OUTCOME_NONE)
        r->last_waiting_target = x.target;
    return r->count;
}

int64_t reference_software(struct reference *r, uint64_t now)
{
    if (!r->config.is_on || r->config.rule == TRIGGER_EXTERNAL || !r->is_up)
        return -EAGAIN;
    uint64_t id = add(r, WIRE_SOURCE_SOFTWARE, now);
    return id == 0 ? -EAGAIN : (int64_t)id;
}

uint64_t reference_edge(struct reference *r, uint64_t edge, uint32_t sequence, uint64_t now)
{
    r->counters.edges++;
    uint32_t step = sequence - r->last_sequence;
    r->last_sequence = sequence;
    if (step >= 1 && step <= UINT32_C(0x80000000)) {
        r->counters.edges_lost += step - 1;
        r->swallowed = (uint32_t)((r->swallowed + (uint64_t)step - 1) % r->config.divider);
    }
    if (edge > now + TRIGGER_AHEAD_MAX_NS || edge < r->last_edge) {
        r->counters.edges_refused++;
        return 0;
    }
    r->last_edge = edge;
    if (!r->config.is_on || r->config.source != WIRE_SOURCE_LINE) {
        r->counters.edges_idle++;
        return 0;
    }
    if (edge < r->ignore_until) {
        r->counters.edges_held_off++;
        return 0;
    }
    r->ignore_until = edge + r->config.hold_off_ns;
    r->swallowed++;
    if (r->swallowed < r->config.divider) {
        r->counters.edges_divided++;
        return 0;
    }
    r->swallowed = 0;
    uint64_t id = add(r, WIRE_SOURCE_LINE, edge);
    if (id == 0)
        r->counters.edges_refused++;
    return id;
}

uint64_t reference_next_deadline(const struct reference *r)
{
    uint64_t earliest = NS_NEVER;
    if (r->config.is_on && r->config.source == WIRE_SOURCE_TIMER)
        earliest = r->tick;
    for (uint64_t i = 0; i < r->count; i++) {
        const struct reference_trigger *x = &r->trigger[i];
        if (waits(x) && x->target + r->config.deadline_ns < earliest)
            earliest = x->target + r->config.deadline_ns;
        if (x->wants_more && r->burst_deadline < earliest)
            earliest = r->burst_deadline;
    }
    return earliest;
}

void reference_tick(struct reference *r, uint64_t now)
{
    give_up_late_ones(r, now);
    if (!r->config.is_on || r->config.source != WIRE_SOURCE_TIMER || now < r->tick)
        return;
    while (r->tick + r->config.period_ns <= now) {
        r->counters.ticks_skipped++;
        r->tick += r->config.period_ns;
    }
    if (add(r, WIRE_SOURCE_TIMER, r->tick) == 0)
        r->counters.ticks_skipped++;
    r->tick += r->config.period_ns;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void take_sample(struct reference *r, int64_t sample)
{
    const unsigned all = TRIGGER_CALIBRATION_PAIRS;
    if (r->sample_count == all) {
        for (unsigned i = 1; i < all; i++)
            r->samples[i - 1] = r->samples[i];
        r->sample_count--;
    }
    r->samples[r->sample_count++] = sample;
    if (r->sample_count < all)
        return;
    int64_t sorted[TRIGGER_CALIBRATION_PAIRS];
    memcpy(sorted, r->samples, sizeof sorted);
    qsort(sorted, all, sizeof sorted[0], compare);
    int64_t middle = sorted[all / 2];
    if (llabs(sorted[0] - middle) <= (int64_t)r->config.window_ns &&
        llabs(sorted[all - 1] - middle) <= (int64_t)r->config.window_ns) {
        r->knows_offset = true;
        r->offset = middle;
        r->strangers = 0;
    }
}

static struct reference_trigger *pair_learning(struct reference *r, const struct trigger_frame *f)
{
    struct reference_trigger *newest = NULL;
    for (uint64_t i = 0; i < r->count; i++)
        if (waits(&r->trigger[i]) && r->trigger[i].target <= f->end_ns)
            newest = &r->trigger[i];
    for (struct reference_trigger *x = r->trigger; newest != NULL && x < newest; x++)
        if (waits(x))
            x->outcome = WIRE_OUTCOME_MISSED;
    if (newest != NULL)
        take_sample(r, (int64_t)f->start_ns - (int64_t)newest->target);
    return newest;
}

static struct reference_trigger *pair_known(struct reference *r, const struct trigger_frame *f)
{
    int64_t window = (int64_t)r->config.window_ns;
    for (uint64_t i = 0; i < r->count; i++) {
        struct reference_trigger *x = &r->trigger[i];
        if (!waits(x))
            continue;
        int64_t late = (int64_t)f->start_ns - ((int64_t)x->target + r->offset);
        if (late > window) {
            x->outcome = WIRE_OUTCOME_MISSED;
            continue;
        }
        if (late < -window)
            break;
        r->offset += late / 16;
        r->strangers = 0;
        return x;
    }
    r->strangers++;
    if (r->strangers == TRIGGER_CALIBRATION_PAIRS) {
        r->knows_offset = false;
        r->sample_count = 0;
    }
    return NULL;
}

static struct reference_trigger *choose(struct reference *r, const struct trigger_frame *f)
{
    struct reference_trigger *x = NULL;
    switch (r->config.rule) {
    case TRIGGER_FIRST_AFTER:
        x = first_waiting(r);
        return x != NULL && f->start_ns >= x->target ? x : NULL;
    case TRIGGER_CONTAINS:
        for (uint64_t i = 0; i < r->count; i++)
            if (waits(&r->trigger[i]) && r->trigger[i].target < f->start_ns)
                r->trigger[i].outcome = WIRE_OUTCOME_MISSED;
        x = first_waiting(r);
        return x != NULL && x->target <= f->end_ns + r->config.readout_ns ? x : NULL;
    case TRIGGER_EXTERNAL:
        x = r->knows_offset ? pair_known(r, f) : pair_learning(r, f);
        if (x == NULL)
            r->counters.frames_unpaired++;
        return x;
    }
    fail_msg("no such rule: %d", (int)r->config.rule);
    return NULL;
}

struct trigger_decision reference_frame(struct reference *r, const struct trigger_frame *f,
                                        uint64_t now)
{
    struct trigger_decision decision = {.verdict = TRIGGER_FREE};
    if (!r->config.is_on)
        return decision;
    decision.verdict = TRIGGER_DROP;
    give_up_late_ones(r, now);
    if (f->end_ns < f->start_ns || f->end_ns < r->last_end ||
        f->end_ns > now + TRIGGER_AHEAD_MAX_NS) {
        r->counters.frames_refused++;
        return decision;
    }
    r->last_end = f->end_ns;
    struct reference_trigger *x = bursting(r);
    bool is_first = x == NULL;
    if (is_first)
        x = choose(r, f);
    if (x == NULL) {
        if (r->config.pretrigger > 0) {
            decision.verdict = TRIGGER_HOLD;
            if (r->held < r->config.pretrigger)
                r->held++;
        }
        return decision;
    }
    decision = (struct trigger_decision){
        .verdict = TRIGGER_ANSWER,
        .source = x->source,
        .trigger_id = (uint64_t)(x - r->trigger) + 1,
        .edge_ns = x->edge,
        .exposure_delta_ns = (int64_t)f->start_ns - (int64_t)x->edge,
        .burst_index = (int16_t)x->given,
        .pretrigger = is_first ? (uint16_t)r->held : 0,
    };
    if (is_first)
        r->held = 0;
    x->is_chosen = true;
    x->given++;
    x->open++;
    x->wants_more = x->given < r->config.burst_count;
    r->burst_deadline = now + r->config.deadline_ns;
    if (r->config.rule == TRIGGER_EXTERNAL)
        return decision;
    uint64_t reach =
        r->config.rule == TRIGGER_CONTAINS ? f->end_ns + r->config.readout_ns : f->start_ns;
    if (reach > r->reach)
        r->reach = reach;
    for (uint64_t i = 0; i < r->count; i++)
        if (waits(&r->trigger[i]) && r->trigger[i].target <= reach)
            r->trigger[i].outcome = WIRE_OUTCOME_OVERRUN;
    return decision;
}

void reference_result(struct reference *r, uint64_t id, bool is_done)
{
    if (id < 1 || id > r->count)
        return;
    struct reference_trigger *x = &r->trigger[id - 1];
    if (x->open == 0)
        return;
    x->open--;
    x->done += is_done;
    conclude(x);
}
