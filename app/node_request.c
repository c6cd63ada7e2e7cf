// SPDX-License-Identifier: MIT
// What clients ask of the node: features, triggers, counters.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/features.h"
#include "app/node_private.h"

const char *node_why_no_trigger(struct node *node, const struct config *config)
{
    if (config->trigger_mode != CONFIG_TRIGGER_ON)
        return "TriggerMode is Off";
    if (config->trigger_rule == CONFIG_RULE_EXTERNAL)
        return "the sensor is triggered by its wire (trigger.rule = external)";
    if (!node->trigger.camera_up)
        return "the camera is not streaming";
    return trigger_has_room(&node->trigger) ? NULL : "too many wait for their frames";
}

static int software_trigger(struct node *node, char *reply, size_t size, uint64_t *id,
                            uint64_t now_ns)
{
    int64_t status = trigger_software(&node->trigger, now_ns);
    if (status > 0) {
        *id = (uint64_t)status;
        return 0;
    }
    const char *why = node_why_no_trigger(node, &node->config);
    snprintf(reply, size, "no trigger: %s",
             why != NULL ? why : "its settings do not fit this camera");
    return -WIRE_ERROR_UNAVAILABLE;
}

/** Tells subscribers what changed: whole lines, as many to an event as fit, because the log that
 * they fill is everybody's. */
static void announce_changes(struct node *node, const char *lines, uint64_t now_ns)
{
    while (*lines != '\0') {
        char text[STORE_EVENT_TEXT_BYTES + 1];
        size_t used = 0, length;
        while ((length = strcspn(lines + used, "\n")) > 0 &&
               (used == 0 || used + length + 1 <= STORE_EVENT_TEXT_BYTES))
            used += length + (lines[used + length] == '\n');
        if (used == 0)
            return;
        snprintf(text, sizeof text, "%.*s", (int)used, lines);
        struct wire_event event = {.kind = WIRE_EVENT_FEATURES};
        node_publish_event(node, &event, text, now_ns);
        lines += used;
    }
}

/** Brings engine, camera and rate control in line with what was set; or all back, with an ERROR's
 * code and sentence. */
static int follow_up(struct node *node, unsigned apply, const struct config *before,
                     const struct node_snapshot *controls, struct reply *out, uint64_t now_ns)
{
    if ((apply & FEATURES_APPLY_TRIGGER) && node_apply_trigger(node, now_ns) < 0) {
        node->config = *before;
        node_controls_restore(node, controls);
        node_apply_trigger(node, now_ns);
        reply_add(out, "these trigger settings do not go together, or the line cannot be opened "
                       "(see the node's log)");
        return -WIRE_ERROR_BAD_VALUE;
    }
    if ((apply & FEATURES_APPLY_FRAMERATE) && !(apply & FEATURES_APPLY_CAMERA) &&
        !node_camera_set_framerate(node, now_ns))
        apply |= FEATURES_APPLY_CAMERA;
    char why[256];
    if ((apply & FEATURES_APPLY_CAMERA) &&
        node_camera_reconfigure(node, before, why, sizeof why, now_ns) < 0) {
        node_controls_restore(node, controls);
        reply_add(out, "%s", why);
        return -WIRE_ERROR_BAD_VALUE;
    }
    if (apply & (FEATURES_APPLY_RATE | FEATURES_APPLY_FRAMERATE | FEATURES_APPLY_CAMERA))
        node_apply_rate(node);
    return 0;
}

static int set_features(struct node *node, char *text, struct reply *out, uint64_t now_ns)
{
    struct config before = node->config;
    struct node_snapshot controls;
    struct features_set done;
    node_controls_save(node, &controls);
    int status = features_set(node, text, out, &done);
    if (status == 0)
        status = follow_up(node, done.apply, &before, &controls, out, now_ns);
    if (status < 0)
        return status;
    features_report(node, &done, out);
    announce_changes(node, out->data, now_ns);
    uint64_t id;
    if (done.apply & FEATURES_APPLY_SOFTWARE_TRIGGER)
        status = software_trigger(node, out->data, out->size, &id, now_ns);
    return status;
}

static void collect_triggers(struct node *node)
{
    struct metrics *m = &node->metrics;
    const struct trigger_counters *c = &node->trigger.counters;
#define COLLECT(prefix, source)                                                                    \
    m->prefix##_matched = c->outcomes[source][WIRE_OUTCOME_MATCHED];                               \
    m->prefix##_missed = c->outcomes[source][WIRE_OUTCOME_MISSED];                                 \
    m->prefix##_overrun = c->outcomes[source][WIRE_OUTCOME_OVERRUN];                               \
    m->prefix##_failed = c->outcomes[source][WIRE_OUTCOME_FAILED];
    COLLECT(software, WIRE_SOURCE_SOFTWARE)
    COLLECT(timer, WIRE_SOURCE_TIMER)
    COLLECT(line, WIRE_SOURCE_LINE)
#undef COLLECT
    m->edges = c->edges;
    m->edges_lost = c->edges_lost;
    m->edges_held_off = c->edges_held_off;
    m->edges_divided = c->edges_divided;
    m->edges_refused = c->edges_refused;
    m->edges_idle = c->edges_idle;
    m->timer_ticks_skipped = c->ticks_skipped;
    m->frames_refused = c->frames_refused;
    m->frames_unpaired = c->frames_unpaired;
    int64_t offset_ns;
    trigger_offset(&node->trigger, &offset_ns);
    m->trigger_offset_seconds = (double)offset_ns / (double)NS_PER_S;
}

static void collect_strobe(struct node *node)
{
    struct metrics *m = &node->metrics;
    const struct strobe_counters *c = &node->strobe.plan.counters;
    m->strobe_pulses = c->pulses;
    m->strobe_skipped = c->skipped;
    m->strobe_covered = c->covered;
    m->strobe_missed = c->missed;
    m->strobe_late_seconds = (double)c->late_max_ns / (double)NS_PER_S;
    m->strobe_readback_seconds = (double)c->readback_max_ns / (double)NS_PER_S;
}

void node_collect_metrics(struct node *node, uint64_t now_ns)
{
    struct metrics *m = &node->metrics;
    const struct server_stats *s = &node->server.stats;
    collect_triggers(node);
    collect_strobe(node);
    m->clients_accepted = s->accepted;
    m->clients_refused = s->refused;
    m->clients_slow = s->dropped_slow;
    m->clients_malformed = s->dropped_malformed;
    m->clients_timeout = s->dropped_timeout;
    m->requests = s->requests;
    m->frames_sent = s->frames_sent;
    m->frames_skipped = s->frames_skipped;
    m->bytes_sent = s->bytes_sent;
    m->gaps = s->gaps;
    m->records_evicted = node->store.evicted;
    m->turns = node->loop.wait_calls;
    m->camera_streaming = node->camera_state == WIRE_CAMERA_STREAMING;
    m->clients = s->clients;
    m->store_blocks = node->store.block_count;
    m->store_blocks_used = node->store.block_count - node->store.blocks_free;
    m->turn_worst_seconds = (double)node->turn_worst_ns / (double)NS_PER_S;
    m->turn_worst_cpu_seconds = (double)node->turn_worst_cpu_ns / (double)NS_PER_S;
    m->uptime_seconds = (double)(now_ns - node->started_ns) / (double)NS_PER_S;
}

/** How large each pool is and how full it has been: what says in the field that a limit is near. */
static void print_pools(const struct node *n, struct reply *out)
{
    reply_add(out, "# HELP pinhole_pool_size Places in each pool of fixed size\n"
                   "# TYPE pinhole_pool_size gauge\n");
#define POOL(name, bytes, count, used)                                                             \
    reply_add(out, "pinhole_pool_size{pool=\"%s\"} %zu\n", name, (size_t)(count));
#include "app/pools.def"
#undef POOL
    reply_add(out, "# HELP pinhole_pool_used_max Most of them used at a time since start\n"
                   "# TYPE pinhole_pool_used_max gauge\n");
#define POOL(name, bytes, count, used)                                                             \
    reply_add(out, "pinhole_pool_used_max{pool=\"%s\"} %zu\n", name, (size_t)(used));
#include "app/pools.def"
#undef POOL
}

int node_request(void *user, uint8_t type, char *text, size_t bytes, char *data, size_t size,
                 uint64_t now_ns)
{
    struct node *node = user;
    struct reply out = reply_begin(data, size);
    int status = 0;
    uint64_t id = 0;
    if (strlen(text) != bytes) {
        reply_add(&out, "the text of the request has a NUL byte in it");
        return -WIRE_ERROR_BAD_VALUE;
    }
    switch (type) {
    case WIRE_TYPE_FEATURES: features_list(node, &out); break;
    case WIRE_TYPE_GET: status = features_get(node, text, &out); break;
    case WIRE_TYPE_SET: status = set_features(node, text, &out, now_ns); break;
    case WIRE_TYPE_TRIGGER:
        status = software_trigger(node, data, size, &id, now_ns);
        if (status == 0) {
            wire_store_u64((uint8_t *)data, id);
            return sizeof id;
        }
        break;
    case WIRE_TYPE_STATS:
        node_collect_metrics(node, now_ns);
        metrics_print(&node->metrics, &out);
        print_pools(node, &out);
        break;
    default: return -WIRE_ERROR_UNKNOWN_TYPE;
    }
    return status < 0 ? status : (int)out.used;
}
