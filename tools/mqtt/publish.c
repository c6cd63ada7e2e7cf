// SPDX-License-Identifier: MIT
// Handing messages to the broker, and what becomes of them.
#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/json.h"
#include "tools/common/preview.h"
#include "tools/common/say.h"
#include "tools/mqtt/camera.h"
#include "tools/mqtt/message.h"

#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAILED = 128,          /**< MQTT 5: this reason code and above say no */
    PACKET_OVERHEAD = 16,  /**< packet header, topic length, packet identifier, property length */
    META_BYTES_MAX = 1024, /**< user properties of a frame */
};

/** Hands a message over; on failure its record does not wait for it. */
static int hand_over(struct mqtt_camera *camera, const struct mqtt_publication *publication,
                     int slot, enum mqtt_tag tag, const char *what)
{
    const uint64_t number = mqtt_window_add(&camera->window, slot);
    const int result =
        mqtt_client_publish(&camera->client, publication, slot, number, (int)tag, what);
    if (result != MOSQ_ERR_SUCCESS)
        mqtt_window_acknowledge(&camera->window, slot, 0);
    return result;
}

static bool publish_text(struct mqtt_camera *camera, const char *topic, const char *text,
                         bool is_retained, const mosquitto_property *properties, int slot,
                         enum mqtt_tag tag, const char *what)
{
    const struct mqtt_publication publication = {.topic = topic,
                                                 .payload = text,
                                                 .bytes = strlen(text),
                                                 .qos = 1,
                                                 .is_retained = is_retained,
                                                 .properties = properties};
    const bool is_done = hand_over(camera, &publication, slot, tag, what) == MOSQ_ERR_SUCCESS;
    atomic_fetch_add(&camera->counters.messages, is_done);
    return is_done;
}

static bool publish_object(struct mqtt_camera *camera, const char *topic, json_t *object,
                           bool is_retained, const mosquitto_property *properties, int slot,
                           enum mqtt_tag tag, const char *what)
{
    char *text = json_text(object, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    json_decref(object);
    const bool is_done =
        text != NULL && publish_text(camera, topic, text, is_retained, properties, slot, tag, what);
    free(text);
    return is_done;
}

static void make_topic(const struct mqtt_camera *camera, char topic[MQTT_TOPIC_BYTES],
                       const char *rest)
{
    mqtt_topic_make(topic, camera->bridge->prefix, camera->level, rest);
}

bool mqtt_publish(struct mqtt_camera *camera, const char *rest, json_t *object, bool is_retained,
                  int slot, enum mqtt_tag tag)
{
    char topic[MQTT_TOPIC_BYTES];
    make_topic(camera, topic, rest);
    return publish_object(camera, topic, object, is_retained, NULL, slot, tag, rest);
}

bool mqtt_publish_with(struct mqtt_camera *camera, const char *rest, json_t *object,
                       mosquitto_property *properties)
{
    char topic[MQTT_TOPIC_BYTES];
    make_topic(camera, topic, rest);
    const bool is_done =
        publish_object(camera, topic, object, false, properties, -1, MQTT_OTHER, rest);
    mosquitto_property_free_all(&properties);
    return is_done;
}

bool mqtt_publish_text(struct mqtt_camera *camera, const char *topic, const char *text,
                       bool is_retained, const char *what)
{
    const struct mqtt_publication publication = {.topic = topic,
                                                 .payload = text,
                                                 .bytes = strlen(text),
                                                 .qos = 1,
                                                 .is_retained = is_retained};
    return hand_over(camera, &publication, -1, MQTT_OTHER, what) == MOSQ_ERR_SUCCESS;
}

size_t mqtt_publish_max(const struct mqtt_camera *camera)
{
    const size_t wish = camera->settings->camera.payload_max;
    const size_t packet = camera->client.packet_max;
    const size_t overhead = PACKET_OVERHEAD + META_BYTES_MAX + strlen(camera->bridge->prefix) +
                            strlen(camera->level) + strlen("//frame");
    if (packet == 0)
        return wish;
    const size_t room = packet > overhead ? packet - overhead : 0;
    return room < wish ? room : wish;
}

// --- pictures -----------------------------------------------------------------------------------

/** The payload of a picture: the JPEG itself, or a copy behind its header. NULL: out of memory. */
static const void *make_payload(struct mqtt_camera *camera, const struct pinhole_frame *frame,
                                size_t *bytes)
{
    *bytes = frame->jpeg_bytes;
    if (camera->settings->camera.payload == MQTT_PAYLOAD_JPEG)
        return frame->jpeg;
    *bytes += MQTT_HEADER_BYTES;
    if (*bytes > camera->scratch_bytes) {
        uint8_t *larger = realloc(camera->scratch, *bytes);
        if (larger == NULL)
            return NULL;
        camera->scratch = larger;
        camera->scratch_bytes = *bytes;
    }
    mqtt_message_put_header(camera->scratch, frame);
    memcpy(camera->scratch + MQTT_HEADER_BYTES, frame->jpeg, frame->jpeg_bytes);
    return camera->scratch;
}

static size_t payload_bytes(const struct mqtt_camera *camera, const struct pinhole_frame *frame)
{
    const bool has_header = camera->settings->camera.payload == MQTT_PAYLOAD_HEADER;
    return frame->jpeg_bytes + (has_header ? MQTT_HEADER_BYTES : 0);
}

static void tell_too_large(struct mqtt_camera *camera, const struct pinhole_frame *frame, int slot)
{
    char text[160];
    atomic_fetch_add(&camera->counters.frames_too_large, 1);
    snprintf(text, sizeof text, "frame %llu has %zu bytes; payload_max and the broker allow %zu",
             (unsigned long long)frame->frame_id, payload_bytes(camera, frame),
             mqtt_publish_max(camera));
    json_t *event =
        mqtt_message_own_event("TOO_LARGE", frame->boot_id, frame->sequence, frame->sequence, text);
    if (event != NULL)
        json_object_set_new(event, "frame_id", json_integer((json_int_t)frame->frame_id));
    mqtt_publish(camera, "event", event, false, slot, MQTT_RECORD);
}

static int publish_picture(struct mqtt_camera *camera, const struct pinhole_frame *frame,
                           const struct mqtt_meta *meta, int slot)
{
    const struct mqtt_camera_settings *settings = &camera->settings->camera;
    struct mqtt_publication publication = {
        .topic = camera->frame_topic,
        .qos = settings->policy == MQTT_EVERY ? 1 : (int)settings->qos};
    publication.payload = make_payload(camera, frame, &publication.bytes);
    if (publication.payload == NULL)
        return MOSQ_ERR_NOMEM;
    mosquitto_property *properties = NULL;
    if (camera->client.spoken == 5)
        properties = mqtt_message_properties(
            meta,
            settings->payload == MQTT_PAYLOAD_JPEG ? "image/jpeg" : "application/x-pinhole-frame",
            settings->expiry_s);
    publication.properties = properties;
    const int result = hand_over(camera, &publication, slot, MQTT_PICTURE, "frame");
    mosquitto_property_free_all(&properties);
    if (result == MOSQ_ERR_SUCCESS) {
        atomic_fetch_add(&camera->counters.frames, 1);
        atomic_fetch_add(&camera->counters.frame_bytes, publication.bytes);
    }
    return result;
}

static bool publish_meta(struct mqtt_camera *camera, const struct mqtt_meta *meta, int slot)
{
    char text[MQTT_META_JSON_BYTES];
    mqtt_message_meta_json(meta, text);
    return publish_text(camera, camera->meta_topic, text, false, NULL, slot, MQTT_META,
                        "frame/meta");
}

void mqtt_publish_frame(struct mqtt_camera *camera, const struct pinhole_frame *frame, int slot)
{
    struct mqtt_meta meta;
    mqtt_message_meta(&meta, frame);
    const bool is_fitting = payload_bytes(camera, frame) <= mqtt_publish_max(camera);
    const int result =
        is_fitting ? publish_picture(camera, frame, &meta, slot) : MOSQ_ERR_OVERSIZE_PACKET;
    if (result == MOSQ_ERR_SUCCESS) {
        // Behind its picture on the same connection, and always with QoS 1: when it is acknowledged
        // the broker has read the picture too.
        camera->live.on_the_way += publish_meta(camera, &meta, slot);
    } else {
        tell_too_large(camera, frame, slot);
    }
    if (frame->trigger_id != 0)
        mqtt_publish(camera, "trigger", mqtt_message_frame_trigger(frame), false, slot,
                     MQTT_RECORD);
}

void mqtt_publish_preview(struct mqtt_camera *camera, const struct pinhole_frame *frame)
{
    const struct mqtt_camera_settings *settings = &camera->settings->camera;
    const uint64_t now_ns = clock_now_ns();
    if (settings->preview_width == 0 || camera->has_preview_on_the_way ||
        now_ns - camera->preview_ns < settings->preview_interval_ms * NS_PER_MS)
        return;
    camera->preview_ns = now_ns;
    size_t bytes = 0;
    uint8_t *jpeg = preview_make(frame->jpeg, frame->jpeg_bytes, settings->preview_width,
                                 settings->preview_quality, &bytes);
    char topic[MQTT_TOPIC_BYTES];
    make_topic(camera, topic, "preview");
    const struct mqtt_publication publication = {.topic = topic, .payload = jpeg, .bytes = bytes};
    if (jpeg != NULL && bytes <= mqtt_publish_max(camera) &&
        hand_over(camera, &publication, -1, MQTT_PREVIEW, "preview") == MOSQ_ERR_SUCCESS) {
        camera->has_preview_on_the_way = true;
        atomic_fetch_add(&camera->counters.previews, 1);
    }
    free(jpeg);
}

// --- what becomes of them -----------------------------------------------------------------------

/** Would the same message be refused again, whatever changes at the broker? */
static bool is_permanent(int reason)
{
    return reason == MQTT_RC_PACKET_TOO_LARGE || reason == MQTT_RC_TOPIC_NAME_INVALID ||
           reason == MQTT_RC_PAYLOAD_FORMAT_INVALID;
}

static void tell_refused(struct mqtt_camera *camera, const struct mqtt_sent *sent)
{
    const unsigned bit = 1u << ((unsigned)sent->reason % 32);
    const bool is_picture = sent->tag == MQTT_PICTURE || sent->tag == MQTT_PREVIEW;
    atomic_fetch_add(
        is_picture ? &camera->counters.frames_refused : &camera->counters.messages_refused, 1);
    if ((camera->said_reasons[is_picture] & bit) == 0)
        say("%s: the broker refuses %s of %s/%s: %s (%d)", camera->settings->name, sent->what,
            camera->bridge->prefix, camera->level, mosquitto_reason_string(sent->reason),
            sent->reason);
    camera->said_reasons[is_picture] |= bit;
}

static void take_refusal(struct mqtt_camera *camera, const struct mqtt_sent *sent)
{
    tell_refused(camera, sent);
    if (sent->slot < 0)
        return;
    if (!is_permanent(sent->reason)) {
        mqtt_camera_drop(camera, "the broker refuses records for now: %s",
                         mosquitto_reason_string(sent->reason));
        return;
    }
    const struct mqtt_place place = camera->window.ring[sent->slot].place;
    mqtt_publish(camera, "event",
                 mqtt_message_own_event("REFUSED", place.boot_id, place.sequence, place.sequence,
                                        mosquitto_reason_string(sent->reason)),
                 false, sent->slot, MQTT_RECORD);
    mqtt_window_acknowledge(&camera->window, sent->slot, sent->number);
}

void mqtt_publish_settle(struct mqtt_camera *camera)
{
    struct mqtt_sent sent;
    while (mqtt_client_take_sent(&camera->client, &sent)) {
        if (sent.tag == MQTT_META && camera->live.on_the_way > 0)
            camera->live.on_the_way--;
        if (sent.tag == MQTT_PREVIEW)
            camera->has_preview_on_the_way = false;
        if (sent.reason >= FAILED) {
            take_refusal(camera, &sent);
            continue;
        }
        if (sent.tag == MQTT_PICTURE)
            atomic_fetch_add(&camera->counters.frames_acknowledged, 1);
        mqtt_window_acknowledge(&camera->window, sent.slot, sent.number);
    }
}
