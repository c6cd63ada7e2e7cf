// SPDX-License-Identifier: MIT
// A camera's thread: waits for the node and the broker, and serves both.
#include "tools/mqtt/camera.h"

#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/say.h"
#include "tools/mqtt/discovery.h"
#include "tools/mqtt/echo.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 500,        /**< longest sleep: keep-alive, state, position */
    ANSWERS_WAIT_MS = 50, /**< for the node's next picture, which then saves a wake-up */
    AWAY_TICK_MS = 50,    /**< while a link is being made, which has no descriptor to wait for */
    SHORT_LIVES_MAX = 5,
    SHORT_CONNECTION_S = 5,
    LONG_CONNECTION_S = 60, /**< its end is news, whatever the reason */
    GOODBYE_MS = 1000,      /**< for the last messages */
};

static const char will[] = "{\"state\":\"offline\",\"reason\":\"the bridge is gone\"}";

void mqtt_camera_init(struct mqtt_camera *camera, const struct mqtt_settings *settings,
                      unsigned index, struct mqtt_broker *broker, const atomic_bool *is_stopping,
                      int wake_fd)
{
    char topic[MQTT_TOPIC_BYTES];
    memset(camera, 0, sizeof *camera);
    camera->settings = &settings->nodes[index];
    camera->bridge = &settings->bridge;
    camera->all = settings;
    camera->is_stopping = is_stopping;
    camera->wake_fd = wake_fd;
    level_from_name(camera->level, sizeof camera->level, camera->settings->name);
    mqtt_topic_make(camera->frame_topic, camera->bridge->prefix, camera->level, "frame");
    mqtt_topic_make(camera->meta_topic, camera->bridge->prefix, camera->level, "frame/meta");
    mqtt_topic_make(topic, camera->bridge->prefix, camera->level, "state");
    mqtt_client_init(&camera->client, broker, camera->level, topic, will);
}

/** FNV-1a, 32 bits. */
static uint32_t hash(const char *text)
{
    uint32_t sum = 2166136261u;
    for (; *text != '\0'; text++)
        sum = (sum ^ (unsigned char)*text) * 16777619u;
    return sum;
}

/** Was this reason said lately? Notes it as said. */
static bool was_said(struct mqtt_troubles *troubles, const char *why)
{
    const uint32_t sum = hash(why);
    for (unsigned i = 0; i < ARRAY_SIZE(troubles->said); i++)
        if (troubles->said[i] == sum)
            return true;
    troubles->said[troubles->next] = sum;
    troubles->next = (troubles->next + 1) % ARRAY_SIZE(troubles->said);
    return false;
}

/** Two clients of one identifier take the connection from each other; few brokers say so. */
static void note_short_life(struct mqtt_camera *camera, bool is_short)
{
    struct mqtt_troubles *troubles = &camera->troubles;
    troubles->short_lives = is_short ? troubles->short_lives + 1 : 0;
    if (troubles->short_lives == SHORT_LIVES_MAX)
        say("%s: the broker ends each connection soon: does another client have the "
            "identifier %s?",
            camera->settings->name, camera->client.id);
}

/** One line for each kind of trouble, not one for each attempt. */
static void say_lost(struct mqtt_camera *camera, bool was_up)
{
    const struct mqtt_client *client = &camera->client;
    struct mqtt_troubles *troubles = &camera->troubles;
    if (was_up && client->lasted_ns > LONG_CONNECTION_S * NS_PER_S)
        memset(troubles->said, 0, sizeof troubles->said);
    troubles->is_repeating = was_said(troubles, client->why);
    if (!troubles->is_repeating)
        say("%s: %s:%d: %s: %s", camera->settings->name, client->broker->host, client->broker->port,
            was_up ? "connection lost" : "cannot connect", client->why);
    note_short_life(camera, was_up && !client->is_dropped &&
                                client->lasted_ns < SHORT_CONNECTION_S * NS_PER_S);
}

/** The connection was made or lost. */
static void note_change(struct mqtt_camera *camera)
{
    const bool was_up = atomic_exchange(&camera->is_connected, camera->client.state == MQTT_UP);
    if (camera->client.state != MQTT_UP) {
        say_lost(camera, was_up);
        camera->has_preview_on_the_way = false;
        mqtt_records_lost(camera);
        return;
    }
    if (!camera->troubles.is_repeating)
        say("%s: connected to the broker %s:%d, MQTT %s", camera->settings->name,
            camera->client.broker->host, camera->client.broker->port,
            camera->client.spoken == 5 ? "5" : "3.1.1");
    atomic_fetch_add(&camera->counters.connections, 1);
    mqtt_records_connected(camera);
    mqtt_control_subscribe(camera);
    mqtt_echo_begin(camera);
    if (camera->settings == camera->all->nodes)
        mqtt_discovery_subscribe(camera);
    camera->state_ns = 0;
    if (!atomic_load(&camera->is_node_up))
        mqtt_state_publish(camera, "the node is away");
}

void mqtt_camera_drop(struct mqtt_camera *camera, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    mqtt_client_drop(&camera->client, format, arguments);
    va_end(arguments);
}

/** May the broker's acknowledgements wait for the next picture? They are no reason to wake when
 * nothing waits for them. A command is one. */
static bool can_answers_wait(const struct mqtt_camera *camera)
{
    const struct mqtt_camera_settings *settings = &camera->settings->camera;
    return settings->policy == MQTT_LATEST && camera->live.waiting == NULL &&
           camera->live.on_the_way > 0 && !settings->allow_set && !settings->allow_trigger;
}

/** Sleeps until something is to be done. Returns what the broker's socket is ready for. */
static short wait(struct mqtt_camera *camera)
{
    short events = 0;
    const int node_fd = camera->link.node != NULL ? pinhole_fd(camera->link.node) : -1;
    struct pollfd fds[3] = {
        {.fd = mqtt_client_poll(&camera->client, &events)},
        // While records are not taken their arrival is no reason to wake.
        {.fd = camera->wants_records ? node_fd : -1, .events = POLLIN},
        {.fd = camera->wake_fd, .events = POLLIN},
    };
    const bool is_settled = camera->client.state == MQTT_UP && node_fd >= 0;
    const bool is_late = is_settled && can_answers_wait(camera);
    fds[0].events = is_late ? (short)((events & ~POLLIN) | POLLRDHUP) : events;
    poll(fds, ARRAY_SIZE(fds),
         camera->has_more ? 0
         : is_late        ? ANSWERS_WAIT_MS
         : is_settled     ? TICK_MS
                          : AWAY_TICK_MS);
    if (fds[0].fd < 0)
        return 0;
    return (short)(is_late ? fds[0].revents | POLLIN : fds[0].revents);
}

static void step(struct mqtt_camera *camera)
{
    if (mqtt_client_step(&camera->client, wait(camera)))
        note_change(camera);
    mqtt_publish_settle(camera);
    mqtt_control_step(camera);
    mqtt_records_step(camera);
    mqtt_state_step(camera);
    mqtt_echo_step(camera);
}

/** Gives the messages on their way a moment to be acknowledged. */
static void drain(struct mqtt_camera *camera)
{
    struct mqtt_client *client = &camera->client;
    const uint64_t until_ns = clock_now_ns() + GOODBYE_MS * NS_PER_MS;
    while (client->state == MQTT_UP && client->sent_count > 0 && clock_now_ns() < until_ns) {
        short events;
        struct pollfd fd = {.fd = mqtt_client_poll(client, &events)};
        fd.events = events;
        poll(&fd, 1, AWAY_TICK_MS);
        mqtt_client_step(client, fd.revents);
        mqtt_publish_settle(camera);
    }
}

static void say_goodbye(struct mqtt_camera *camera)
{
    drain(camera);
    mqtt_records_remember(camera, true);
    mqtt_state_publish(camera, "the bridge has ended");
    drain(camera);
    mqtt_client_close(&camera->client);
}

void *mqtt_camera_run(void *user)
{
    struct mqtt_camera *camera = user;
    while (!atomic_load(camera->is_stopping))
        step(camera);
    say_goodbye(camera);
    mqtt_records_end(camera);
    free(camera->scratch);
    return NULL;
}
