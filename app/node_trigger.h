// SPDX-License-Identifier: MIT
// The node's triggers: the engine, its input line, the strobe, and their settings.
#ifndef PINHOLE_APP_NODE_TRIGGER_H
#define PINHOLE_APP_NODE_TRIGGER_H

#include "app/event_log.h"
#include "app/trigger/strobe_line.h"
#include "app/trigger/trigger.h"
#include "app/trigger/trigger_line.h"

struct node_trigger {
    struct trigger engine;
    struct trigger_line line;
    struct strobe_line strobe;
    int timer;         /**< the engine's; set by node_trigger_turn() */
    unsigned used_max; /**< most triggers in the engine, as turns found them */

    struct loop *loop;
    const struct event_log *log;
};

/** The engine's settings, as the configuration has them. `frame_period_ns`: of the camera. */
struct trigger_config node_trigger_settings(const struct config *config, uint64_t frame_period_ns);

/** Brings engine, line and strobe in line with the configuration. When the engine's settings have
 * changed, `*is_changed` is true: frames held for it are to be dropped. Equal settings leave the
 * engine alone, because configuring it starts timer and divider from zero. 0, or a negative errno
 * of trigger_configure() and trigger_line_configure(). */
int node_trigger_apply(struct node_trigger *trigger, const struct config *config,
                       uint64_t frame_period_ns, bool *is_changed, uint64_t now_ns);

/** Arms the engine's timer; once per turn, before the wait. */
void node_trigger_arm(struct node_trigger *trigger);
/** Moves the strobe's line; once per turn, after the events were dispatched. */
void node_trigger_turn(struct node_trigger *trigger, uint64_t now_ns);
/** Publishes the outcomes that have no frame. */
void node_trigger_report(struct node_trigger *trigger, uint64_t now_ns);
/** Closes both lines. */
void node_trigger_close(struct node_trigger *trigger, uint64_t now_ns);

#endif
