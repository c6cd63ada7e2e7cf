// SPDX-License-Identifier: MIT
#include "tools/rec/order.h"

#include "hal/base.h"
#include "hal/os/clock.h"
#include "net/wire.h"
#include "tools/common/text.h"

#include <stdio.h>
#include <string.h>

enum { JPEG_FORMAT = 1 };

static bool read_frame(const uint8_t *at, size_t bytes, struct pinhole_record *out)
{
    struct wire_frame wire;
    const int head = wire_get_frame(at, bytes, &wire);
    if (head < 0 || (size_t)head >= bytes || wire.format != JPEG_FORMAT)
        return false;
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
    f->jpeg = at + head;
    f->jpeg_bytes = bytes - (size_t)head;
    f->received_ns = clock_now_ns();
    return true;
}

static bool read_event(const uint8_t *at, size_t bytes, struct pinhole_record *out,
                       char text[REC_TEXT_BYTES])
{
    struct wire_event wire;
    const int head = wire_get_event(at, bytes, &wire);
    if (head < 0 || wire.kind >= PINHOLE_EVENT_DISCONNECTED)
        return false;
    snprintf(text, REC_TEXT_BYTES, "%.*s", (int)base_min_u64(bytes - (size_t)head, REC_TEXT_BYTES),
             (const char *)at + head);
    text_clean(text, true);
    out->kind = PINHOLE_EVENT;
    out->event = (struct pinhole_event){.kind = (enum pinhole_event_kind)wire.kind,
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
                                        .text = text};
    return true;
}

bool rec_message_read(const struct rec_message *message, struct pinhole_record *out,
                      char text[REC_TEXT_BYTES])
{
    struct wire_header header;
    memset(out, 0, sizeof *out);
    if (!message->is_of_relay || message->bytes < WIRE_HEADER_BYTES ||
        wire_get_header(message->data, &header) != 0 ||
        header.length != message->bytes - WIRE_HEADER_BYTES)
        return false;
    const uint8_t *at = message->data + WIRE_HEADER_BYTES;
    if (header.type == WIRE_TYPE_FRAME)
        return read_frame(at, header.length, out);
    return header.type == WIRE_TYPE_EVENT && read_event(at, header.length, out, text);
}

void rec_record_range(const struct pinhole_record *record, uint64_t *boot_id, uint64_t *first,
                      uint64_t *last)
{
    const struct pinhole_event *e = &record->event;
    const bool is_frame = record->kind == PINHOLE_FRAME;
    const bool is_gap = !is_frame && e->kind == PINHOLE_EVENT_GAP;
    const bool is_boot = !is_frame && e->kind == PINHOLE_EVENT_BOOT;
    *boot_id = is_frame ? record->frame.boot_id : e->boot_id;
    *first = is_frame ? record->frame.sequence : is_boot ? 0 : is_gap ? e->first : e->sequence;
    *last = is_frame ? record->frame.sequence : is_boot ? 0 : is_gap ? e->last : e->sequence;
}

void rec_order_begin(struct rec_order *order, uint64_t boot_id, uint64_t next)
{
    order->boot_id = boot_id;
    order->next = next;
    order->settled = 0;
    order->count = 0;
}

bool rec_order_add(struct rec_order *order, const struct rec_message *message, uint64_t first,
                   uint64_t last)
{
    order->settled = base_max_u64(order->settled, message->settled);
    if (last < order->next || last < first || order->count == REC_HELD_MAX)
        return false;
    unsigned place = order->count++;
    for (; place > 0 && order->held[place - 1].first > first; place--)
        order->held[place] = order->held[place - 1];
    order->held[place] = (struct rec_held){*message, first, last};
    return true;
}

struct rec_held *rec_order_next(struct rec_order *order, bool is_end)
{
    struct rec_held *held = &order->held[0];
    if (order->count == 0)
        return NULL;
    const bool is_due = held->first <= order->next || held->first <= order->settled;
    return is_due || is_end || order->count == REC_HELD_MAX ? held : NULL;
}

void rec_order_drop(struct rec_order *order)
{
    order->next = base_max_u64(order->next, order->held[0].last + 1);
    order->count--;
    memmove(order->held, order->held + 1, order->count * sizeof *order->held);
}
