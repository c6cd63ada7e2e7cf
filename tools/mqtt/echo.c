// SPDX-License-Identifier: MIT
#include "tools/mqtt/echo.h"

#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/say.h"

#include <string.h>

enum { PATIENCE_S = 10 };

static const char topic_rest[] = "frame";

static void make_topic(const struct mqtt_camera *camera, char topic[MQTT_TOPIC_BYTES])
{
    mqtt_topic_make(topic, camera->bridge->prefix, camera->level, topic_rest);
}

void mqtt_echo_begin(struct mqtt_camera *camera)
{
    const struct mqtt_camera_settings *settings = &camera->settings->camera;
    const bool is_told =
        camera->client.spoken == 5 && (settings->qos == 1 || settings->policy == MQTT_EVERY);
    char topic[MQTT_TOPIC_BYTES];
    camera->echo.is_waiting = false;
    if (!settings->verify || is_told || camera->echo.is_over)
        return;
    make_topic(camera, topic);
    mqtt_client_subscribe(&camera->client, topic);
    camera->echo.is_waiting = true;
    camera->echo.sent_ns = 0;
    camera->echo.frames_before = atomic_load(&camera->counters.frames);
}

/** There is an answer, or there will be none. */
static void end(struct mqtt_camera *camera)
{
    char topic[MQTT_TOPIC_BYTES];
    make_topic(camera, topic);
    mqtt_client_unsubscribe(&camera->client, topic);
    camera->echo.is_waiting = false;
    camera->echo.is_over = true;
}

bool mqtt_echo_take(struct mqtt_camera *camera, const char *rest)
{
    if (strcmp(rest, topic_rest) != 0)
        return false;
    if (camera->echo.is_waiting)
        end(camera);
    return true;
}

void mqtt_echo_step(struct mqtt_camera *camera)
{
    struct mqtt_echo *echo = &camera->echo;
    if (!echo->is_waiting || camera->client.state != MQTT_UP)
        return;
    if (echo->sent_ns == 0 && atomic_load(&camera->counters.frames) > echo->frames_before)
        echo->sent_ns = clock_now_ns();
    if (echo->sent_ns == 0 || clock_now_ns() - echo->sent_ns < PATIENCE_S * NS_PER_S)
        return;
    say("%s: the broker takes %s/%s/frame and delivers nothing: its ACL forbids this user to "
        "publish or to read there, or the pictures are too large for it, which MQTT 3.1.1 and "
        "QoS 0 have no word for (verify = no: do not check)",
        camera->settings->name, camera->bridge->prefix, camera->level);
    end(camera);
}
