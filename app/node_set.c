// SPDX-License-Identifier: MIT
#include "app/node_set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/features.h"

/** What a SET may change, as it was before. */
struct before {
    struct config config;
    struct node_snapshot controls;
};

/** What of a SET has been done, and so has to be rolled back. */
enum step { STEP_CONTROLS, STEP_TRIGGER, STEP_FRAMERATE, STEP_CAMERA, STEP_DONE };

static int set_control(struct node_camera *camera, const struct features_change *change,
                       struct reply *out)
{
    int status = camera->ops->feature_set(change->index, change->value);
    if (status == 0)
        return 0;
    if (status == -EACCES)
        return features_refuse(out, WIRE_ERROR_READ_ONLY, change->name,
                               "is set by its automatic mode (or read only) now");
    return features_refuse(out, WIRE_ERROR_UNAVAILABLE, change->name, camera->ops->last_error());
}

/** Sets the camera's own features: modes first, whatever the order of the lines. */
static int set_controls(struct node_camera *camera, const struct features_wish *wish,
                        struct reply *out)
{
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < wish->count; i++) {
            const struct features_change *change = &wish->change[i];
            if (change->target != FEATURES_TARGET_CAMERA || change->is_mode != (pass == 0))
                continue;
            int status = set_control(camera, change, out);
            if (status < 0)
                return status;
        }
    for (unsigned i = 0; i < wish->count; i++)
        if (wish->change[i].target == FEATURES_TARGET_CAMERA)
            node_controls_note(&camera->controls, wish->change[i].name, wish->change[i].value);
    return 0;
}

/** Brings everything in line with the wish. *step is the step that was reached. */
static int apply(struct node_camera *camera, const struct features_wish *wish, enum step *step,
                 struct reply *out, uint64_t now_ns)
{
    bool must_reconfigure = wish->apply & FEATURES_APPLY_CAMERA;
    *step = STEP_CONTROLS;
    int status = set_controls(camera, wish, out);
    if (status < 0)
        return status;
    *camera->config = wish->config;
    if (wish->apply & FEATURES_APPLY_TRIGGER) {
        *step = STEP_TRIGGER;
        if (node_camera_apply_trigger(camera, now_ns) < 0) {
            reply_add(out, "these trigger settings do not go together, or the line cannot be "
                           "opened (see the node's log)");
            return -WIRE_ERROR_BAD_VALUE;
        }
    }
    if ((wish->apply & FEATURES_APPLY_FRAMERATE) && !must_reconfigure) {
        *step = STEP_FRAMERATE;
        must_reconfigure = !node_camera_set_framerate(camera, now_ns);
    }
    if (must_reconfigure) {
        *step = STEP_CAMERA;
        if (node_camera_reconfigure(camera, now_ns) < 0) {
            reply_add(out, "the camera refuses this: %s", camera->ops->last_error());
            return -WIRE_ERROR_BAD_VALUE;
        }
    }
    *step = STEP_DONE;
    if (wish->apply & (FEATURES_APPLY_RATE | FEATURES_APPLY_FRAMERATE | FEATURES_APPLY_CAMERA))
        node_encode_apply_rate(camera->encode);
    return 0;
}

/** Sets everything back that `apply` had done up to `step`. */
static void roll_back(struct node_camera *camera, const struct before *before, enum step step,
                      uint64_t now_ns)
{
    *camera->config = before->config;
    if (step == STEP_CAMERA && node_camera_reconfigure(camera, now_ns) < 0)
        node_camera_lose(camera, now_ns);
    node_controls_restore(&camera->controls, node_camera_ops(camera), &before->controls);
    if (step >= STEP_TRIGGER)
        node_camera_apply_trigger(camera, now_ns);
}

/** Tells subscribers what changed: whole lines, as many to an event as fit, because the log that
 * they fill is everybody's. */
static void announce_changes(const struct event_log *log, const char *lines, uint64_t now_ns)
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
        event_log_publish(log, &event, text, now_ns);
        lines += used;
    }
}

/** Why a software trigger is impossible once this configuration is in force, or NULL. */
static const char *find_refusal(struct node_camera *camera, const struct config *config)
{
    struct trigger_config settings = node_trigger_settings(config, node_camera_period_ns(camera));
    return trigger_refusal(&camera->trigger->engine, &settings);
}

int node_trigger_once(struct node_camera *camera, struct reply *out, uint64_t *id, uint64_t now_ns)
{
    int64_t status = trigger_software(&camera->trigger->engine, now_ns);
    if (status > 0) {
        *id = (uint64_t)status;
        return 0;
    }
    const char *why = find_refusal(camera, camera->config);
    *out = reply_begin(out->data, out->size);
    reply_add(out, "no trigger: %s", why != NULL ? why : "its settings do not fit this camera");
    return -WIRE_ERROR_UNAVAILABLE;
}

/** Applies a checked wish, or nothing of it. Not part of node_set(), whose stack has the wish. */
__attribute__((noinline)) static int apply_all(struct node_camera *camera,
                                               const struct features_wish *wish, struct reply *out,
                                               uint64_t now_ns)
{
    struct before before = {.config = *camera->config};
    enum step step;
    node_controls_save(&camera->controls, node_camera_ops(camera), &before.controls);
    int status = apply(camera, wish, &step, out, now_ns);
    if (status < 0)
        roll_back(camera, &before, step, now_ns);
    return status;
}

int node_set(struct node_camera *camera, const char *lines, struct reply *out, uint64_t now_ns)
{
    char text[WIRE_REQUEST_BYTES_MAX + 1];
    struct features_wish wish;
    uint64_t id;
    const char *why;
    snprintf(text, sizeof text, "%s", lines);
    int status = features_parse(camera, text, &wish, out);
    if (status < 0)
        return status;
    if ((wish.apply & (FEATURES_APPLY_CAMERA | FEATURES_APPLY_FRAMERATE)) &&
        !node_camera_may_reconfigure(camera, now_ns))
        return SERVER_REQUEST_LATER;
    bool has_command = wish.apply & FEATURES_APPLY_SOFTWARE_TRIGGER;
    if (has_command && (why = find_refusal(camera, &wish.config)) != NULL)
        return features_refuse(out, WIRE_ERROR_UNAVAILABLE, "TriggerSoftware", why);
    status = apply_all(camera, &wish, out, now_ns);
    if (status < 0)
        return status;
    features_report(camera, &wish, out);
    announce_changes(camera->log, out->data, now_ns);
    return has_command ? node_trigger_once(camera, out, &id, now_ns) : 0;
}
