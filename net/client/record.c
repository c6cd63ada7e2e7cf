// SPDX-License-Identifier: MIT
// Records: their buffers, their lists, and what the user sees of a payload.
#include "net/client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    JPEG_FORMAT = 1,
    SMALL_BYTES = 4096,
    SMALL_STEP_BYTES = 512,
    STEP_BYTES = 65536,
    SPARE_RECORDS = 2,
};

void client_list_append(struct client_list *list, struct client_record *record)
{
    record->list = list;
    record->next = NULL;
    record->previous = list->last;
    if (list->last != NULL)
        list->last->next = record;
    else
        list->first = record;
    list->last = record;
    list->count++;
    list->bytes += sizeof *record + record->capacity;
}

void client_list_remove(struct client_record *record)
{
    struct client_list *list = record->list;
    if (record->previous != NULL)
        record->previous->next = record->next;
    else
        list->first = record->next;
    if (record->next != NULL)
        record->next->previous = record->previous;
    else
        list->last = record->previous;
    list->count--;
    list->bytes -= sizeof *record + record->capacity;
    record->list = NULL;
}

static void free_record(struct client_record *record)
{
    free(record->message);
    free(record);
}

void client_list_free(struct client_list *list)
{
    for (struct client_record *record = list->first, *next; record != NULL; record = next) {
        next = record->next;
        free_record(record);
    }
    *list = (struct client_list){0};
}

/** The smallest free one that is large enough: an event must not walk off with a frame's buffer. */
static struct client_record *find_free(struct client_list *list, size_t capacity)
{
    struct client_record *best = NULL;
    for (struct client_record *r = list->last; r != NULL; r = r->previous)
        if (r->capacity >= capacity && (best == NULL || r->capacity < best->capacity))
            best = r;
    return best;
}

struct client_record *client_record_take(struct pinhole *p, size_t bytes)
{
    struct client_record *record = find_free(&p->free, bytes + 1);
    if (record != NULL) {
        client_list_remove(record);
    } else {
        record = calloc(1, sizeof *record);
        if (record == NULL)
            return NULL;
        // Frames vary in size: a quarter more, in large steps, so that the next ones fit.
        const size_t step = bytes < SMALL_BYTES ? SMALL_STEP_BYTES : STEP_BYTES;
        const size_t room = (bytes + bytes / 4 + step) / step * step;
        record->message = malloc(WIRE_HEADER_BYTES + room);
        if (record->message == NULL) {
            free(record);
            return NULL;
        }
        record->bytes = record->message + WIRE_HEADER_BYTES;
        record->capacity = room;
    }
    record->length = bytes;
    return record;
}

void client_record_give(struct pinhole *p, struct client_record *record)
{
    client_list_append(&p->free, record);
    if (p->free.count <= p->options.records_max + SPARE_RECORDS)
        return;
    record = p->free.first; // the one unused for longest
    // The analyzer takes the new first for the one freed before: it does not follow the links.
    client_list_remove(record); // NOLINT(clang-analyzer-unix.Malloc)
    free_record(record);
}

/** A payload of FRAME, which *out borrows. */
static int read_frame(const uint8_t *payload, size_t bytes, struct pinhole_record *out)
{
    struct wire_frame wire;
    int at = wire_get_frame(payload, bytes, &wire);
    if (at < 0)
        return at;
    if (bytes == (size_t)at)
        return -EBADMSG;
    struct pinhole_frame *f = &out->frame;
    out->kind = PINHOLE_FRAME;
#define COPY(name) f->name = wire.name
    COPY(boot_id), COPY(sequence), COPY(frame_id), COPY(sensor_sequence);
    COPY(width), COPY(height), COPY(quality), COPY(flags);
    COPY(timestamp_ns), COPY(realtime_ns);
    COPY(exposure_us), COPY(gain_milli), COPY(digital_gain_milli), COPY(frame_duration_us);
    COPY(colour_temperature_k), COPY(lux_milli), COPY(lens_position_milli);
    COPY(acquired_us), COPY(encode_start_us), COPY(encoded_us), COPY(queued_us);
    COPY(skipped), COPY(trigger_id), COPY(edge_ns), COPY(exposure_delta_ns);
    COPY(trigger_source), COPY(encodes), COPY(burst_index);
#undef COPY
    f->jpeg = payload + at;
    f->jpeg_bytes = bytes - (size_t)at;
    f->received_ns = clock_now_ns();
    f->message = payload - WIRE_HEADER_BYTES;
    f->message_bytes = WIRE_HEADER_BYTES + bytes;
    if (wire.format == JPEG_FORMAT)
        return 0;
    // A newer node's other format: say that there was a frame.
    out->kind = PINHOLE_EVENT;
    out->event = (struct pinhole_event){
        .kind = PINHOLE_EVENT_FRAME_LOST,
        .boot_id = wire.boot_id,
        .sequence = wire.sequence,
        .monotonic_ns = wire.timestamp_ns,
        .realtime_ns = wire.realtime_ns,
        .sensor_sequence = wire.sensor_sequence,
        .text = "the frame has a format that this version of the library does not know",
    };
    return 0;
}

/** A payload of EVENT but for its text, which begins at the result. */
static int read_event(const uint8_t *payload, size_t bytes, struct pinhole_record *out)
{
    struct wire_event wire;
    int at = wire_get_event(payload, bytes, &wire);
    if (at < 0)
        return at;
    out->kind = PINHOLE_EVENT;
    out->event = (struct pinhole_event){
        .kind = (enum pinhole_event_kind)wire.kind,
        .boot_id = wire.boot_id,
        .sequence = wire.sequence,
        .monotonic_ns = wire.monotonic_ns,
        .realtime_ns = wire.realtime_ns,
        .first = wire.first,
        .last = wire.last,
        .edge_ns = wire.edge_ns,
        .sensor_sequence = wire.sensor_sequence,
        .trigger_source = wire.trigger_source,
        .outcome = wire.outcome,
        .camera_state = wire.camera_state,
    };
    return at;
}

int client_record_decode(struct pinhole *p, struct client_record *record,
                         const struct wire_header *header)
{
    struct pinhole_record *shown = &record->shown;
    memset(shown, 0, sizeof *shown);
    if (header->type == WIRE_TYPE_FRAME) {
        wire_put_header(record->message, header);
        const int result = read_frame(record->bytes, record->length, shown);
        return result == 0 && shown->frame.jpeg_bytes > p->info.frame_bytes_max ? -EBADMSG : result;
    }
    const int at = read_event(record->bytes, record->length, shown);
    if (at < 0)
        return at;
    record->bytes[record->length] = '\0';
    client_clean((char *)record->bytes + at, true);
    shown->event.text = (const char *)record->bytes + at;
    return 0;
}

int pinhole_read_message(const void *message, size_t bytes, struct pinhole_record *out, char *text,
                         size_t text_size)
{
    struct wire_header header;
    const uint8_t *payload = (const uint8_t *)message + WIRE_HEADER_BYTES;
    memset(out, 0, sizeof *out);
    if (bytes < WIRE_HEADER_BYTES || wire_get_header(message, &header) != 0 ||
        header.length != bytes - WIRE_HEADER_BYTES || text_size == 0)
        return -EBADMSG;
    if (header.type == WIRE_TYPE_FRAME)
        return read_frame(payload, header.length, out);
    const int at = header.type == WIRE_TYPE_EVENT ? read_event(payload, header.length, out) : -1;
    if (at < 0)
        return -EBADMSG;
    const size_t length = (size_t)base_min_u64(header.length - (size_t)at, text_size - 1);
    memcpy(text, payload + at, length);
    text[length] = '\0';
    client_clean(text, true);
    out->event.text = text;
    return 0;
}

int client_event_add(struct pinhole *p, enum pinhole_event_kind kind, uint64_t first, uint64_t last,
                     const char *text)
{
    size_t length = strlen(text);
    struct client_record *record = client_record_take(p, length);
    if (record == NULL)
        return -ENOMEM;
    memcpy(record->bytes, text, length + 1);
    memset(&record->shown, 0, sizeof record->shown);
    record->shown.kind = PINHOLE_EVENT;
    record->shown.event.kind = kind;
    record->shown.event.boot_id = p->info.boot_id;
    record->shown.event.sequence = last;
    record->shown.event.first = first;
    record->shown.event.last = last;
    record->shown.event.monotonic_ns = clock_now_ns();
    record->shown.event.text = (const char *)record->bytes;
    client_list_append(&p->queue, record);
    return 0;
}

void client_queue_drop_records(struct pinhole *p)
{
    struct client_list kept = p->queue;
    p->queue = (struct client_list){0};
    p->frames_queued = 0;
    while (kept.first != NULL) {
        struct client_record *r = kept.first;
        kept.first = r->next;
        if (r->shown.kind == PINHOLE_EVENT && r->shown.event.kind >= PINHOLE_EVENT_DISCONNECTED)
            client_list_append(&p->queue, r);
        else
            client_record_give(p, r);
    }
}
