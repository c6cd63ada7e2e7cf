// SPDX-License-Identifier: MIT
#include "tools/rec/sidecar.h"

#include "tools/common/json.h"
#include "tools/rec/crc32c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FORMAT = 2,
    /** So that the line stays below REC_LINE_BYTES_MAX, escaped as it may be. */
    TEXT_BYTES_MAX = REC_LINE_BYTES_MAX / 8
};

// Times are text, as in protobuf's JSON mapping. Readers that take numbers for doubles (jq 1.6,
// JavaScript, pandas) would lose up to 128 ns of an integer.

/** A moment: "2026-11-20T14:30:00.123456789Z". */
static const char *realtime(char out[REC_TIME_SIZE], uint64_t realtime_ns)
{
    return rec_time_print(out, realtime_ns, REC_DATE);
}

/** A time of the node's monotonic clock: "5632.659833519s". */
static const char *monotonic(char out[REC_TIME_SIZE], uint64_t ns)
{
    snprintf(out, REC_TIME_SIZE, "%" PRIu64 ".%09" PRIu64 "s", ns / NS_PER_S, ns % NS_PER_S);
    return out;
}

static void put_realtime(json_t **line, const char *name, uint64_t realtime_ns)
{
    char text[REC_TIME_SIZE];
    json_put_text(line, name, realtime(text, realtime_ns));
}

static void put_monotonic(json_t **line, const char *name, uint64_t ns)
{
    char text[REC_TIME_SIZE];
    json_put_text(line, name, monotonic(text, ns));
}

static json_t *begin(const char *type)
{
    json_t *line = json_object();
    json_put_text(&line, "type", type);
    return line;
}

json_t *rec_position_list(const struct rec_position *position)
{
    json_t *list = json_array();
    for (unsigned i = 0; position->is_known && i < position->count; i++) {
        json_t *boot = json_object();
        json_put_id(&boot, "boot_id", position->boots[i].boot_id);
        json_put_u64(&boot, "last", position->boots[i].last);
        json_put_flag(&boot, "is_closed", position->boots[i].is_closed);
        json_put_item(&list, boot);
    }
    return list;
}

char *rec_sidecar_segment(const struct rec_source *source, const struct rec_position *position,
                          const char *media, uint64_t serial)
{
    char recorder[64];
    json_t *line = begin("segment");
    snprintf(recorder, sizeof recorder, "pinhole-rec %s", pinhole_version());
    json_put_u64(&line, "format", FORMAT);
    json_put_text(&line, "camera", source->camera);
    json_put_text(&line, "address", source->address != NULL ? source->address : "");
    if (source->device_serial[0] != '\0')
        json_put_text(&line, "device_serial", source->device_serial);
    json_put_u64(&line, "serial", serial);
    json_put_text(&line, "container", rec_container_names[source->container]);
    json_put_text(&line, "media", media);
    json_put_id(&line, "boot_id", position->count > 0 ? position->boots[0].boot_id : 0);
    json_put(&line, "boots", rec_position_list(position));
    put_realtime(&line, "started", clock_realtime_ns());
    json_put_text(&line, "recorder", recorder);
    return json_line(line);
}

// --- a frame ------------------------------------------------------------------------------------
// Its line is printed straight: there is one for each frame, and of jansson's objects it would take
// a tenth of the recorder's CPU time. No text in it needs escapes.

static void print_u64(FILE *line, const char *name, uint64_t value)
{
    if (value <= INT64_MAX)
        fprintf(line, ",\"%s\":%" PRIu64, name, value);
    else // as json_put_u64() does
        fprintf(line, ",\"%s\":\"%" PRIu64 "\"", name, value);
}

static void print_text(FILE *line, const char *name, const char *text)
{
    fprintf(line, ",\"%s\":\"%s\"", name, text);
}

static void print_numbers(FILE *line, const struct pinhole_frame *frame)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"frame_id", frame->frame_id},
        {"sensor_sequence", frame->sensor_sequence},
        {"width", frame->width},
        {"height", frame->height},
        {"bytes", frame->jpeg_bytes},
        {"crc32c", rec_crc32c(frame->jpeg, frame->jpeg_bytes)},
        {"quality", frame->quality},
        {"flags", frame->flags},
        {"exposure_us", frame->exposure_us},
        {"gain_milli", frame->gain_milli},
        {"digital_gain_milli", frame->digital_gain_milli},
        {"frame_duration_us", frame->frame_duration_us},
        {"colour_temperature_k", frame->colour_temperature_k},
        {"lux_milli", frame->lux_milli},
        {"lens_position_milli", frame->lens_position_milli},
        {"acquired_us", frame->acquired_us},
        {"encode_start_us", frame->encode_start_us},
        {"encoded_us", frame->encoded_us},
        {"queued_us", frame->queued_us},
        {"encodes", frame->encodes},
        {"skipped", frame->skipped},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        print_u64(line, numbers[i].name, numbers[i].value);
}

static void print_shape(FILE *line, const struct pinhole_frame *frame)
{
    struct rec_shape shape;
    char sampling[32];
    if (!rec_shape_read(frame->jpeg, frame->jpeg_bytes, &shape))
        return;
    print_u64(line, "components", shape.components);
    print_text(line, "sampling", rec_sampling_name(&shape, sampling, sizeof sampling));
}

static void print_answered_trigger(FILE *line, const struct pinhole_frame *frame)
{
    char edge[REC_TIME_SIZE];
    print_u64(line, "trigger_id", frame->trigger_id);
    print_text(line, "source", pinhole_source_name(frame->trigger_source));
    print_text(line, "edge", monotonic(edge, frame->edge_ns));
    fprintf(line, ",\"exposure_delta_ns\":%" PRId64 ",\"burst_index\":%" PRId64,
            frame->exposure_delta_ns, (int64_t)frame->burst_index);
}

static void print_place(FILE *line, const struct rec_place *place)
{
    print_u64(line, "pts_ns", place->pts_ns);
    if (place->file[0] != '\0') {
        print_text(line, "file", place->file);
    } else {
        print_u64(line, "offset", place->offset);
        print_u64(line, "end", place->end);
    }
}

char *rec_sidecar_frame(const struct pinhole_frame *frame, const struct rec_place *place)
{
    char *text = NULL, time[REC_TIME_SIZE];
    size_t bytes;
    FILE *line = open_memstream(&text, &bytes);
    if (line == NULL)
        return NULL;
    fprintf(line, "{\"type\":\"frame\",\"boot_id\":\"%016" PRIx64 "\"", frame->boot_id);
    print_u64(line, "sequence", frame->sequence);
    print_text(line, "captured", monotonic(time, frame->timestamp_ns));
    print_text(line, "realtime", realtime(time, frame->realtime_ns));
    print_numbers(line, frame);
    print_shape(line, frame);
    if (frame->trigger_id != 0)
        print_answered_trigger(line, frame);
    print_place(line, place);
    fputs("}\n", line);
    const bool is_whole = ferror(line) == 0;
    if (fclose(line) == 0 && is_whole)
        return text;
    free(text);
    return NULL;
}

// --- what is not a frame ------------------------------------------------------------------------

static void put_trigger(json_t **line, const struct pinhole_event *e)
{
    json_put_u64(line, "first_trigger", e->first);
    json_put_u64(line, "last_trigger", e->last);
    json_put_text(line, "source", pinhole_source_name(e->trigger_source));
    json_put_text(line, "outcome", pinhole_outcome_name(e->outcome));
    put_monotonic(line, "edge", e->edge_ns);
}

char *rec_sidecar_event(const struct pinhole_event *e)
{
    char text[TEXT_BYTES_MAX];
    json_t *line = begin("event");
    json_put_text(&line, "kind", pinhole_event_name(e->kind));
    json_put_id(&line, "boot_id", e->boot_id);
    json_put_u64(&line, "sequence", e->sequence);
    put_monotonic(&line, "happened", e->monotonic_ns);
    put_realtime(&line, "realtime", e->realtime_ns);
    if (e->kind == PINHOLE_EVENT_TRIGGER)
        put_trigger(&line, e);
    if (e->kind == PINHOLE_EVENT_CAMERA)
        json_put_text(&line, "camera_state", pinhole_camera_state_name(e->camera_state));
    if (e->sensor_sequence != 0)
        json_put_u64(&line, "sensor_sequence", e->sensor_sequence);
    snprintf(text, sizeof text, "%s", e->text);
    json_put_text(&line, "text", text);
    return json_line(line);
}

static char *range_line(const char *type, uint64_t boot_id, uint64_t first, uint64_t last,
                        const char *reason)
{
    json_t *line = begin(type);
    json_put_id(&line, "boot_id", boot_id);
    json_put_u64(&line, "first", first);
    if (last != 0)
        json_put_u64(&line, "last", last);
    else
        json_put(&line, "last", json_null());
    json_put_text(&line, "reason", reason);
    return json_line(line);
}

char *rec_sidecar_missing(uint64_t boot_id, uint64_t first, uint64_t last, const char *reason)
{
    return range_line("missing", boot_id, first, last, reason);
}

char *rec_sidecar_left_out(uint64_t boot_id, uint64_t first, uint64_t last)
{
    return range_line("left_out", boot_id, first, last, "interval");
}

char *rec_sidecar_corrected(uint64_t boot_id, uint64_t last, const char *reason)
{
    json_t *line = begin("corrected");
    json_put_id(&line, "boot_id", boot_id);
    json_put_u64(&line, "last", last);
    json_put_text(&line, "reason", reason);
    return json_line(line);
}

char *rec_sidecar_boot(uint64_t boot_id)
{
    json_t *line = begin("boot");
    json_put_id(&line, "boot_id", boot_id);
    put_realtime(&line, "noticed", clock_realtime_ns());
    return json_line(line);
}

char *rec_sidecar_link(const char *state, const char *text)
{
    json_t *line = begin("link");
    json_put_text(&line, "state", state);
    put_realtime(&line, "realtime", clock_realtime_ns());
    json_put_text(&line, "text", text);
    return json_line(line);
}

char *rec_sidecar_end(const char *type, uint64_t frames, const char *reason)
{
    json_t *line = begin(type);
    json_put_u64(&line, "frames", frames);
    put_realtime(&line, "realtime", clock_realtime_ns());
    json_put_flag(&line, "clock_synchronized", clock_is_synchronized());
    json_put_text(&line, "reason", reason);
    return json_line(line);
}

static void put_place(json_t **line, const struct rec_place *place)
{
    json_put_u64(line, "pts_ns", place->pts_ns);
    if (place->file[0] != '\0') {
        json_put_text(line, "file", place->file);
    } else {
        json_put_u64(line, "offset", place->offset);
        json_put_u64(line, "end", place->end);
    }
}

char *rec_sidecar_moved(const char *line, size_t bytes, const struct rec_place *place)
{
    json_t *object = json_loadb(line, bytes, 0, NULL);
    put_place(&object, place);
    return json_line(object);
}
