// SPDX-License-Identifier: MIT
#include "app/trigger/strobe.h"

#include <errno.h>

#define LONGEST_NS (NS_PER_S * 3600)

static const struct strobe_pulse *newest(const struct strobe *s)
{
    return &s->pulses[(s->next + STROBE_PULSES - 1) % STROBE_PULSES];
}

static struct strobe_pulse *newest_mutable(struct strobe *s)
{
    return &s->pulses[(s->next + STROBE_PULSES - 1) % STROBE_PULSES];
}

void strobe_init(struct strobe *s)
{
    *s = (struct strobe){.config = {.width_ns = NS_PER_MS}};
}

static void end_pulse(struct strobe *s, uint64_t now_ns)
{
    struct strobe_pulse *pulse = newest_mutable(s);
    if (s->is_busy && pulse->on_ns != 0 && pulse->off_ns == 0)
        pulse->off_ns = now_ns;
    s->is_busy = false;
}

int strobe_configure(struct strobe *s, const struct strobe_config *config, uint64_t now_ns)
{
    if (config->width_ns < 1 || config->width_ns > LONGEST_NS || config->delay_ns > LONGEST_NS ||
        config->readout_ns > LONGEST_NS || config->frame_period_ns > LONGEST_NS * 24 ||
        (config->is_on && config->reference == STROBE_EXPOSURE && config->frame_period_ns < 1))
        return -EINVAL;
    end_pulse(s, now_ns);
    s->config = *config;
    s->last_start_ns = 0;
    return 0;
}

/** The first exposure that starts at or after the target, if frames keep their period. */
static uint64_t predict_start(const struct strobe *s, uint64_t target_ns)
{
    if (target_ns <= s->last_start_ns)
        return s->last_start_ns;
    uint64_t periods = (target_ns - s->last_start_ns - 1) / s->config.frame_period_ns + 1;
    return s->last_start_ns + periods * s->config.frame_period_ns;
}

void strobe_trigger(struct strobe *s, uint64_t edge_ns, uint64_t target_ns, uint64_t now_ns)
{
    if (!s->config.is_on)
        return;
    bool is_exposure = s->config.reference == STROBE_EXPOSURE;
    if (s->is_busy || (is_exposure && s->last_start_ns == 0)) {
        s->counters.skipped++;
        return;
    }
    uint64_t reference_ns = is_exposure ? predict_start(s, target_ns) : edge_ns;
    s->pulses[s->next] =
        (struct strobe_pulse){.edge_ns = edge_ns, .planned_ns = reference_ns + s->config.delay_ns};
    s->counters.late += s->pulses[s->next].planned_ns < now_ns;
    s->next = (s->next + 1) % STROBE_PULSES;
    s->is_busy = true;
}

void strobe_frame(struct strobe *s, uint64_t start_ns)
{
    s->last_start_ns = start_ns;
}

bool strobe_wants(const struct strobe *s, uint64_t now_ns)
{
    const struct strobe_pulse *pulse = newest(s);
    if (!s->is_busy)
        return false;
    return pulse->on_ns == 0 ? now_ns >= pulse->planned_ns
                             : now_ns < pulse->on_ns + s->config.width_ns;
}

uint64_t strobe_next_deadline(const struct strobe *s)
{
    const struct strobe_pulse *pulse = newest(s);
    if (!s->is_busy)
        return NS_NEVER;
    return pulse->on_ns == 0 ? pulse->planned_ns : pulse->on_ns + s->config.width_ns;
}

void strobe_wrote(struct strobe *s, bool level, uint64_t now_ns)
{
    struct strobe_pulse *pulse = newest_mutable(s);
    s->level = level;
    if (!s->is_busy)
        return;
    if (level && pulse->on_ns == 0) {
        pulse->on_ns = now_ns;
        s->counters.pulses++;
        uint64_t late_ns = now_ns > pulse->planned_ns ? now_ns - pulse->planned_ns : 0;
        s->counters.late_max_ns = base_max_u64(s->counters.late_max_ns, late_ns);
    } else if (!level && pulse->on_ns != 0) {
        end_pulse(s, now_ns);
    }
}

void strobe_readback(struct strobe *s, bool level, uint64_t timestamp_ns)
{
    struct strobe_pulse *pulse = newest_mutable(s);
    if (pulse->on_ns == 0)
        return;
    if (level && !pulse->is_on_real) {
        pulse->on_ns = timestamp_ns;
        pulse->is_on_real = true;
        uint64_t late_ns = timestamp_ns > pulse->planned_ns ? timestamp_ns - pulse->planned_ns : 0;
        s->counters.readback_max_ns = base_max_u64(s->counters.readback_max_ns, late_ns);
    } else if (!level && pulse->off_ns != 0 && !pulse->is_off_real) {
        pulse->off_ns = timestamp_ns;
        pulse->is_off_real = true;
    }
}

static const struct strobe_pulse *pulse_of(const struct strobe *s, uint64_t edge_ns)
{
    for (unsigned i = 0; i < STROBE_PULSES; i++)
        if (s->pulses[i].planned_ns != 0 && s->pulses[i].edge_ns == edge_ns)
            return &s->pulses[i];
    return NULL;
}

enum strobe_cover strobe_cover(struct strobe *s, uint64_t edge_ns, uint64_t start_ns,
                               uint64_t end_ns)
{
    const struct strobe_pulse *pulse = pulse_of(s, edge_ns);
    if (pulse == NULL)
        return STROBE_NONE;
    uint64_t on_ns = pulse->on_ns;
    uint64_t off_ns = pulse->off_ns != 0 ? pulse->off_ns : on_ns + s->config.width_ns;
    bool is_around = on_ns <= start_ns && off_ns >= end_ns + s->config.readout_ns;
    bool is_inside = on_ns >= start_ns + s->config.readout_ns && off_ns <= end_ns;
    bool is_covered = on_ns != 0 && (is_around || is_inside);
    s->counters.covered += is_covered;
    s->counters.missed += !is_covered;
    return is_covered ? STROBE_COVERED : STROBE_MISSED;
}
