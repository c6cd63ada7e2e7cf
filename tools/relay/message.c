// SPDX-License-Identifier: MIT
#include "tools/relay/message.h"

#include "hal/base.h"
#include "net/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENT_TEXT_BYTES_MAX = 128 << 10, /**< no event that libpinhole takes has more */
    EVENT_BYTES_MAX = WIRE_HEADER_BYTES + WIRE_EVENT_FIXED + EVENT_TEXT_BYTES_MAX,
};

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

/** The whole message of an event. Returns its length. */
static size_t put_event(uint8_t out[EVENT_BYTES_MAX], const struct pinhole_event *event)
{
    const size_t text_bytes = (size_t)base_min_u64(strlen(event->text), EVENT_TEXT_BYTES_MAX);
    const struct wire_header header = {
        .version = WIRE_VERSION,
        .type = WIRE_TYPE_EVENT,
        .length = (uint32_t)(WIRE_EVENT_FIXED + text_bytes),
    };
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
    wire_put_header(out, &header);
    wire_put_event(out + WIRE_HEADER_BYTES, &fixed);
    memcpy(out + WIRE_HEADER_BYTES + WIRE_EVENT_FIXED, event->text, text_bytes);
    return WIRE_HEADER_BYTES + header.length;
}

const char *relay_message_kind(const struct relay_entry *entry)
{
    if (frame_of(entry) != NULL)
        return "frame";
    return event_of(entry)->kind == PINHOLE_EVENT_TRIGGER ? "trigger" : "event";
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

static natsStatus set_text(natsStatus before, natsMsg *message, const char *name, const char *text)
{
    return before == NATS_OK ? natsMsgHeader_Set(message, name, text) : before;
}

static natsStatus set_frame(natsStatus result, natsMsg *message, const struct pinhole_frame *frame)
{
    result = set_number(result, message, "Pinhole-Time", frame->realtime_ns);
    if (frame->trigger_id != 0)
        result = set_number(result, message, "Pinhole-Trigger", frame->trigger_id);
    if ((frame->flags & PINHOLE_FRAME_CLOCK_SYNCHRONIZED) == 0)
        result = set_text(result, message, "Pinhole-Clock", "not synchronized");
    return result;
}

static natsStatus set_event(natsStatus result, natsMsg *message, const struct pinhole_event *event)
{
    result = set_number(result, message, "Pinhole-Time", event->realtime_ns);
    result = set_text(result, message, "Pinhole-Event", pinhole_event_name(event->kind));
    if (event->kind == PINHOLE_EVENT_BOOT)
        result = set_boot(result, message, "Pinhole-Former-Boot", event->former_boot_id);
    if (event->kind != PINHOLE_EVENT_TRIGGER)
        return result;
    result = set_text(result, message, "Pinhole-Outcome", pinhole_outcome_name(event->outcome));
    result = set_number(result, message, "Pinhole-Trigger", event->first);
    if (event->last != event->first)
        result = set_number(result, message, "Pinhole-Trigger-Last", event->last);
    return result;
}

static natsStatus set_headers(natsMsg *message, const struct relay_entry *entry,
                              const struct relay_entry *settled)
{
    const struct pinhole_frame *frame = frame_of(entry);
    char id[RELAY_ID_BYTES];
    snprintf(id, sizeof id, "%016" PRIx64 ":%" PRIu64, entry->boot_id, entry->sequence);
    natsStatus result = natsMsgHeader_Set(message, "Nats-Msg-Id", id);
    result = set_boot(result, message, "Pinhole-Boot", entry->boot_id);
    result = set_number(result, message, "Pinhole-Sequence", entry->sequence);
    if (entry->first != entry->sequence)
        result = set_number(result, message, "Pinhole-First", entry->first);
    result = frame != NULL ? set_frame(result, message, frame)
                           : set_event(result, message, event_of(entry));
    result = set_number(result, message, "Pinhole-Settled", settled->first);
    return set_number(result, message, "Pinhole-Behind", settled->behind);
}

natsStatus relay_message_make(natsMsg **out, const char *subject, const char *reply,
                              const struct relay_entry *entry, const struct relay_entry *settled)
{
    const struct pinhole_frame *frame = frame_of(entry);
    uint8_t event[EVENT_BYTES_MAX];
    const uint8_t *payload = frame != NULL ? frame->message : event;
    const size_t bytes = frame != NULL ? frame->message_bytes : put_event(event, event_of(entry));
    natsStatus result = natsMsg_Create(out, subject, reply, (const char *)payload, (int)bytes);
    if (result == NATS_OK)
        result = set_headers(*out, entry, settled);
    if (result != NATS_OK) {
        natsMsg_Destroy(*out);
        *out = NULL;
    }
    return result;
}

// --- back ---------------------------------------------------------------------------------------

/** Reads it if nothing has failed before. NATS_NOT_FOUND: there is no such number. */
static natsStatus get(natsStatus before, natsMsg *message, const char *name, int base,
                      uint64_t *out)
{
    const char *text = NULL;
    char *end;
    const natsStatus result = before == NATS_OK ? natsMsgHeader_Get(message, name, &text) : before;
    if (result != NATS_OK)
        return result;
    errno = 0;
    *out = strtoull(text, &end, base);
    return *text != '\0' && *end == '\0' && errno == 0 ? NATS_OK : NATS_NOT_FOUND;
}

natsStatus relay_message_read(natsMsg *message, struct relay_stored *out)
{
    natsStatus result = get(NATS_OK, message, "Pinhole-Boot", 16, &out->boot_id);
    result = get(result, message, "Pinhole-Sequence", 10, &out->sequence);
    result = get(result, message, "Pinhole-Settled", 10, &out->settled);
    result = get(result, message, "Pinhole-Behind", 10, &out->behind);
    if (result != NATS_OK)
        return result;
    result = get(NATS_OK, message, "Pinhole-First", 10, &out->first);
    if (result == NATS_NOT_FOUND)
        out->first = out->sequence;
    else if (result != NATS_OK)
        return result;
    return out->first <= out->sequence && out->sequence < INT64_MAX ? NATS_OK : NATS_NOT_FOUND;
}
