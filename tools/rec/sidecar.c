// SPDX-License-Identifier: MIT
#include "tools/rec/sidecar.h"

#include "tools/common/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** No line is longer. An event's text is cut so that its line stays below, escaped as it may be. */
enum { LINE_BYTES_MAX = 128 << 10, TEXT_BYTES_MAX = 16 << 10 };

static const char *const container_names[] = {"matroska", "mp4", "jpeg"};

static json_t *begin(const char *type)
{
    json_t *line = json_object();
    json_put_text(&line, "type", type);
    return line;
}

char *rec_sidecar_segment(const struct rec_source *source, const char *media, uint64_t boot_id,
                          uint64_t serial)
{
    char recorder[64];
    json_t *line = begin("segment");
    snprintf(recorder, sizeof recorder, "pinhole-rec %s", pinhole_version());
    json_put_u64(&line, "format", 1);
    json_put_text(&line, "camera", source->name);
    json_put_text(&line, "address", source->address != NULL ? source->address : "");
    json_put_u64(&line, "serial", serial);
    json_put_text(&line, "container", container_names[source->container]);
    json_put_text(&line, "media", media);
    json_put_id(&line, "boot_id", boot_id);
    json_put_u64(&line, "started_realtime_ns", clock_realtime_ns());
    json_put_text(&line, "recorder", recorder);
    return json_line(line);
}

char *rec_sidecar_frame(const struct pinhole_frame *frame, const struct rec_place *place)
{
    json_t *line = begin("frame");
    json_put_frame(&line, frame);
    json_put_u64(&line, "digital_gain_milli", frame->digital_gain_milli);
    json_put_u64(&line, "frame_duration_us", frame->frame_duration_us);
    json_put_u64(&line, "colour_temperature_k", frame->colour_temperature_k);
    json_put_u64(&line, "lux_milli", frame->lux_milli);
    json_put_u64(&line, "lens_position_milli", frame->lens_position_milli);
    json_put_u64(&line, "encodes", frame->encodes);
    json_put_u64(&line, "pts_ns", place->pts_ns);
    if (place->file[0] != '\0') {
        json_put_text(&line, "file", place->file);
    } else {
        json_put_u64(&line, "offset", place->offset);
        json_put_u64(&line, "end", place->end);
    }
    return json_line(line);
}

static void put_trigger(json_t **line, const struct pinhole_event *e)
{
    json_put_u64(line, "first_trigger", e->first);
    json_put_u64(line, "last_trigger", e->last);
    json_put_text(line, "source", pinhole_source_name(e->trigger_source));
    json_put_text(line, "outcome", pinhole_outcome_name(e->outcome));
    json_put_u64(line, "edge_ns", e->edge_ns);
}

char *rec_sidecar_event(const struct pinhole_event *e)
{
    char text[TEXT_BYTES_MAX];
    json_t *line = begin("event");
    json_put_text(&line, "kind", pinhole_event_name(e->kind));
    json_put_id(&line, "boot_id", e->boot_id);
    json_put_u64(&line, "sequence", e->sequence);
    json_put_u64(&line, "monotonic_ns", e->monotonic_ns);
    json_put_u64(&line, "realtime_ns", e->realtime_ns);
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

char *rec_sidecar_missing(uint64_t boot_id, uint64_t first, uint64_t last, const char *reason)
{
    json_t *line = begin("missing");
    json_put_id(&line, "boot_id", boot_id);
    json_put_u64(&line, "first", first);
    if (last != 0)
        json_put_u64(&line, "last", last);
    else
        json_put(&line, "last", json_null());
    json_put_text(&line, "reason", reason);
    return json_line(line);
}

char *rec_sidecar_boot(uint64_t boot_id)
{
    json_t *line = begin("boot");
    json_put_id(&line, "boot_id", boot_id);
    json_put_u64(&line, "noticed_realtime_ns", clock_realtime_ns());
    return json_line(line);
}

char *rec_sidecar_link(const char *state, const char *text)
{
    json_t *line = begin("link");
    json_put_text(&line, "state", state);
    json_put_u64(&line, "realtime_ns", clock_realtime_ns());
    json_put_text(&line, "text", text);
    return json_line(line);
}

char *rec_sidecar_end(const char *type, uint64_t frames, const char *reason)
{
    json_t *line = begin(type);
    json_put_u64(&line, "frames", frames);
    json_put_u64(&line, "realtime_ns", clock_realtime_ns());
    json_put_text(&line, "reason", reason);
    return json_line(line);
}

static uint64_t number(const json_t *object, const char *name)
{
    uint64_t value = 0;
    return json_get_u64(object, name, &value) ? value : 0;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static void take_apart(const json_t *object, const char *type, struct rec_line *out)
{
    out->boot_id = strtoull(text_of(object, "boot_id"), NULL, 16);
    if (strcmp(type, "frame") == 0) {
        out->type = REC_LINE_FRAME;
        out->first = out->last = number(object, "sequence");
        out->bytes = number(object, "bytes");
        out->offset = number(object, "offset");
        out->end = number(object, "end");
        snprintf(out->file, sizeof out->file, "%s", text_of(object, "file"));
    } else if (strcmp(type, "event") == 0) {
        out->type = REC_LINE_EVENT;
        out->first = out->last = number(object, "sequence");
    } else if (strcmp(type, "missing") == 0) {
        out->type = REC_LINE_MISSING;
        out->first = number(object, "first");
        out->last = number(object, "last"); // null reads as 0
    } else if (strcmp(type, "boot") == 0) {
        out->type = REC_LINE_BOOT;
    }
}

static bool parse(const char *text, size_t bytes, struct rec_line *out)
{
    json_t *object = json_loadb(text, bytes, 0, NULL);
    const char *type = json_string_value(json_object_get(object, "type"));
    memset(out, 0, sizeof *out);
    if (type != NULL)
        take_apart(object, type, out);
    json_decref(object);
    return type != NULL;
}

struct rec_reader {
    int fd;
    off_t at; /**< in the file, of bytes[begin] */
    size_t begin, end;
    char bytes[LINE_BYTES_MAX];
};

int rec_reader_open(struct rec_reader **out, const char *path)
{
    struct rec_reader *reader = malloc(sizeof *reader);
    *out = NULL;
    if (reader == NULL)
        return -ENOMEM;
    reader->at = 0;
    reader->begin = reader->end = 0;
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0) {
        int error = errno;
        free(reader);
        return -error;
    }
    *out = reader;
    return 0;
}

/** Reads on behind what is there. False: the file's end, or no room. */
static bool fill(struct rec_reader *reader)
{
    memmove(reader->bytes, reader->bytes + reader->begin, reader->end - reader->begin);
    reader->end -= reader->begin;
    reader->begin = 0;
    ssize_t got;
    do
        got = read(reader->fd, reader->bytes + reader->end, sizeof reader->bytes - reader->end);
    while (got < 0 && errno == EINTR);
    reader->end += got > 0 ? (size_t)got : 0;
    return got > 0;
}

bool rec_reader_next(struct rec_reader *reader, struct rec_line *line)
{
    const char *newline;
    for (;;) {
        newline = memchr(reader->bytes + reader->begin, '\n', reader->end - reader->begin);
        if (newline != NULL)
            break;
        if (!fill(reader))
            return false;
    }
    const size_t bytes = (size_t)(newline - (reader->bytes + reader->begin));
    if (!parse(reader->bytes + reader->begin, bytes, line))
        return false;
    reader->begin += bytes + 1;
    reader->at += (off_t)bytes + 1;
    return true;
}

off_t rec_reader_at(const struct rec_reader *reader)
{
    return reader->at;
}

void rec_reader_close(struct rec_reader *reader)
{
    if (reader == NULL)
        return;
    close(reader->fd);
    free(reader);
}

void rec_position_follow(struct rec_position *position, const struct rec_line *line)
{
    if (line->type == REC_LINE_OTHER)
        return;
    if (line->type == REC_LINE_MISSING && line->last == 0) {
        // The node's end, noted with its successor's beginning.
        if (!position->is_known)
            *position = (struct rec_position){
                .is_known = true, .boot_id = line->boot_id, .last = line->first - 1};
        position->is_closed = position->boot_id == line->boot_id;
        return;
    }
    if (!position->is_known || position->boot_id != line->boot_id)
        *position = (struct rec_position){.is_known = true, .boot_id = line->boot_id};
    if (line->last > position->last)
        position->last = line->last;
}
