// SPDX-License-Identifier: MIT
#include "tools/mqtt/discovery.h"

#include "hal/base.h"
#include "tools/common/json.h"
#include "tools/common/level.h"
#include "tools/common/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** What a device is made of, while it is being made. */
struct device {
    const struct mqtt_camera *camera;
    json_t *components;
};

static void make_topic(const struct mqtt_camera *camera, const char *level,
                       char topic[MQTT_TOPIC_BYTES])
{
    snprintf(topic, MQTT_TOPIC_BYTES, "%s/device/%s/%s/config", camera->bridge->discovery_prefix,
             camera->client.broker->settings->client_id, level);
}

static void put_topic(const struct device *device, json_t **object, const char *name,
                      const char *rest)
{
    char topic[MQTT_TOPIC_BYTES];
    mqtt_topic_make(topic, device->camera->bridge->prefix, device->camera->level, rest);
    json_put_text(object, name, topic);
}

static json_t *begin(const struct device *device, const char *platform, const char *id,
                     const char *name)
{
    char unique[MQTT_TEXT_BYTES + LEVEL_BYTES + 64];
    json_t *object = json_object();
    snprintf(unique, sizeof unique, "%s_%s", device->camera->client.id, id);
    json_put_text(&object, "platform", platform);
    json_put_text(&object, "unique_id", unique);
    json_put_text(&object, "name", name);
    return object;
}

static void end(struct device *device, const char *id, json_t *object)
{
    json_put(&device->components, id, object);
}

// --- entities -----------------------------------------------------------------------------------

static void add_pictures(struct device *device)
{
    const struct mqtt_camera_settings *settings = &device->camera->settings->camera;
    const char *topic = settings->preview_width != 0 ? "preview" : "frame";
    // Home Assistant takes bare pictures only.
    if (settings->preview_width == 0 && settings->payload == MQTT_PAYLOAD_HEADER)
        return;
    json_t *image = begin(device, "image", "image", "Picture");
    put_topic(device, &image, "image_topic", topic);
    json_put_text(&image, "content_type", "image/jpeg");
    end(device, "image", image);
    json_t *camera = begin(device, "camera", "camera", "Camera");
    put_topic(device, &camera, "topic", topic);
    end(device, "camera", camera);
}

static void add_button(struct device *device)
{
    if (!device->camera->settings->camera.allow_trigger)
        return;
    json_t *button = begin(device, "button", "trigger", "Trigger");
    put_topic(device, &button, "command_topic", "trigger/command");
    end(device, "trigger", button);
}

/** A sensor of a member of a topic's JSON. The template is safe where the member is absent. */
static json_t *begin_sensor(const struct device *device, const char *id, const char *name,
                            const char *topic, const char *member)
{
    char template[80];
    json_t *sensor = begin(device, "sensor", id, name);
    put_topic(device, &sensor, "state_topic", topic);
    snprintf(template, sizeof template, "{{ value_json.%s | default(none) }}", member);
    json_put_text(&sensor, "value_template", template);
    return sensor;
}

static void add_sensors(struct device *device)
{
    static const char *const outcomes[][3] = {
        {"matched", "Triggers with a picture", "triggers_matched"},
        {"missed", "Triggers missed", "triggers_missed"},
        {"overrun", "Triggers overrun", "triggers_overrun"},
        {"failed", "Triggers failed", "triggers_failed"},
    };
    json_t *rate = begin_sensor(device, "frame_rate", "Frame rate", "state", "frames_per_second");
    json_put_text(&rate, "unit_of_measurement", "frames/s");
    json_put_text(&rate, "state_class", "measurement");
    end(device, "frame_rate", rate);
    json_t *last = begin_sensor(device, "last_trigger", "Last trigger", "trigger", "time");
    json_put_text(&last, "device_class", "timestamp");
    end(device, "last_trigger", last);
    for (unsigned i = 0; i < ARRAY_SIZE(outcomes); i++) {
        json_t *count =
            begin_sensor(device, outcomes[i][0], outcomes[i][1], "state", outcomes[i][2]);
        json_put_text(&count, "state_class", "total_increasing");
        json_put_text(&count, "entity_category", "diagnostic");
        end(device, outcomes[i][0], count);
    }
}

static void put_control(const struct device *device, json_t **object,
                        const struct pinhole_feature *feature)
{
    char command[sizeof feature->name + 8], template[sizeof feature->name + 24];
    snprintf(command, sizeof command, "set/%s", feature->name);
    snprintf(template, sizeof template, "{{ value_json.%s }}", feature->name);
    put_topic(device, object, "command_topic", command);
    put_topic(device, object, "state_topic", "features");
    json_put_text(object, "value_template", template);
    json_put_text(object, "entity_category", "config");
}

static void add_number(struct device *device, const struct pinhole_feature *feature)
{
    enum { STEP_MIN_MILLI = 1 }; // Home Assistant takes no smaller step than 0.001
    json_t *number = begin(device, "number", feature->name, feature->name);
    put_control(device, &number, feature);
    json_put_number(&number, "min", feature->min);
    json_put_number(&number, "max", feature->max);
    if (feature->increment[0] != '\0')
        json_put_number(&number, "step", feature->increment);
    else
        json_put_real(&number, "step", STEP_MIN_MILLI / 1e3);
    json_put_text(&number, "mode", "box");
    if (feature->unit[0] != '\0')
        json_put_text(&number, "unit_of_measurement",
                      strcmp(feature->unit, "us") == 0 ? "μs" : feature->unit);
    end(device, feature->name, number);
}

static void add_select(struct device *device, const struct pinhole_feature *feature)
{
    char choices[sizeof feature->choices], *rest = choices;
    json_t *options = json_array();
    memcpy(choices, feature->choices, sizeof choices);
    for (const char *choice; (choice = strsep(&rest, "|")) != NULL;)
        json_put_item(&options, json_from_text(choice));
    json_t *select = begin(device, "select", feature->name, feature->name);
    put_control(device, &select, feature);
    json_put(&select, "options", options);
    end(device, feature->name, select);
}

static void add_controls(struct device *device, const struct pinhole_feature *features, int count)
{
    static const char *const shown[] = {"ExposureTime", "ExposureAuto", "Gain",
                                        "GainAuto",     "TriggerMode",  "TriggerSource"};
    for (int i = 0; i < count && device->camera->settings->camera.allow_set; i++)
        for (unsigned k = 0; k < ARRAY_SIZE(shown); k++) {
            const struct pinhole_feature *feature = &features[i];
            if (strcmp(feature->name, shown[k]) != 0 || !feature->writable)
                continue;
            if (strcmp(feature->type, "Enum") == 0)
                add_select(device, feature);
            else if (feature->min[0] != '\0' && feature->max[0] != '\0')
                add_number(device, feature);
        }
}

static void add_temperature(struct device *device, const struct pinhole_feature *features,
                            int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(features[i].name, "DeviceTemperature") != 0)
            continue;
        json_t *sensor =
            begin_sensor(device, "temperature", "Temperature", "features", "DeviceTemperature");
        json_put_text(&sensor, "device_class", "temperature");
        json_put_text(&sensor, "unit_of_measurement", "°C");
        json_put_text(&sensor, "state_class", "measurement");
        json_put_text(&sensor, "entity_category", "diagnostic");
        end(device, "temperature", sensor);
    }
}

// --- the device ---------------------------------------------------------------------------------

static json_t *describe_device(const struct mqtt_camera *camera)
{
    const struct pinhole_info *info = pinhole_info(camera->link.node);
    json_t *object = json_object(), *identifiers = json_array();
    json_put_item(&identifiers, json_from_text(camera->client.id));
    json_put(&object, "identifiers", identifiers);
    json_put_text(&object, "name", camera->settings->name);
    json_put_text(&object, "manufacturer", "Pinhole");
    json_put_text(&object, "model", info->model);
    json_put_text(&object, "sw_version", info->version);
    return object;
}

static json_t *describe_origin(void)
{
    json_t *object = json_object();
    json_put_text(&object, "name", "pinhole-mqtt");
    json_put_text(&object, "sw_version", pinhole_version());
    return object;
}

static json_t *describe_availability(const struct device *device)
{
    json_t *list = json_array(), *object = json_object();
    put_topic(device, &object, "topic", "state");
    json_put_text(&object, "value_template", "{{ value_json.state }}");
    json_put_item(&list, object);
    return list;
}

/** Publishes the device with these components (taken over). */
static bool publish_device(struct mqtt_camera *camera, json_t *components, bool is_retained)
{
    const struct device device = {.camera = camera};
    char topic[MQTT_TOPIC_BYTES];
    json_t *object = json_object();
    json_put(&object, "device", describe_device(camera));
    json_put(&object, "origin", describe_origin());
    json_put(&object, "availability", describe_availability(&device));
    json_put(&object, "components", components);
    char *text = json_line(object);
    make_topic(camera, camera->level, topic);
    const bool is_done =
        text != NULL && mqtt_publish_text(camera, topic, text, is_retained, "discovery");
    free(text);
    return is_done;
}

/** Home Assistant keeps a component until a message has it with nothing but its platform. So what
 * an earlier start may have announced, with other settings, is removed once. */
static void remove_others(struct mqtt_camera *camera, json_t *components)
{
    static const char *const all[][2] = {
        {"image", "image"},          {"camera", "camera"},       {"trigger", "button"},
        {"temperature", "sensor"},   {"ExposureTime", "number"}, {"Gain", "number"},
        {"ExposureAuto", "select"},  {"GainAuto", "select"},     {"TriggerMode", "select"},
        {"TriggerSource", "select"},
    };
    json_t *more = json_copy(components);
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        if (json_object_get(components, all[i][0]) == NULL) {
            json_t *removed = json_object();
            json_put_text(&removed, "platform", all[i][1]);
            json_put(&more, all[i][0], removed);
        }
    if (json_object_size(more) > json_object_size(components))
        camera->is_announced = publish_device(camera, more, false);
    else
        json_decref(more);
}

void mqtt_discovery_publish(struct mqtt_camera *camera, const struct pinhole_feature *features,
                            int count)
{
    struct device device = {.camera = camera, .components = json_object()};
    if (camera->bridge->discovery_prefix[0] == '\0') {
        json_decref(device.components);
        return;
    }
    add_pictures(&device);
    add_button(&device);
    add_sensors(&device);
    add_temperature(&device, features, count);
    add_controls(&device, features, count);
    if (!camera->is_announced)
        remove_others(camera, device.components);
    publish_device(camera, device.components, true);
}

// --- removed nodes ------------------------------------------------------------------------------

void mqtt_discovery_subscribe(struct mqtt_camera *camera)
{
    char topic[MQTT_TOPIC_BYTES];
    make_topic(camera, "+", topic);
    if (camera->bridge->discovery_prefix[0] != '\0')
        mqtt_client_subscribe(&camera->client, topic);
}

static bool is_configured(const struct mqtt_camera *camera, const char *level)
{
    char name[LEVEL_BYTES];
    if (!level_to_name(name, sizeof name, level))
        return true; // not ours to judge
    for (unsigned i = 0; i < camera->all->nodes_count; i++)
        if (strcmp(camera->all->nodes[i].name, name) == 0)
            return true;
    return false;
}

/** Empties the retained topics of a node. */
static void remove_node(struct mqtt_camera *camera, const char *level)
{
    static const char *const retained[] = {"state", "features", "position"};
    char topic[MQTT_TOPIC_BYTES];
    make_topic(camera, level, topic);
    mqtt_publish_text(camera, topic, "", true, "removal");
    for (unsigned i = 0; i < ARRAY_SIZE(retained); i++) {
        mqtt_topic_make(topic, camera->bridge->prefix, level, retained[i]);
        mqtt_publish_text(camera, topic, "", true, "removal");
    }
    say("%s: removed from Home Assistant: it is no longer in the settings", level);
}

bool mqtt_discovery_take(struct mqtt_camera *camera, const char *topic)
{
    char before[MQTT_TOPIC_BYTES], level[LEVEL_BYTES];
    make_topic(camera, "", before);
    char *end_of_before = strstr(before, "/config");
    if (camera->bridge->discovery_prefix[0] == '\0' || end_of_before == NULL)
        return false;
    *end_of_before = '\0';
    const size_t length = strlen(before);
    if (strncmp(topic, before, length) != 0)
        return false;
    snprintf(level, sizeof level, "%.*s", (int)strcspn(topic + length, "/"), topic + length);
    if (!is_configured(camera, level))
        remove_node(camera, level);
    return true;
}
