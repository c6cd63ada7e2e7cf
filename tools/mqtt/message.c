// SPDX-License-Identifier: MIT
#include "tools/mqtt/message.h"

#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/json.h"

#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/** Writes a time of CLOCK_REALTIME in ISO 8601 with milliseconds, UTC. */
static void format_time(char out[FRAME_MEMBER_BYTES], uint64_t realtime_ns)
{
    // Most pictures are of the same second as the one before.
    static _Thread_local char text[FRAME_MEMBER_BYTES];
    static _Thread_local time_t formatted = -1;
    const time_t seconds = (time_t)(realtime_ns / NS_PER_S);
    if (seconds != formatted) {
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        formatted = seconds;
    }
    const unsigned ms = (unsigned)(realtime_ns % NS_PER_S / NS_PER_MS);
    out = stpcpy(out, text);
    *out++ = '.';
    *out++ = (char)('0' + ms / 100);
    *out++ = (char)('0' + ms / 10 % 10);
    *out++ = (char)('0' + ms % 10);
    stpcpy(out, "Z");
}

void mqtt_message_put_time(json_t **object, const char *name, uint64_t realtime_ns)
{
    char text[FRAME_MEMBER_BYTES];
    format_time(text, realtime_ns);
    json_put_text(object, name, text);
}

// --- a picture ----------------------------------------------------------------------------------

static void put_u16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
}

static void put_u32(uint8_t *out, uint32_t value)
{
    put_u16(out, (uint16_t)value);
    put_u16(out + 2, (uint16_t)(value >> 16));
}

static void put_u64(uint8_t *out, uint64_t value)
{
    put_u32(out, (uint32_t)value);
    put_u32(out + 4, (uint32_t)(value >> 32));
}

void mqtt_message_put_header(uint8_t out[MQTT_HEADER_BYTES], const struct pinhole_frame *frame)
{
    memcpy(out, "PINF", 4);
    put_u16(out + 4, MQTT_HEADER_BYTES);
    put_u16(out + 6, (uint16_t)frame->flags);
    put_u64(out + 8, frame->realtime_ns);
    put_u32(out + 16, (uint32_t)frame->jpeg_bytes);
    put_u16(out + 20, frame->width);
    put_u16(out + 22, frame->height);
    put_u64(out + 24, frame->boot_id);
    put_u64(out + 32, frame->sequence);
    put_u64(out + 40, frame->trigger_id);
}

void mqtt_message_meta(struct mqtt_meta *meta, const struct pinhole_frame *frame)
{
    struct frame_member *time = &meta->members[0];
    time->name = "time";
    time->is_number = false;
    format_time(time->text, frame->realtime_ns);
    meta->count = 1 + frame_members(meta->members + 1, frame);
}

void mqtt_message_meta_json(const struct mqtt_meta *meta, char out[MQTT_META_JSON_BYTES])
{
    for (unsigned i = 0; i < meta->count; i++) {
        const struct frame_member *member = &meta->members[i];
        out = stpcpy(out, i == 0 ? "{\"" : ",\"");
        out = stpcpy(out, member->name);
        out = stpcpy(out, member->is_number ? "\":" : "\":\"");
        out = stpcpy(out, member->text);
        out = stpcpy(out, member->is_number ? "" : "\"");
    }
    stpcpy(out, "}");
}

mosquitto_property *mqtt_message_properties(const struct mqtt_meta *meta, const char *content_type,
                                            uint32_t expiry_s)
{
    mosquitto_property *list = NULL;
    int error = mosquitto_property_add_string(&list, MQTT_PROP_CONTENT_TYPE, content_type);
    if (expiry_s != 0)
        error |= mosquitto_property_add_int32(&list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, expiry_s);
    for (unsigned i = 0; i < meta->count; i++)
        error |= mosquitto_property_add_string_pair(&list, MQTT_PROP_USER_PROPERTY,
                                                    meta->members[i].name, meta->members[i].text);
    if (error != MOSQ_ERR_SUCCESS)
        mosquitto_property_free_all(&list);
    return list;
}

// --- triggers and events ------------------------------------------------------------------------

static json_t *begin_record(uint64_t boot_id, uint64_t sequence, uint64_t realtime_ns)
{
    json_t *object = json_object();
    mqtt_message_put_time(&object, "time", realtime_ns);
    json_put_id(&object, "boot_id", boot_id);
    json_put_u64(&object, "sequence", sequence);
    return object;
}

static void put_trigger(json_t **object, uint64_t first, uint64_t last, unsigned source,
                        const char *outcome, uint64_t edge_ns)
{
    json_put_u64(object, "trigger_id", first);
    json_put_u64(object, "trigger_last", last);
    json_put_text(object, "source", pinhole_source_name(source));
    json_put_text(object, "outcome", outcome);
    json_put_u64(object, "edge_ns", edge_ns);
}

json_t *mqtt_message_frame_trigger(const struct pinhole_frame *frame)
{
    json_t *object = begin_record(frame->boot_id, frame->sequence, frame->realtime_ns);
    put_trigger(&object, frame->trigger_id, frame->trigger_id, frame->trigger_source, "MATCHED",
                frame->edge_ns);
    json_put_i64(&object, "exposure_delta_ns", frame->exposure_delta_ns);
    json_put_u64(&object, "frame_id", frame->frame_id);
    json_put_i64(&object, "burst_index", frame->burst_index);
    return object;
}

json_t *mqtt_message_event_trigger(const struct pinhole_event *event)
{
    json_t *object = begin_record(event->boot_id, event->sequence, event->realtime_ns);
    put_trigger(&object, event->first, event->last, event->trigger_source,
                pinhole_outcome_name(event->outcome), event->edge_ns);
    json_put_text(&object, "text", event->text);
    return object;
}

json_t *mqtt_message_event(const struct pinhole_event *event)
{
    json_t *object = begin_record(event->boot_id, event->sequence, event->realtime_ns);
    json_put_text(&object, "event", pinhole_event_name(event->kind));
    if (event->kind == PINHOLE_EVENT_GAP || event->kind == PINHOLE_EVENT_FRAME_LOST) {
        json_put_u64(&object, "first", event->first);
        json_put_u64(&object, "last", event->last);
    }
    if (event->kind == PINHOLE_EVENT_BOOT) {
        json_put_id(&object, "former_boot_id", event->former_boot_id);
        json_put_u64(&object, "first", event->first);
    }
    if (event->kind == PINHOLE_EVENT_CAMERA)
        json_put_text(&object, "camera_state", pinhole_camera_state_name(event->camera_state));
    json_put_text(&object, "text", event->text);
    return object;
}

json_t *mqtt_message_own_event(const char *kind, uint64_t boot_id, uint64_t first, uint64_t last,
                               const char *text)
{
    json_t *object = begin_record(boot_id, last, clock_realtime_ns());
    json_put_text(&object, "event", kind);
    json_put_u64(&object, "first", first);
    json_put_u64(&object, "last", last);
    json_put_text(&object, "text", text);
    return object;
}

// --- the position -------------------------------------------------------------------------------

json_t *mqtt_message_position(const struct mqtt_place *place)
{
    json_t *object = json_object();
    json_put_id(&object, "boot_id", place->boot_id);
    json_put_u64(&object, "sequence", place->sequence);
    return object;
}

bool mqtt_message_read_position(const char *text, struct mqtt_place *out)
{
    json_t *object = json_loads(text, 0, NULL);
    const char *boot_id = json_string_value(json_object_get(object, "boot_id"));
    char *end = NULL;
    *out = (struct mqtt_place){0};
    if (boot_id != NULL && *boot_id != '\0')
        out->boot_id = strtoull(boot_id, &end, 16);
    out->is_known = end != NULL && *end == '\0' && json_get_u64(object, "sequence", &out->sequence);
    json_decref(object);
    return out->is_known;
}
