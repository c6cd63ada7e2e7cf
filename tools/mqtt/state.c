// SPDX-License-Identifier: MIT
// The retained topics: state, features.
#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/json.h"
#include "tools/mqtt/camera.h"
#include "tools/mqtt/message.h"

enum { FEATURES_MAX = 96 };

void mqtt_state_publish(struct mqtt_camera *camera, const char *reason)
{
    json_t *object = json_object();
    if (camera->client.state != MQTT_UP) {
        json_decref(object);
        return;
    }
    json_put_text(&object, "state", *reason == '\0' ? "online" : "offline");
    json_put_text(&object, "node", camera->settings->name);
    mqtt_message_put_time(&object, "time", clock_realtime_ns());
    if (*reason != '\0')
        json_put_text(&object, "reason", reason);
    mqtt_publish(camera, "state", object, true, -1, MQTT_OTHER);
    camera->state_ns = clock_now_ns();
}

void mqtt_state_features(struct mqtt_camera *camera)
{
    static _Thread_local struct pinhole_feature features[FEATURES_MAX];
    if (camera->client.state != MQTT_UP || camera->link.node == NULL)
        return;
    int count = pinhole_features(camera->link.node, features, FEATURES_MAX);
    json_t *object = json_object();
    for (int i = 0; i < count && i < FEATURES_MAX; i++)
        json_put_number(&object, features[i].name, features[i].value);
    if (count > 0)
        mqtt_publish(camera, "features", object, true, -1, MQTT_OTHER);
    else
        json_decref(object);
}

void mqtt_state_step(struct mqtt_camera *camera)
{
    const uint64_t interval_ns = camera->settings->camera.state_interval_s * NS_PER_S;
    if (camera->client.state != MQTT_UP || !atomic_load(&camera->is_node_up) ||
        (camera->state_ns != 0 && clock_now_ns() - camera->state_ns < interval_ns))
        return;
    if (camera->state_ns == 0)
        mqtt_state_features(camera);
    mqtt_state_publish(camera, "");
}
