// SPDX-License-Identifier: MIT
// From the camera to the queue of the encoder: check, decide, keep the newest.
#include <stdio.h>

#include "app/node_encode.h"

/** NULL when the frame can be encoded, else what is wrong with it, in `text`. */
static const char *find_fault(const struct hal_camera_config *got, const struct hal_frame *frame,
                              char *text, size_t size)
{
    if (frame->format != got->format || frame->width != got->width ||
        frame->height != got->height) {
        snprintf(text, size, "camera frame %u is %ux%u %s, configured was %ux%u %s",
                 frame->sensor_sequence, frame->width, frame->height,
                 hal_pixel_format_name(frame->format), got->width, got->height,
                 hal_pixel_format_name(got->format));
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

static void lose_frame(struct node_encode *encode, const struct hal_frame *frame, const char *why,
                       uint64_t now_ns)
{
    struct wire_event event = {.kind = WIRE_EVENT_FRAME_LOST,
                               .sensor_sequence = frame->sensor_sequence};
    encode->metrics->dropped_invalid++;
    event_log_publish(encode->log, &event, why, now_ns);
    encode->camera->release(frame);
}

static void enqueue(struct node_encode *encode, const struct queued_frame *source)
{
    struct queued_frame lost;
    if (frame_queue_offer(&encode->queue, source, encode->got->buffers, encode->job.is_active,
                          &lost))
        node_encode_refuse(encode, &lost);
}

/** The counter of the reason for which the frame is left out, NULL when it is to be encoded. Frames
 * that answer a trigger are never left out. */
static uint64_t *why_left_out(struct node_encode *encode, const struct queued_frame *source)
{
    uint64_t timestamp_ns = source->frame.timestamp_ns;
    switch (source->decision.verdict) {
    case TRIGGER_DROP: return &encode->metrics->dropped_untriggered;
    case TRIGGER_FREE:
        if (!pacer_is_due(&encode->pacer, timestamp_ns, encode->got->framerate,
                          encode->config->framerate))
            return &encode->metrics->dropped_paced;
        return rate_is_exceeded(&encode->rate, timestamp_ns) ? &encode->metrics->dropped_bit_rate
                                                             : NULL;
    case TRIGGER_HOLD:
    case TRIGGER_ANSWER: break;
    }
    return NULL;
}

void node_frame_take(struct node_encode *encode, const struct hal_frame *frame, uint64_t now_ns)
{
    char text[160];
    if (find_fault(encode->got, frame, text, sizeof text) != NULL) {
        lose_frame(encode, frame, text, now_ns);
        return;
    }
    struct queued_frame source = {.frame = *frame, .acquired_ns = now_ns};
    struct trigger_frame offered = {
        .start_ns = hal_frame_exposure_start_ns(frame),
        .end_ns = frame->timestamp_ns,
        .sensor_sequence = frame->sensor_sequence,
    };
    strobe_frame(&encode->trigger->strobe.plan, offered.start_ns);
    trigger_frame(&encode->trigger->engine, &offered, now_ns, &source.decision);
    uint64_t *dropped = why_left_out(encode, &source);
    if (dropped == NULL) {
        enqueue(encode, &source);
        return;
    }
    ++*dropped;
    encode->camera->release(frame);
}
