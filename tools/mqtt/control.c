// SPDX-License-Identifier: MIT
// Commands: set/FEATURE and trigger/command, answered on reply.
#include "tools/common/json.h"
#include "tools/common/say.h"
#include "tools/mqtt/camera.h"
#include "tools/mqtt/discovery.h"
#include "tools/mqtt/echo.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <string.h>

static const char set_prefix[] = "set/";
static const char trigger_command[] = "trigger/command";

void mqtt_control_subscribe(struct mqtt_camera *camera)
{
    char topic[MQTT_TOPIC_BYTES];
    const struct mqtt_camera_settings *settings = &camera->settings->camera;
    if (settings->allow_set) {
        mqtt_topic_make(topic, camera->bridge->prefix, camera->level, "set/+");
        mqtt_client_subscribe(&camera->client, topic);
    }
    if (settings->allow_trigger) {
        mqtt_topic_make(topic, camera->bridge->prefix, camera->level, trigger_command);
        mqtt_client_subscribe(&camera->client, topic);
    }
}

/** A command's value and what names it in the reply. */
struct command {
    const char *what; /**< its topic behind PREFIX/NODE/ */
    char value[MQTT_COMMAND_BYTES];
    json_t *id; /**< of the payload's object, or NULL */
};

/** The payload is the value itself, or {"value": ..., "id": ...}. */
static void read_payload(const struct mqtt_received *received, struct command *out)
{
    json_t *object = json_loads(received->payload, 0, NULL);
    const json_t *value = json_object_get(object, "value");
    strcpy(out->value, received->payload);
    if (json_is_object(object)) {
        char *text = json_is_string(value) ? strdup(json_string_value(value))
                     : value != NULL       ? json_text(value, JSON_ENCODE_ANY)
                                           : NULL;
        strncpy(out->value, text != NULL ? text : "", sizeof out->value - 1);
        out->id = json_incref(json_object_get(object, "id"));
        free(text);
    }
    json_decref(object);
}

static mosquitto_property *reply_properties(const struct mqtt_received *received)
{
    mosquitto_property *list = NULL;
    if (received->correlation_bytes > 0)
        mosquitto_property_add_binary(&list, MQTT_PROP_CORRELATION_DATA, received->correlation,
                                      received->correlation_bytes);
    return list;
}

static void reply(struct mqtt_camera *camera, const struct mqtt_received *received,
                  struct command *command, const char *error, const char *name, const char *result)
{
    json_t *object = json_object();
    json_put_text(&object, "command", command->what);
    if (command->id != NULL)
        json_put(&object, "id", json_incref(command->id));
    json_put_flag(&object, "ok", error == NULL);
    if (error != NULL)
        json_put_text(&object, "error", error);
    else
        json_put_number(&object, name, result);
    atomic_fetch_add(
        error == NULL ? &camera->counters.commands : &camera->counters.commands_refused, 1);
    if (error != NULL)
        say("%s: %s refused: %s", camera->settings->name, command->what, error);
    mqtt_publish_with(camera, "reply", object, reply_properties(received));
}

static void run_set(struct mqtt_camera *camera, const struct mqtt_received *received,
                    struct command *command)
{
    const char *name = command->what + strlen(set_prefix);
    char value[128] = "";
    struct pinhole *node = camera->link.node;
    const bool is_done = pinhole_set(node, name, command->value) == 0;
    if (is_done && pinhole_get(node, name, value, sizeof value) < 0)
        value[0] = '\0';
    reply(camera, received, command, is_done ? NULL : pinhole_error(node), "value", value);
    camera->state_ns = 0;
}

static void run_trigger(struct mqtt_camera *camera, const struct mqtt_received *received,
                        struct command *command)
{
    char text[24] = "";
    uint64_t id = 0;
    struct pinhole *node = camera->link.node;
    const bool is_done = pinhole_trigger(node, &id) == 0;
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    reply(camera, received, command, is_done ? NULL : pinhole_error(node), "trigger_id", text);
}

static void run(struct mqtt_camera *camera, const struct mqtt_received *received,
                struct command *command)
{
    const struct mqtt_camera_settings *settings = &camera->settings->camera;
    const bool is_set = strncmp(command->what, set_prefix, strlen(set_prefix)) == 0;
    const char *error = NULL;
    if (received->is_retained)
        error = "retained commands are not carried out: they would be repeated at each connection";
    else if (received->is_cut)
        error = "the payload is too long";
    else if (camera->link.node == NULL)
        error = "the node is away";
    else if (!(is_set ? settings->allow_set : settings->allow_trigger))
        error = "not allowed";
    if (error != NULL)
        reply(camera, received, command, error, "", "");
    else if (is_set)
        run_set(camera, received, command);
    else
        run_trigger(camera, received, command);
}

/** What stands behind PREFIX/NODE/, or NULL: no topic of this camera. */
static const char *rest_of(const struct mqtt_camera *camera, const char *topic)
{
    char base[MQTT_TOPIC_BYTES];
    mqtt_topic_make(base, camera->bridge->prefix, camera->level, "");
    const size_t length = strlen(base);
    return strncmp(topic, base, length) == 0 ? topic + length : NULL;
}

void mqtt_control_step(struct mqtt_camera *camera)
{
    struct mqtt_client *client = &camera->client;
    for (const struct mqtt_received *received; (received = mqtt_client_received(client)) != NULL;
         mqtt_client_drop_received(client)) {
        if (received->is_retained && mqtt_discovery_take(camera, received->topic))
            continue;
        struct command command = {.what = rest_of(camera, received->topic)};
        if (command.what == NULL || mqtt_echo_take(camera, command.what))
            continue;
        if (strcmp(command.what, "position") == 0) {
            mqtt_records_remembered(camera, received->payload);
            mqtt_client_unsubscribe(client, received->topic);
            continue;
        }
        read_payload(received, &command);
        run(camera, received, &command);
        json_decref(command.id);
    }
    if (client->inbox_dropped > 0) {
        say("%s: %u commands were dropped: too long, or too many at a time", camera->settings->name,
            client->inbox_dropped);
        atomic_fetch_add(&camera->counters.commands_refused, client->inbox_dropped);
        client->inbox_dropped = 0;
    }
}
