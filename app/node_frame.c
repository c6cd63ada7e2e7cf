// SPDX-License-Identifier: MIT
// From the camera to the queue of the encoder: take, check, decide, keep the newest.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/node_private.h"

#define SENSOR_KEEPS                                                                               \
    2u /**< with fewer buffers queued at the sensor, its next frame is an old                      \
            one */

static void give_back(struct node *node, const struct hal_frame *frame)
{
    node->camera->release(frame);
}

/** NULL when the frame can be encoded, else what is wrong with it, in `text`. */
static const char *find_fault(const struct node *node, const struct hal_frame *frame, char *text,
                              size_t size)
{
    if (frame->format != node->got.format || frame->width != node->got.width ||
        frame->height != node->got.height) {
        snprintf(text, size, "camera frame %u is %ux%u %s, configured was %ux%u %s",
                 frame->sensor_sequence, frame->width, frame->height,
                 hal_pixel_format_name(frame->format), node->got.width, node->got.height,
                 hal_pixel_format_name(node->got.format));
        return text;
    }
    if (frame->format == HAL_PIXEL_MJPEG) {
        if (frame->bytes >= 4 && frame->plane[0].data[0] == 0xFF && frame->plane[0].data[1] == 0xD8)
            return NULL;
        snprintf(text, size, "camera frame %u is no JPEG (%u bytes)", frame->sensor_sequence,
                 frame->bytes);
        return text;
    }
    for (unsigned i = 0; i < hal_pixel_format_planes(frame->format); i++) {
        struct hal_plane least =
            hal_pixel_format_plane(frame->format, frame->width, frame->height, i);
        if (frame->plane[i].stride >= least.stride && frame->plane[i].rows >= least.rows)
            continue;
        snprintf(text, size,
                 "plane %u of camera frame %u has stride %u and %u rows, %u and %u are needed", i,
                 frame->sensor_sequence, frame->plane[i].stride, frame->plane[i].rows, least.stride,
                 least.rows);
        return text;
    }
    return NULL;
}

static void lose_frame(struct node *node, const struct hal_frame *frame, const char *why,
                       uint64_t now_ns)
{
    struct wire_event event = {.kind = WIRE_EVENT_FRAME_LOST,
                               .sensor_sequence = frame->sensor_sequence};
    node_publish_event(node, &event, why, now_ns);
}

static void remove_waiting(struct node *node, unsigned index)
{
    give_back(node, &node->waiting[index].frame);
    node->waiting_count--;
    memmove(&node->waiting[index], &node->waiting[index + 1],
            (node->waiting_count - index) * sizeof node->waiting[0]);
}

/** The encoder cannot take this frame: for a trigger that is an outcome, for others a count. */
static void refuse(struct node *node, const struct node_frame *source)
{
    node->metrics.dropped_busy++;
    if (source->decision.verdict == TRIGGER_ANSWER)
        trigger_frame_failed(&node->trigger, source->decision.trigger_id,
                             source->frame.sensor_sequence);
}

/** Makes room by giving up a waiting frame that is worth less than a trigger's answer. */
static bool displace(struct node *node)
{
    for (unsigned i = 0; i < node->waiting_count; i++) {
        if (node->waiting[i].decision.verdict == TRIGGER_ANSWER)
            continue;
        refuse(node, &node->waiting[i]);
        remove_waiting(node, i);
        return true;
    }
    return false;
}

/** Queues a frame. Free-running frames never queue up: the newest replaces the one that waits. */
static void enqueue(struct node *node, const struct node_frame *source)
{
    unsigned room = node->got.buffers > SENSOR_KEEPS ? node->got.buffers - SENSOR_KEEPS : 1;
    bool is_full = node->waiting_count + (node->job.is_active ? 1 : 0) >= room;
    enum trigger_verdict verdict = source->decision.verdict;
    if (verdict == TRIGGER_FREE && node->waiting_count > 0)
        is_full = !displace(node);
    else if (is_full && verdict == TRIGGER_ANSWER)
        is_full = !displace(node);
    // With a single spare buffer the encoder holds it: one frame more is still better than none.
    if (is_full && node->waiting_count == 0 && verdict != TRIGGER_HOLD)
        is_full = false;
    if (is_full) {
        refuse(node, source);
        give_back(node, &source->frame);
        return;
    }
    node->waiting[node->waiting_count++] = *source;
}

/** Whether a free-running frame is due; the camera may be faster than AcquisitionFrameRate. */
static bool is_paced_out(struct node *node, const struct hal_frame *frame)
{
    uint64_t camera_ns = (uint64_t)((double)NS_PER_S / node->got.framerate);
    uint64_t wanted_ns = (uint64_t)((double)NS_PER_S / node->config.framerate);
    if (frame->timestamp_ns + camera_ns / 2 < node->pace_due_ns)
        return true;
    uint64_t late_ns = frame->timestamp_ns - node->pace_due_ns;
    // In step with the wish, unless the camera fell behind it by a period.
    node->pace_due_ns = late_ns < wanted_ns || frame->timestamp_ns < node->pace_due_ns
                            ? node->pace_due_ns + wanted_ns
                            : frame->timestamp_ns + wanted_ns;
    return false;
}

static void count_frame(struct node *node, const struct hal_frame *frame, uint64_t now_ns)
{
    struct metrics *metrics = &node->metrics;
    metrics->frames_acquired++;
    if (!node->is_first_frame)
        metrics->dropped_sensor += frame->sensor_sequence - node->last_sensor_sequence - 1;
    node->last_sensor_sequence = frame->sensor_sequence;
    node->last_frame_duration_us = frame->frame_duration_us;
    node->frames_at_rate++;
    if (now_ns > frame->timestamp_ns)
        metrics_observe(&metrics->acquire_latency, now_ns - frame->timestamp_ns);
    supervisor_frame(&node->supervisor, now_ns);
    loop_timer_set(&node->loop, node->camera_timer, supervisor_deadline(&node->supervisor));
    if (node->camera_state != WIRE_CAMERA_STREAMING &&
        node->camera_state != WIRE_CAMERA_RECONFIGURED) {
        struct wire_event event = {.kind = WIRE_EVENT_CAMERA,
                                   .camera_state = WIRE_CAMERA_STREAMING};
        node_publish_event(node, &event, "frames are coming", now_ns);
    }
    node->camera_state = WIRE_CAMERA_STREAMING;
}

static void take_frame(struct node *node, const struct hal_frame *frame, uint64_t now_ns)
{
    char text[160];
    count_frame(node, frame, now_ns);
    if (find_fault(node, frame, text, sizeof text) != NULL) {
        node->metrics.dropped_invalid++;
        lose_frame(node, frame, text, now_ns);
        give_back(node, frame);
        return;
    }
    struct node_frame source = {.frame = *frame, .acquired_ns = now_ns};
    struct trigger_frame offered = {
        .start_ns = frame->timestamp_ns - frame->exposure_us * NS_PER_US,
        .end_ns = frame->timestamp_ns,
        .sensor_sequence = frame->sensor_sequence,
    };
    strobe_frame(&node->strobe.plan, offered.start_ns);
    trigger_frame(&node->trigger, &offered, now_ns, &source.decision);
    switch (source.decision.verdict) {
    case TRIGGER_FREE:
        if (!is_paced_out(node, frame)) {
            enqueue(node, &source);
            return;
        }
        node->metrics.dropped_paced++;
        break;
    case TRIGGER_HOLD:
    case TRIGGER_ANSWER: enqueue(node, &source); return;
    case TRIGGER_DROP: node->metrics.dropped_untriggered++; break;
    }
    give_back(node, frame);
}

void node_take_frames(struct node *node, uint64_t now_ns)
{
    trigger_line_poll(&node->line, now_ns);
    struct hal_frame frame;
    int status = 0;
    while (node->is_camera_open && (status = node->camera->acquire(&frame)) > 0) {
        take_frame(node, &frame, now_ns);
        node->is_first_frame = false;
    }
    if (status == -ENODEV) {
        struct wire_event event = {.kind = WIRE_EVENT_CAMERA, .camera_state = WIRE_CAMERA_ABSENT};
        node->camera_state = WIRE_CAMERA_ABSENT;
        node->said_absent = true;
        node_publish_event(node, &event, node->camera->last_error(), now_ns);
        node_camera_close(node, now_ns);
    } else if (status < 0) {
        log_warning("camera: %s", node->camera->last_error());
        supervisor_stream_error(&node->supervisor);
        loop_fd_modify(&node->loop, node->camera_token, 0); // until the stream is started again
    }
    if (status < 0)
        loop_timer_set(&node->loop, node->camera_timer, now_ns);
}

void node_drop_frames(struct node *node)
{
    while (node->waiting_count > 0) {
        refuse(node, &node->waiting[0]);
        remove_waiting(node, 0);
    }
    if (node->job.is_active) {
        struct node_frame source = node->job.source;
        node_encode_abort(node);
        refuse(node, &source);
        give_back(node, &source.frame);
    }
    node_drop_held(node);
}

void node_report_outcomes(struct node *node, uint64_t now_ns)
{
    struct trigger_outcome outcome;
    while (trigger_pop_outcome(&node->trigger, &outcome)) {
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
        node_publish_event(node, &event, "", now_ns);
    }
}
