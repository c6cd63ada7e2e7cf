// SPDX-License-Identifier: MIT
// The messages' payloads. Pure. What is in them: README.md, "Topics".
//
// A JSON message is an object for mqtt_camera's publishing; NULL when memory ran out.
#ifndef PINHOLE_TOOLS_MQTT_MESSAGE_H
#define PINHOLE_TOOLS_MQTT_MESSAGE_H

#include "net/client/pinhole.h"
#include "tools/common/frame_members.h"
#include "tools/mqtt/window.h"

#include <jansson.h>
#include <mosquitto.h>
#include <stdbool.h>
#include <stdint.h>

/** Bytes of the header of `payload = header`. */
#define MQTT_HEADER_BYTES 48

/** Writes the header that stands before the JPEG. */
void mqtt_message_put_header(uint8_t out[MQTT_HEADER_BYTES], const struct pinhole_frame *frame);
/** What is known of a frame. It goes out twice, so it is put into words once. */
struct mqtt_meta {
    unsigned count;
    struct frame_member members[1 + FRAME_MEMBERS_MAX];
};
/** Room for it as JSON: a member has a name of at most 20 bytes. */
#define MQTT_META_JSON_BYTES                                                                       \
    ((1 + FRAME_MEMBERS_MAX) * (20 + sizeof "\"\":\"\"," + FRAME_MEMBER_BYTES))
void mqtt_message_meta(struct mqtt_meta *meta, const struct pinhole_frame *frame);
/** As JSON and a 0. */
void mqtt_message_meta_json(const struct mqtt_meta *meta, char out[MQTT_META_JSON_BYTES]);
/** As MQTT 5 user properties, with content type and expiry (0: none). NULL: out of memory. Freed
 * by mosquitto_property_free_all(). */
mosquitto_property *mqtt_message_properties(const struct mqtt_meta *meta, const char *content_type,
                                            uint32_t expiry_s);
/** The trigger that a frame answers. */
json_t *mqtt_message_frame_trigger(const struct pinhole_frame *frame);
/** Triggers without a picture. */
json_t *mqtt_message_event_trigger(const struct pinhole_event *event);
/** An event of the node, or of the link to it. */
json_t *mqtt_message_event(const struct pinhole_event *event);
/** An event of the bridge about records first..last of that boot. */
json_t *mqtt_message_own_event(const char *kind, uint64_t boot_id, uint64_t first, uint64_t last,
                               const char *text);
/** A place in the node's log. */
json_t *mqtt_message_position(const struct mqtt_place *place);
/** Reads what mqtt_message_position() has made. False: it is something else. */
bool mqtt_message_read_position(const char *text, struct mqtt_place *out);
/** Puts a time of CLOCK_REALTIME in ISO 8601 with milliseconds, UTC. */
void mqtt_message_put_time(json_t **object, const char *name, uint64_t realtime_ns);

#endif
