// SPDX-License-Identifier: MIT
// The encoder's job: one picture at a time, some slices per turn, straight into store blocks.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/node_encode.h"
#include "hal/os/clock.h"

#define SOI_BYTES 2u /**< the marker that a JPEG begins with */

static uint8_t *next_block(void *user, uint32_t *bytes)
{
    struct node_encode *encode = user;
    *bytes = STORE_BLOCK_BYTES;
    return store_add_block(encode->store, encode->job.record);
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

/** What the EXIF block says of the picture under way. */
static struct jpeg_exif exif_of(const struct node_encode *encode)
{
    const struct hal_frame *frame = &encode->job.source.frame;
    return (struct jpeg_exif){
        .realtime_ns = clock_realtime_at(frame->timestamp_ns),
        .exposure_us = frame->exposure_us,
        .gain_milli = frame->gain_milli,
        .frame_id = encode->store->next_frame_id + encode->pretrigger.count,
        .boot_id = encode->log->boot_id,
        .model = encode->camera->model(),
    };
}

static int begin_encode(struct node_encode *encode, unsigned quality)
{
    const struct config *config = encode->config;
    struct jpeg_exif exif;
    if (config->exif)
        exif = exif_of(encode);
    struct jpeg_options options = {
        .quality = (uint8_t)quality,
        .chroma = config->chroma == CONFIG_CHROMA_422 ? JPEG_CHROMA_422 : JPEG_CHROMA_420,
        .restart_rows = (uint16_t)config->restart_rows,
        .bytes_max = rate_bytes_max(&encode->rate),
        .exif = config->exif ? &exif : NULL,
    };
    struct jpeg_sink sink = {.next_block = next_block, .user = encode};
    store_rewind(encode->store, encode->job.record);
    encode->job.encodes++;
    encode->metrics->encodes++;
    struct jpeg_picture picture = picture_of(&encode->job.source.frame);
    return jpeg_encoder_begin(&encode->encoder, &picture, &options, &sink);
}

static uint32_t since_us(uint64_t start_ns, uint64_t end_ns)
{
    uint64_t us = end_ns > start_ns ? (end_ns - start_ns) / NS_PER_US : 0;
    return (uint32_t)base_min_u64(us, UINT32_MAX);
}

/** Everything the FRAME message says about this picture. */
static struct wire_frame describe(struct node_encode *encode, unsigned quality, uint64_t done_ns)
{
    const struct node_job *job = &encode->job;
    const struct hal_frame *frame = &job->source.frame;
    const struct trigger_decision *decision = &job->source.decision;
    uint32_t flags = *encode->clock_flags;
    if (frame->flags & HAL_FRAME_TORN)
        flags |= WIRE_FRAME_TORN;
    if (frame->flags & HAL_FRAME_NO_CLOCK)
        flags |= WIRE_FRAME_NO_SENSOR_CLOCK;
    if (decision->verdict == TRIGGER_ANSWER)
        flags |= strobe_line_flags(&encode->trigger->strobe, decision->edge_ns,
                                   hal_frame_exposure_start_ns(frame), frame->timestamp_ns);
    return (struct wire_frame){
        .format = 1,
        .quality = (uint8_t)quality,
        .flags = flags,
        .boot_id = encode->log->boot_id,
        .sensor_sequence = frame->sensor_sequence,
        .width = (uint16_t)frame->width,
        .height = (uint16_t)frame->height,
        .timestamp_ns = frame->timestamp_ns,
        .realtime_ns = clock_realtime_at(frame->timestamp_ns),
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

void node_encode_drop_held(struct node_encode *encode)
{
    struct held_frame held;
    while (pretrigger_pop(&encode->pretrigger, &held))
        store_abort(encode->store, held.record);
}

static void publish(struct node_encode *encode, struct store_record *record,
                    struct wire_frame *fields, uint32_t jpeg_bytes)
{
    if (encode->announces_restart)
        fields->flags |= WIRE_FRAME_RESTARTED;
    encode->announces_restart = false;
    store_publish_frame(encode->store, record, fields, jpeg_bytes);
    encode->metrics->frames_captured++;
    encode->metrics->jpeg_bytes += jpeg_bytes;
    encode->metrics->quality = fields->quality;
    encode->metrics->frame_bytes = jpeg_bytes;
    if (fields->flags & WIRE_FRAME_TORN)
        encode->metrics->frames_torn++;
}

/** Keeps the encoded frame back for a trigger that may come. */
static void hold(struct node_encode *encode, const struct wire_frame *fields, uint32_t jpeg_bytes)
{
    struct held_frame frame = {
        .record = encode->job.record, .fields = *fields, .jpeg_bytes = jpeg_bytes};
    struct store_record *lost =
        pretrigger_hold(&encode->pretrigger, &frame, encode->config->pretrigger_frames);
    if (lost != NULL)
        store_abort(encode->store, lost);
}

/** Publishes the frames from before a trigger that the engine claimed for it, aborts the others. */
static void publish_held(struct node_encode *encode, const struct wire_frame *answer,
                         unsigned claimed)
{
    struct held_frame held;
    pretrigger_claim(&encode->pretrigger, answer, claimed);
    while (pretrigger_pop(&encode->pretrigger, &held))
        if (held.is_claimed)
            publish(encode, held.record, &held.fields, held.jpeg_bytes);
        else
            store_abort(encode->store, held.record);
}

static void finish_job(struct node_encode *encode)
{
    encode->job.is_active = false;
    encode->job.record = NULL;
    encode->camera->release(&encode->job.source.frame);
}

static void complete(struct node_encode *encode, unsigned quality, uint32_t jpeg_bytes)
{
    const struct trigger_decision *decision = &encode->job.source.decision;
    uint64_t done_ns = clock_now_ns();
    struct wire_frame fields = describe(encode, quality, done_ns);
    metrics_observe(&encode->metrics->encode_time, done_ns - encode->job.started_ns);
    if (decision->verdict == TRIGGER_HOLD) {
        hold(encode, &fields, jpeg_bytes);
    } else {
        if (decision->pretrigger > 0)
            publish_held(encode, &fields, decision->pretrigger);
        publish(encode, encode->job.record, &fields, jpeg_bytes);
    }
    if (decision->verdict == TRIGGER_ANSWER) {
        int64_t delta_ns = decision->exposure_delta_ns;
        metrics_observe(&encode->metrics->edge_to_exposure, delta_ns > 0 ? (uint64_t)delta_ns : 0);
        metrics_observe(&encode->metrics->edge_to_published, done_ns - decision->edge_ns);
        trigger_frame_done(&encode->trigger->engine, decision->trigger_id);
    }
    finish_job(encode);
}

/** The picture cannot be delivered: says so, with its trigger, and goes on. */
static void fail(struct node_encode *encode, const char *why, uint64_t now_ns)
{
    const struct queued_frame *source = &encode->job.source;
    store_abort(encode->store, encode->job.record);
    if (source->decision.pretrigger > 0)
        node_encode_drop_held(encode);
    struct wire_event event = {.kind = WIRE_EVENT_FRAME_LOST,
                               .trigger_source = (uint8_t)source->decision.source,
                               .first = source->decision.trigger_id,
                               .last = source->decision.trigger_id,
                               .sensor_sequence = source->frame.sensor_sequence};
    event_log_publish(encode->log, &event, why, now_ns);
    if (source->decision.verdict == TRIGGER_ANSWER)
        trigger_frame_failed(&encode->trigger->engine, source->decision.trigger_id,
                             source->frame.sensor_sequence);
    finish_job(encode);
}

static void fail_size(struct node_encode *encode, uint64_t now_ns)
{
    char why[128];
    snprintf(why, sizeof why, "frame does not fit into %llu bytes at quality %u",
             (unsigned long long)encode->config->frame_bytes_max, encode->config->quality_min);
    encode->metrics->dropped_size++;
    fail(encode, why, now_ns);
}

/** The rest of the block that is being filled. */
struct area {
    uint8_t *at;
    uint32_t room;
};

/** False when the store has no block left. */
static bool add_bytes(struct node_encode *encode, struct area *area, const uint8_t *data,
                      uint32_t bytes)
{
    while (bytes > 0) {
        if (area->room == 0)
            area->at = next_block(encode, &area->room);
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

/** Fails a camera's JPEG that is no baseline JPEG or exceeds the cap. */
static bool is_deliverable(struct node_encode *encode, const struct jpeg_survey *survey,
                           uint64_t bytes, uint64_t now_ns)
{
    const struct hal_frame *frame = &encode->job.source.frame;
    char why[160];
    if (survey->frame != 0 && survey->frame != JPEG_SOF_BASELINE) {
        snprintf(why, sizeof why, "camera frame %u is a %s JPEG (SOF%u), baseline is needed",
                 frame->sensor_sequence, jpeg_process_name(survey->frame),
                 (unsigned)survey->frame - JPEG_SOF_BASELINE);
        encode->metrics->dropped_invalid++;
        fail(encode, why, now_ns);
        return false;
    }
    if (bytes > encode->config->frame_bytes_max) {
        snprintf(why, sizeof why, "the camera's JPEG has %llu bytes%s, frame_bytes_max is %llu",
                 (unsigned long long)bytes,
                 jpeg_find_missing_tables(survey) > 0 ? " with Huffman tables" : "",
                 (unsigned long long)encode->config->frame_bytes_max);
        encode->metrics->dropped_size++;
        fail(encode, why, now_ns);
        return false;
    }
    return true;
}

/** A piece of the JPEG that a camera's own becomes. */
struct piece {
    const uint8_t *data;
    uint32_t bytes;
};

/** Copies the camera's own JPEG into blocks. Adds Huffman tables where it has none, and an EXIF
 * block where that is wanted and it has none. */
static void pass_through(struct node_encode *encode, uint64_t now_ns)
{
    const struct hal_frame *frame = &encode->job.source.frame;
    const uint8_t *jpeg = frame->plane[0].data;
    struct jpeg_survey survey = jpeg_survey_headers(jpeg, frame->bytes);
    uint32_t scan = jpeg_find_missing_tables(&survey);
    uint8_t segment[JPEG_EXIF_SEGMENT_BYTES];
    uint32_t exif_bytes = 0;
    if (encode->config->exif && !survey.has_exif) {
        struct jpeg_exif exif = exif_of(encode);
        exif_bytes = jpeg_exif_segment(segment, &exif);
    }
    // The EXIF block goes behind SOI, the tables before the scan.
    uint32_t begun = exif_bytes > 0 ? SOI_BYTES : 0;
    uint32_t headed = scan > 0 ? scan : begun;
    const struct piece piece[] = {
        {jpeg, begun},
        {segment, exif_bytes},
        {jpeg + begun, headed - begun},
        {jpeg_encoder_tables(), scan > 0 ? JPEG_TABLES_BYTES : 0},
        {jpeg + headed, frame->bytes - headed},
    };
    uint64_t bytes = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(piece); i++)
        bytes += piece[i].bytes;
    if (!is_deliverable(encode, &survey, bytes, now_ns))
        return;
    struct area area = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(piece); i++)
        if (!add_bytes(encode, &area, piece[i].data, piece[i].bytes)) {
            encode->metrics->dropped_error++;
            fail(encode, "the frame store is full of frames being sent", now_ns);
            return;
        }
    complete(encode, 0, (uint32_t)bytes);
}

/** The encoder cannot go on with this picture. */
static void fail_encoder(struct node_encode *encode, uint64_t now_ns)
{
    rate_cancel(&encode->rate);
    encode->metrics->dropped_error++;
    fail(encode, jpeg_encoder_error(&encode->encoder), now_ns);
}

/** Starts the oldest waiting picture. False when there is none, or it needs no slices (done, or
 * failed at once). */
static bool begin_job(struct node_encode *encode, uint64_t now_ns)
{
    struct queued_frame source;
    if (!frame_queue_take(&encode->queue, &source))
        return false;
    encode->job = (struct node_job){.is_active = true,
                                    .source = source,
                                    .record = store_begin(encode->store),
                                    .started_ns = now_ns};
    if (source.frame.format == HAL_PIXEL_MJPEG) {
        pass_through(encode, now_ns);
        return false;
    }
    if (begin_encode(encode, rate_begin(&encode->rate, source.frame.timestamp_ns)) == 0)
        return true;
    fail_encoder(encode, now_ns);
    return false;
}

static void encode_slice(struct node_encode *encode, uint64_t now_ns)
{
    struct jpeg_encoder *encoder = &encode->encoder;
    int status = jpeg_encoder_slice(encoder);
    uint32_t rows_done = jpeg_encoder_rows_done(encoder);
    uint32_t rows_total = jpeg_encoder_rows_total(encoder);
    uint32_t bytes = jpeg_encoder_bytes(encoder);
    if (status == 0) {
        unsigned quality = rate_quality(&encode->rate);
        rate_done(&encode->rate, bytes);
        complete(encode, quality, bytes);
        return;
    }
    unsigned lower = 0; // quality to start over with
    if (status == 1) {
        lower = rate_watch(&encode->rate, rows_done, rows_total, bytes);
        if (lower == 0)
            return;
    } else if (status == -EFBIG) {
        lower = rate_overflow(&encode->rate, rows_done, rows_total);
        if (lower == 0) {
            fail_size(encode, now_ns);
            return;
        }
    }
    if (lower == 0 || begin_encode(encode, lower) < 0)
        fail_encoder(encode, now_ns);
}

void node_encode_turn(struct node_encode *encode, uint64_t now_ns)
{
    if (!encode->job.is_active && !begin_job(encode, now_ns))
        return;
    uint64_t slice_start_ns, slice_end_ns = now_ns;
    do {
        slice_start_ns = slice_end_ns;
        encode_slice(encode, now_ns);
        slice_end_ns = clock_now_ns();
    } while (encode->job.is_active &&
             2 * slice_end_ns - slice_start_ns <= now_ns + NODE_ENCODE_TURN_NS);
}

void node_encode_refuse(struct node_encode *encode, const struct queued_frame *source)
{
    encode->metrics->dropped_busy++;
    if (source->decision.verdict == TRIGGER_ANSWER)
        trigger_frame_failed(&encode->trigger->engine, source->decision.trigger_id,
                             source->frame.sensor_sequence);
    encode->camera->release(&source->frame);
}

/** Abandons the picture under way; its frame is refused like those that wait. */
static void abort_job(struct node_encode *encode)
{
    jpeg_encoder_abort(&encode->encoder);
    rate_cancel(&encode->rate);
    store_abort(encode->store, encode->job.record);
    encode->job.is_active = false;
    node_encode_refuse(encode, &encode->job.source);
}

void node_encode_drop_all(struct node_encode *encode)
{
    struct queued_frame waiting;
    while (frame_queue_take(&encode->queue, &waiting))
        node_encode_refuse(encode, &waiting);
    if (encode->job.is_active)
        abort_job(encode);
    node_encode_drop_held(encode);
}

void node_encode_apply_rate(struct node_encode *encode)
{
    const struct config *config = encode->config;
    struct rate_config wish = {
        .quality_min = (uint8_t)config->quality_min,
        .quality_max = (uint8_t)config->quality,
        .frame_bytes_max = (uint32_t)config->frame_bytes_max,
        .bits_per_second = config->bit_rate,
        .framerate = config->trigger_mode == CONFIG_TRIGGER_ON ? 0 : config->framerate,
    };
    rate_configure(&encode->rate, &wish);
}
