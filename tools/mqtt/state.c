// SPDX-License-Identifier: MIT
// The retained topics: state, features.
#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/json.h"
#include "tools/mqtt/camera.h"
#include "tools/mqtt/discovery.h"
#include "tools/mqtt/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURES_MAX = 96, STATS_BYTES = 64 << 10 };

/** Sums the node's pinhole_triggers_total over the sources. */
static uint64_t count_triggers(const char *stats, const char *outcome)
{
    static const char name[] = "pinhole_triggers_total{";
    char label[32];
    uint64_t sum = 0;
    snprintf(label, sizeof label, "outcome=\"%s\"} ", outcome);
    for (const char *line = strstr(stats, name); line != NULL; line = strstr(line + 1, name)) {
        const char *value = strstr(line, label);
        if (value != NULL && value < line + strcspn(line, "\n"))
            sum += strtoull(value + strlen(label), NULL, 10);
    }
    return sum;
}

static void put_triggers(struct mqtt_camera *camera, json_t **object)
{
    char *stats = malloc(STATS_BYTES);
    if (stats != NULL && camera->link.node != NULL &&
        pinhole_stats(camera->link.node, stats, STATS_BYTES) > 0) {
        json_put_u64(object, "triggers_matched", count_triggers(stats, "matched"));
        json_put_u64(object, "triggers_missed", count_triggers(stats, "missed"));
        json_put_u64(object, "triggers_overrun", count_triggers(stats, "overrun"));
        json_put_u64(object, "triggers_failed", count_triggers(stats, "failed"));
    }
    free(stats);
}

static void put_rate(struct mqtt_camera *camera, json_t **object)
{
    struct mqtt_rate *rate = &camera->rate;
    const uint64_t now_ns = clock_now_ns();
    // frame_id begins again when the node restarts.
    if (rate->since_ns != 0 && rate->frame_id >= rate->since_frame_id)
        json_put_real(object, "frames_per_second",
                      (double)(rate->frame_id - rate->since_frame_id) /
                          ((double)(now_ns - rate->since_ns + 1) / 1e9));
    rate->since_frame_id = rate->frame_id;
    rate->since_ns = now_ns;
}

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
    if (*reason != '\0') {
        json_put_text(&object, "reason", reason);
    } else {
        put_rate(camera, &object);
        put_triggers(camera, &object);
    }
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
    if (count >= 0)
        mqtt_discovery_publish(camera, features, count < FEATURES_MAX ? count : FEATURES_MAX);
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
