// SPDX-License-Identifier: MIT
#include "app/node_trigger.h"

#define MATCH_PERIODS   4 /**< a frame is delivered about two periods after its exposure began */
#define MATCH_MARGIN_NS (200 * NS_PER_MS)

struct trigger_config node_trigger_settings(const struct config *config, uint64_t frame_period_ns)
{
    uint64_t deadline_ns = config->trigger_timeout_ms * NS_PER_MS;
    if (deadline_ns == 0)
        deadline_ns = MATCH_PERIODS * frame_period_ns + MATCH_MARGIN_NS;
    return (struct trigger_config){
        .is_on = config->trigger_mode == CONFIG_TRIGGER_ON,
        .source = (enum wire_trigger_source)(config->trigger_source + 1),
        .rule = (enum trigger_rule)config->trigger_rule,
        .delay_ns = config->trigger_delay_us * NS_PER_US,
        .divider = config->trigger_divider,
        .hold_off_ns = config->trigger_hold_off_us * NS_PER_US,
        .burst_count = config->burst_frames,
        .pretrigger = config->pretrigger_frames,
        .deadline_ns = deadline_ns,
        .period_ns = config->timer_period_ms * NS_PER_MS,
        .readout_ns = config->readout_us != 0 ? config->readout_us * NS_PER_US : frame_period_ns,
        .frame_interval_ns = frame_period_ns,
        .window_ns = config->trigger_window_us * NS_PER_US,
    };
}

int node_trigger_apply(struct node_trigger *trigger, const struct config *config,
                       uint64_t frame_period_ns, bool *is_changed, uint64_t now_ns)
{
    struct trigger_config wish = node_trigger_settings(config, frame_period_ns);
    *is_changed = !trigger_config_equals(&wish, &trigger->engine.config);
    if (*is_changed) {
        int status = trigger_configure(&trigger->engine, &wish, now_ns);
        if (status < 0)
            return status;
    }
    // Without its light the camera still works; the reason is logged.
    strobe_line_configure(&trigger->strobe, config, trigger->loop, wish.readout_ns, frame_period_ns,
                          now_ns);
    return trigger_line_configure(&trigger->line, config, trigger->loop, &trigger->engine, now_ns);
}

void node_trigger_arm(struct node_trigger *trigger)
{
    loop_timer_set(trigger->loop, trigger->timer, trigger_next_deadline(&trigger->engine));
}

void node_trigger_turn(struct node_trigger *trigger, uint64_t now_ns)
{
    trigger->used_max = base_max_u32(trigger->used_max, trigger->engine.used);
    strobe_line_turn(&trigger->strobe, &trigger->engine, now_ns);
}

void node_trigger_report(struct node_trigger *trigger, uint64_t now_ns)
{
    struct trigger_outcome outcome;
    while (trigger_pop_outcome(&trigger->engine, &outcome)) {
        if (outcome.outcome == WIRE_OUTCOME_MATCHED)
            continue;
        struct wire_event event = {
            .kind = WIRE_EVENT_TRIGGER,
            .trigger_source = (uint8_t)outcome.source,
            .outcome = (uint8_t)outcome.outcome,
            .first = outcome.first_id,
            .last = outcome.last_id,
            .edge_ns = outcome.edge_ns,
            .sensor_sequence = outcome.sensor_sequence,
        };
        event_log_publish(trigger->log, &event, "", now_ns);
    }
}

void node_trigger_close(struct node_trigger *trigger, uint64_t now_ns)
{
    trigger_line_close(&trigger->line);
    strobe_line_close(&trigger->strobe, now_ns);
}
