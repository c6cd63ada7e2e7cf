// SPDX-License-Identifier: MIT
#include "tools/relay/message.h"

#include "hal/base.h"
#include "net/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- the payload --------------------------------------------------------------------------------

static const struct pinhole_frame *frame_of(const struct relay_entry *entry)
{
    const bool is_frame = entry->record != NULL && entry->record->kind == PINHOLE_FRAME;
    return is_frame ? &entry->record->frame : NULL;
}

static const struct pinhole_event *event_of(const struct relay_entry *entry)
{
    return entry->record != NULL ? &entry->record->event : &entry->event;
}

static size_t put_frame(uint8_t *out, const struct pinhole_frame *frame)
{
    const struct wire_frame fixed = {
        .format = 1,
        .quality = frame->quality,
        .flags = frame->flags,
        .boot_id = frame->boot_id,
        .sequence = frame->sequence,
        .frame_id = frame->frame_id,
        .sensor_sequence = frame->sensor_sequence,
        .width = frame->width,
        .height = frame->height,
        .timestamp_ns = frame->timestamp_ns,
        .realtime_ns = frame->realtime_ns,
        .exposure_us = frame->exposure_us,
        .gain_milli = frame->gain_milli,
        .digital_gain_milli = frame->digital_gain_milli,
        .frame_duration_us = frame->frame_duration_us,
        .colour_temperature_k = frame->colour_temperature_k,
        .lux_milli = frame->lux_milli,
        .lens_position_milli = frame->lens_position_milli,
        .acquired_us = frame->acquired_us,
        .encode_start_us = frame->encode_start_us,
        .encoded_us = frame->encoded_us,
        .queued_us = frame->queued_us,
        .skipped = frame->skipped,
        .trigger_id = frame->trigger_id,
        .edge_ns = frame->edge_ns,
        .exposure_delta_ns = frame->exposure_delta_ns,
        .trigger_source = frame->trigger_source,
        .encodes = frame->encodes,
        .burst_index = frame->burst_index,
    };
    const size_t bytes = wire_put_frame(out, &fixed);
    memcpy(out + bytes, frame->jpeg, frame->jpeg_bytes);
    return bytes + frame->jpeg_bytes;
}

static size_t put_event(uint8_t *out, const struct pinhole_event *event)
{
    const struct wire_event fixed = {
        .kind = (uint8_t)event->kind,
        .trigger_source = event->trigger_source,
        .outcome = event->outcome,
        .camera_state = event->camera_state,
        .boot_id = event->boot_id,
        .sequence = event->sequence,
        .monotonic_ns = event->monotonic_ns,
        .realtime_ns = event->realtime_ns,
        .first = event->first,
        .last = event->last,
        .edge_ns = event->edge_ns,
        .sensor_sequence = event->sensor_sequence,
    };
    const size_t bytes = wire_put_event(out, &fixed);
    memcpy(out + bytes, event->text, strlen(event->text));
    return bytes + strlen(event->text);
}

size_t relay_message_bytes(const struct relay_entry *entry)
{
    const struct pinhole_frame *frame = frame_of(entry);
    return WIRE_HEADER_BYTES + (frame != NULL ? WIRE_FRAME_FIXED + frame->jpeg_bytes
                                              : WIRE_EVENT_FIXED + strlen(event_of(entry)->text));
}

const char *relay_message_kind(const struct relay_entry *entry)
{
    if (frame_of(entry) != NULL)
        return "frame";
    return event_of(entry)->kind == PINHOLE_EVENT_TRIGGER ? "trigger" : "event";
}

/** The record in `scratch`. Returns its length; 0: out of memory. */
static size_t put_record(struct relay_scratch *scratch, const struct relay_entry *entry)
{
    const size_t bytes = relay_message_bytes(entry);
    if (bytes > scratch->bytes) {
        uint8_t *larger = realloc(scratch->data, bytes);
        if (larger == NULL)
            return 0;
        scratch->data = larger;
        scratch->bytes = bytes;
    }
    const struct pinhole_frame *frame = frame_of(entry);
    const struct wire_header header = {
        .version = WIRE_VERSION,
        .type = frame != NULL ? WIRE_TYPE_FRAME : WIRE_TYPE_EVENT,
        .length = (uint32_t)(bytes - WIRE_HEADER_BYTES),
    };
    wire_put_header(scratch->data, &header);
    if (frame != NULL)
        put_frame(scratch->data + WIRE_HEADER_BYTES, frame);
    else
        put_event(scratch->data + WIRE_HEADER_BYTES, event_of(entry));
    return bytes;
}

// --- the headers --------------------------------------------------------------------------------

static natsStatus set_number(natsStatus before, natsMsg *message, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return before == NATS_OK ? natsMsgHeader_Set(message, name, text) : before;
}

static natsStatus set_boot(natsStatus before, natsMsg *message, const char *name, uint64_t boot_id)
{
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, boot_id);
    return before == NATS_OK ? natsMsgHeader_Set(message, name, text) : before;
}

static natsStatus set_headers(natsMsg *message, const struct relay_entry *entry,
                              const struct relay_entry *settled)
{
    const struct pinhole_frame *frame = frame_of(entry);
    const struct pinhole_event *event = event_of(entry);
    char id[RELAY_ID_BYTES];
    snprintf(id, sizeof id, "%016" PRIx64 ":%" PRIu64, entry->boot_id, entry->sequence);
    natsStatus result = natsMsgHeader_Set(message, "Nats-Msg-Id", id);
    result = set_boot(result, message, "Pinhole-Boot", entry->boot_id);
    result = set_number(result, message, "Pinhole-Sequence", entry->sequence);
    result = set_number(result, message, "Pinhole-Time",
                        frame != NULL ? frame->realtime_ns : event->realtime_ns);
    if (entry->first != entry->sequence)
        result = set_number(result, message, "Pinhole-First", entry->first);
    if (frame != NULL && frame->trigger_id != 0)
        result = set_number(result, message, "Pinhole-Trigger", frame->trigger_id);
    if (frame == NULL && event->kind == PINHOLE_EVENT_TRIGGER)
        result = set_number(result, message, "Pinhole-Trigger", event->first);
    if (frame != NULL && (frame->flags & PINHOLE_FRAME_CLOCK_SYNCHRONIZED) == 0)
        result = result == NATS_OK ? natsMsgHeader_Set(message, "Pinhole-Clock", "not synchronized")
                                   : result;
    if (frame == NULL && event->kind == PINHOLE_EVENT_BOOT)
        result = set_boot(result, message, "Pinhole-Former-Boot", event->former_boot_id);
    result = set_number(result, message, "Pinhole-Settled", settled->first);
    return set_number(result, message, "Pinhole-Behind", settled->behind);
}

natsStatus relay_message_make(natsMsg **out, struct relay_scratch *scratch, const char *subject,
                              const char *reply, const struct relay_entry *entry,
                              const struct relay_entry *settled)
{
    const size_t bytes = put_record(scratch, entry);
    if (bytes == 0)
        return NATS_NO_MEMORY;
    natsStatus result =
        natsMsg_Create(out, subject, reply, (const char *)scratch->data, (int)bytes);
    if (result == NATS_OK)
        result = set_headers(*out, entry, settled);
    if (result != NATS_OK) {
        natsMsg_Destroy(*out);
        *out = NULL;
    }
    return result;
}

// --- back ---------------------------------------------------------------------------------------

static bool get(natsMsg *message, const char *name, int base, uint64_t *out)
{
    const char *text = NULL;
    char *end;
    if (natsMsgHeader_Get(message, name, &text) != NATS_OK)
        return false;
    errno = 0;
    *out = strtoull(text, &end, base);
    return *text != '\0' && *end == '\0' && errno == 0;
}

bool relay_message_read(natsMsg *message, struct relay_stored *out)
{
    if (!get(message, "Pinhole-Boot", 16, &out->boot_id) ||
        !get(message, "Pinhole-Sequence", 10, &out->sequence) ||
        !get(message, "Pinhole-Settled", 10, &out->settled) ||
        !get(message, "Pinhole-Behind", 10, &out->behind))
        return false;
    if (!get(message, "Pinhole-First", 10, &out->first))
        out->first = out->sequence;
    return out->first <= out->sequence && out->sequence < INT64_MAX;
}
