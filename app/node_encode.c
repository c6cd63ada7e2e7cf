// SPDX-License-Identifier: MIT
// The encoder's job: one picture at a time, a slice per turn, straight into store blocks.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/node_private.h"
#include "hal/os/clock.h"

static uint8_t *next_block(void *user, uint32_t *bytes)
{
    struct node *node = user;
    *bytes = STORE_BLOCK_BYTES;
    return store_add_block(&node->store, node->job.record);
}

static_assert(HAL_CAMERA_DIMENSION_MAX <= JPEG_DIMENSION_MAX, "the encoder takes smaller pictures");
static_assert(HAL_CAMERA_PLANES_MAX <= JPEG_PLANES_MAX, "the encoder takes fewer planes");

/** The camera's frame as the encoder takes it. */
static struct jpeg_picture picture_of(const struct hal_frame *frame)
{
    struct jpeg_picture picture = {.width = frame->width, .height = frame->height};
    switch (frame->format) {
    case HAL_PIXEL_YUV420: picture.format = JPEG_FORMAT_YUV420; break;
    case HAL_PIXEL_NV12: picture.format = JPEG_FORMAT_NV12; break;
    case HAL_PIXEL_YUYV: picture.format = JPEG_FORMAT_YUYV; break;
    case HAL_PIXEL_GREY: picture.format = JPEG_FORMAT_GREY; break;
    default: picture.format = JPEG_FORMATS; break;
    }
    for (unsigned i = 0; i < HAL_CAMERA_PLANES_MAX; i++)
        picture.plane[i] = (struct jpeg_plane){
            .data = frame->plane[i].data,
            .stride = frame->plane[i].stride,
            .rows = frame->plane[i].rows,
        };
    return picture;
}

static int begin_encode(struct node *node, unsigned quality)
{
    const struct config *config = &node->config;
    const struct hal_frame *frame = &node->job.source.frame;
    struct jpeg_exif exif = {
        .realtime_ns = config->exif ? node_realtime_at(frame->timestamp_ns) : 0,
        .exposure_us = frame->exposure_us,
        .gain_milli = frame->gain_milli,
        .frame_id = node->store.next_frame_id + node->held_count,
        .model = node->camera->name,
    };
    struct jpeg_options options = {
        .quality = (uint8_t)quality,
        .chroma = config->chroma == CONFIG_CHROMA_422 ? JPEG_CHROMA_422 : JPEG_CHROMA_420,
        .restart_rows = (uint16_t)config->restart_rows,
        .bytes_max = rate_bytes_max(&node->rate),
        .exif = config->exif ? &exif : NULL,
    };
    struct jpeg_sink sink = {.next_block = next_block, .user = node};
    store_rewind(&node->store, node->job.record);
    node->job.encodes++;
    node->metrics.encodes++;
    struct jpeg_picture picture = picture_of(frame);
    return jpeg_encoder_begin(&node->encoder, &picture, &options, &sink);
}

static uint32_t since_us(uint64_t start_ns, uint64_t end_ns)
{
    uint64_t us = end_ns > start_ns ? (end_ns - start_ns) / NS_PER_US : 0;
    return (uint32_t)base_min_u64(us, UINT32_MAX);
}

/** Everything the FRAME message says about this picture. */
static struct wire_frame describe(struct node *node, unsigned quality, uint64_t done_ns)
{
    const struct node_job *job = &node->job;
    const struct hal_frame *frame = &job->source.frame;
    const struct trigger_decision *decision = &job->source.decision;
    uint32_t flags = node->server.clock_flags;
    if (frame->flags & HAL_FRAME_TORN)
        flags |= WIRE_FRAME_TORN;
    if (frame->flags & HAL_FRAME_NO_CLOCK)
        flags |= WIRE_FRAME_NO_SENSOR_CLOCK;
    if (decision->verdict == TRIGGER_ANSWER)
        flags |= strobe_line_flags(&node->strobe, decision->edge_ns,
                                   frame->timestamp_ns - frame->exposure_us * NS_PER_US,
                                   frame->timestamp_ns);
    return (struct wire_frame){
        .format = 1,
        .quality = (uint8_t)quality,
        .flags = flags,
        .boot_id = node->boot_id,
        .sensor_sequence = frame->sensor_sequence,
        .width = (uint16_t)frame->width,
        .height = (uint16_t)frame->height,
        .timestamp_ns = frame->timestamp_ns,
        .realtime_ns = node_realtime_at(frame->timestamp_ns),
        .exposure_us = frame->exposure_us,
        .gain_milli = frame->gain_milli,
        .digital_gain_milli = frame->digital_gain_milli,
        .frame_duration_us = frame->frame_duration_us,
        .colour_temperature_k = frame->colour_temperature_k,
        .lux_milli = frame->lux_milli,
        .lens_position_milli = frame->lens_position_milli,
        .acquired_us = since_us(frame->timestamp_ns, job->source.acquired_ns),
        .encode_start_us = since_us(frame->timestamp_ns, job->started_ns),
        .encoded_us = since_us(frame->timestamp_ns, done_ns),
        .trigger_id = decision->trigger_id,
        .edge_ns = decision->edge_ns,
        .exposure_delta_ns = decision->exposure_delta_ns,
        .trigger_source = (uint8_t)decision->source,
        .encodes = job->encodes,
        .burst_index = decision->burst_index,
    };
}

void node_drop_held(struct node *node)
{
    for (unsigned i = 0; i < node->held_count; i++)
        store_abort(&node->store, node->held[i].record);
    node->held_count = 0;
}

static void publish(struct node *node, struct store_record *record, struct wire_frame *fields,
                    uint32_t jpeg_bytes)
{
    if (node->announce_restart)
        fields->flags |= WIRE_FRAME_RESTARTED;
    node->announce_restart = false;
    store_publish_frame(&node->store, record, fields, jpeg_bytes);
    node->metrics.frames_captured++;
    node->metrics.jpeg_bytes += jpeg_bytes;
    node->metrics.quality = fields->quality;
    node->metrics.frame_bytes = jpeg_bytes;
    if (fields->flags & WIRE_FRAME_TORN)
        node->metrics.frames_torn++;
}

/** Keeps an encoded frame back, the oldest of too many is dropped. */
static void hold(struct node *node, const struct wire_frame *fields, uint32_t jpeg_bytes)
{
    // It was to be held when it was taken; a client may have changed the setting since then.
    if (node->config.pretrigger_frames == 0) {
        store_abort(&node->store, node->job.record);
        return;
    }
    if (node->held_count == node->config.pretrigger_frames) {
        store_abort(&node->store, node->held[0].record);
        node->held_count--;
        memmove(&node->held[0], &node->held[1], node->held_count * sizeof node->held[0]);
    }
    node->held[node->held_count++] =
        (struct node_held){.record = node->job.record, .fields = *fields, .jpeg_bytes = jpeg_bytes};
}

/** Publishes the frames from before a trigger that the engine claimed for it. */
static void publish_held(struct node *node, const struct wire_frame *answer, unsigned claimed)
{
    unsigned count = claimed < node->held_count ? claimed : node->held_count;
    unsigned first = node->held_count - count;
    for (unsigned i = 0; i < node->held_count; i++) {
        struct node_held *held = &node->held[i];
        if (i < first) {
            store_abort(&node->store, held->record);
            continue;
        }
        held->fields.trigger_id = answer->trigger_id;
        held->fields.trigger_source = answer->trigger_source;
        held->fields.edge_ns = answer->edge_ns;
        held->fields.burst_index = (int16_t)((int)i - (int)node->held_count);
        held->fields.exposure_delta_ns =
            (int64_t)(held->fields.timestamp_ns - held->fields.exposure_us * NS_PER_US -
                      answer->edge_ns);
        publish(node, held->record, &held->fields, held->jpeg_bytes);
    }
    node->held_count = 0;
}

static void finish_job(struct node *node)
{
    node->job.is_active = false;
    node->job.record = NULL;
    node->camera->release(&node->job.source.frame);
}

static void complete(struct node *node, unsigned quality, uint32_t jpeg_bytes)
{
    const struct trigger_decision *decision = &node->job.source.decision;
    uint64_t done_ns = clock_now_ns();
    struct wire_frame fields = describe(node, quality, done_ns);
    metrics_observe(&node->metrics.encode_time, done_ns - node->job.started_ns);
    if (decision->verdict == TRIGGER_HOLD) {
        hold(node, &fields, jpeg_bytes);
    } else {
        if (decision->pretrigger > 0)
            publish_held(node, &fields, decision->pretrigger);
        publish(node, node->job.record, &fields, jpeg_bytes);
    }
    if (decision->verdict == TRIGGER_ANSWER) {
        int64_t delta_ns = decision->exposure_delta_ns;
        metrics_observe(&node->metrics.edge_to_exposure, delta_ns > 0 ? (uint64_t)delta_ns : 0);
        metrics_observe(&node->metrics.edge_to_published, done_ns - decision->edge_ns);
        trigger_frame_done(&node->trigger, decision->trigger_id);
    }
    finish_job(node);
}

/** The picture cannot be delivered: says so, with its trigger, and goes on. */
static void fail(struct node *node, const char *why, uint64_t now_ns)
{
    const struct node_frame *source = &node->job.source;
    store_abort(&node->store, node->job.record);
    if (source->decision.pretrigger > 0)
        node_drop_held(node);
    struct wire_event event = {.kind = WIRE_EVENT_FRAME_LOST,
                               .trigger_source = (uint8_t)source->decision.source,
                               .first = source->decision.trigger_id,
                               .last = source->decision.trigger_id,
                               .sensor_sequence = source->frame.sensor_sequence};
    node_publish_event(node, &event, why, now_ns);
    if (source->decision.verdict == TRIGGER_ANSWER)
        trigger_frame_failed(&node->trigger, source->decision.trigger_id,
                             source->frame.sensor_sequence);
    finish_job(node);
}

static void fail_size(struct node *node, uint64_t now_ns)
{
    char why[128];
    snprintf(why, sizeof why, "frame does not fit into %llu bytes at quality %u",
             (unsigned long long)node->config.frame_bytes_max, node->config.quality_min);
    node->metrics.dropped_size++;
    fail(node, why, now_ns);
}

/** The rest of the block that is being filled. */
struct area {
    uint8_t *at;
    uint32_t room;
};

/** False when the store has no block left. */
static bool add_bytes(struct node *node, struct area *area, const uint8_t *data, uint32_t bytes)
{
    while (bytes > 0) {
        if (area->room == 0)
            area->at = next_block(node, &area->room);
        if (area->at == NULL)
            return false;
        uint32_t part = base_min_u32(area->room, bytes);
        memcpy(area->at, data, part);
        area->at += part;
        area->room -= part;
        data += part;
        bytes -= part;
    }
    return true;
}

/** The camera's own JPEG: into blocks as it is, but with Huffman tables where it has none. */
static void pass_through(struct node *node, uint64_t now_ns)
{
    const struct hal_frame *frame = &node->job.source.frame;
    const uint8_t *jpeg = frame->plane[0].data;
    uint32_t head = jpeg_find_missing_tables(jpeg, frame->bytes);
    uint32_t tables = head > 0 ? JPEG_TABLES_BYTES : 0;
    uint64_t bytes = (uint64_t)frame->bytes + tables;
    if (bytes > node->config.frame_bytes_max) {
        char why[128];
        snprintf(why, sizeof why, "the camera's JPEG has %llu bytes%s, frame_bytes_max is %llu",
                 (unsigned long long)bytes, tables > 0 ? " with Huffman tables" : "",
                 (unsigned long long)node->config.frame_bytes_max);
        node->metrics.dropped_size++;
        fail(node, why, now_ns);
        return;
    }
    struct area area = {0};
    if (!add_bytes(node, &area, jpeg, head) ||
        !add_bytes(node, &area, jpeg_encoder_tables(), tables) ||
        !add_bytes(node, &area, jpeg + head, frame->bytes - head)) {
        node->metrics.dropped_error++;
        fail(node, "the frame store is full of frames being sent", now_ns);
        return;
    }
    complete(node, 0, (uint32_t)bytes);
}

/** Starts the waiting picture. False when it needs no slices (done, or failed at once). */
static bool begin_job(struct node *node, uint64_t now_ns)
{
    node->job = (struct node_job){.is_active = true,
                                  .source = node->waiting[0],
                                  .record = store_begin(&node->store),
                                  .started_ns = now_ns};
    node->waiting_count--;
    memmove(&node->waiting[0], &node->waiting[1], node->waiting_count * sizeof node->waiting[0]);
    if (node->job.source.frame.format == HAL_PIXEL_MJPEG) {
        pass_through(node, now_ns);
        return false;
    }
    int status = begin_encode(node, rate_begin(&node->rate, node->job.source.frame.timestamp_ns));
    if (status == 0)
        return true;
    rate_cancel(&node->rate);
    node->metrics.dropped_error++;
    fail(node, jpeg_encoder_error(&node->encoder), now_ns);
    return false;
}

/** Starts the picture over at a lower quality. */
static void restart_job(struct node *node, unsigned quality, uint64_t now_ns)
{
    if (begin_encode(node, quality) == 0)
        return;
    rate_cancel(&node->rate);
    node->metrics.dropped_error++;
    fail(node, jpeg_encoder_error(&node->encoder), now_ns);
}

void node_encode_slice(struct node *node, uint64_t now_ns)
{
    if (!node->job.is_active && (node->waiting_count == 0 || !begin_job(node, now_ns)))
        return;
    struct jpeg_encoder *encoder = &node->encoder;
    int status = jpeg_encoder_slice(encoder);
    uint32_t rows_done = jpeg_encoder_rows_done(encoder);
    uint32_t rows_total = jpeg_encoder_rows_total(encoder);
    uint32_t bytes = jpeg_encoder_bytes(encoder);
    if (status == 0) {
        unsigned quality = rate_quality(&node->rate);
        rate_done(&node->rate, bytes);
        complete(node, quality, bytes);
        return;
    }
    unsigned lower = 0;
    if (status == 1) {
        lower = rate_watch(&node->rate, rows_done, rows_total, bytes);
        if (lower == 0)
            return;
    } else if (status == -EFBIG) {
        lower = rate_overflow(&node->rate, rows_done, rows_total);
        if (lower == 0) {
            fail_size(node, now_ns);
            return;
        }
    } else {
        rate_cancel(&node->rate);
        node->metrics.dropped_error++;
        fail(node, jpeg_encoder_error(encoder), now_ns);
        return;
    }
    restart_job(node, lower, now_ns);
}

void node_encode_abort(struct node *node)
{
    if (!node->job.is_active)
        return;
    jpeg_encoder_abort(&node->encoder);
    rate_cancel(&node->rate);
    store_abort(&node->store, node->job.record);
    node->job.is_active = false;
}
