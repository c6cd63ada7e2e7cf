// SPDX-License-Identifier: MIT
// pinhole-mqtt: publishes Pinhole cameras to an MQTT broker. This file: start, each second, the
// end.
#include "hal/base.h"
#include "tools/common/say.h"
#include "tools/common/stop.h"
#include "tools/mqtt/camera.h"
#include "tools/mqtt/metrics.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    STACK_BYTES = 512 << 10,
    METRICS_INTERVAL_S = 15,
    ARENAS_MAX = 2, /**< of malloc(): a process with many threads would keep memory in each */
    KEPT_BYTES =
        4 << 20, /**< malloc() keeps this: else each picture's pages come from the kernel */
};

struct bridge {
    struct mqtt_settings settings;
    struct mqtt_broker broker;
    struct mqtt_camera *cameras;
    unsigned started;
    struct mqtt_metrics metrics;
    atomic_bool is_stopping;
    int wake_fd;
};

static void show_progress(struct bridge *bridge, unsigned long long *frames_before,
                          unsigned long long *bytes_before)
{
    unsigned connected = 0, nodes = 0;
    unsigned long long frames = 0, bytes = 0, left_out = 0;
    char text[200];
    for (unsigned i = 0; i < bridge->settings.nodes_count; i++) {
        const struct mqtt_camera *camera = &bridge->cameras[i];
        connected += atomic_load(&camera->is_connected);
        nodes += atomic_load(&camera->is_node_up);
        frames += atomic_load(&camera->counters.frames);
        bytes += atomic_load(&camera->counters.frame_bytes);
        left_out += atomic_load(&camera->counters.frames_left_out);
    }
    snprintf(text, sizeof text,
             "%u of %u nodes  broker %u  %llu pictures/s  %.2f MB/s  %llu pictures  left out %llu",
             nodes, bridge->settings.nodes_count, connected, frames - *frames_before,
             (double)(bytes - *bytes_before) / 1e6, frames, left_out);
    *frames_before = frames;
    *bytes_before = bytes;
    say_progress(text);
}

static void write_metrics(struct bridge *bridge, bool *was_said)
{
    const char *path = bridge->settings.bridge.metrics_file;
    const int result = *path != '\0' ? mqtt_metrics_write(&bridge->metrics, path) : 0;
    if (result < 0 && !*was_said)
        say("cannot write %s: %s; trying on", path, strerror(-result));
    *was_said = result < 0;
}

/** Sleeps until a signal, and keeps house each second. */
static void watch(struct bridge *bridge, const sigset_t *signals)
{
    const bool has_terminal = isatty(STDERR_FILENO) != 0 && !bridge->settings.is_quiet;
    const struct timespec second = {.tv_sec = 1};
    unsigned long long frames = 0, bytes = 0;
    bool was_said = false;
    for (uint32_t s = 0; bridge->settings.run_s == 0 || s < bridge->settings.run_s; s++) {
        if (s % METRICS_INTERVAL_S == 0)
            write_metrics(bridge, &was_said);
        if (sigtimedwait(signals, NULL, &second) > 0)
            break;
        if (has_terminal)
            show_progress(bridge, &frames, &bytes);
    }
    say_progress("");
    write_metrics(bridge, &was_said);
}

static int start_camera(struct bridge *bridge, unsigned index)
{
    struct mqtt_camera *camera = &bridge->cameras[index];
    pthread_attr_t attributes;
    mqtt_camera_init(camera, &bridge->settings, index, &bridge->broker, &bridge->is_stopping,
                     bridge->wake_fd);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    const int error = pthread_create(&camera->thread, &attributes, mqtt_camera_run, camera);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        say("%s: cannot start a thread: %s", camera->settings->name, strerror(error));
    return -error;
}

static int start(struct bridge *bridge)
{
    const struct mqtt_settings *settings = &bridge->settings;
    bridge->cameras = calloc(settings->nodes_count, sizeof *bridge->cameras);
    bridge->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bridge->cameras == NULL || bridge->wake_fd < 0) {
        say("cannot start: %s", strerror(errno));
        return -ENOMEM;
    }
    bridge->metrics.cameras = bridge->cameras;
    bridge->metrics.count = settings->nodes_count;
    while (bridge->started < settings->nodes_count && start_camera(bridge, bridge->started) == 0)
        bridge->started++;
    if (bridge->started < settings->nodes_count)
        return -EAGAIN;
    if (settings->bridge.metrics_listen[0] != '\0')
        return mqtt_metrics_start(&bridge->metrics, settings->bridge.metrics_listen);
    return 0;
}

static void stop(struct bridge *bridge)
{
    const uint64_t one = 1;
    atomic_store(&bridge->is_stopping, true);
    if (bridge->wake_fd >= 0 && write(bridge->wake_fd, &one, sizeof one) < 0)
        say("cannot wake the cameras' threads: %s",
            strerror(errno)); // they wake by themselves
    for (unsigned i = 0; i < bridge->started; i++)
        pthread_join(bridge->cameras[i].thread, NULL);
    mqtt_metrics_stop(&bridge->metrics);
    if (bridge->wake_fd >= 0)
        close(bridge->wake_fd);
    free(bridge->cameras);
}

int main(int argc, char **argv)
{
    static struct bridge bridge;
    struct mqtt_settings_error error;
    sigset_t signals;
    bridge.wake_fd = -1;
    const int result = mqtt_settings_read(&bridge.settings, argc, argv, &error);
    if (result > 0)
        return EXIT_SUCCESS;
    if (result < 0 || mqtt_broker_init(&bridge.broker, &bridge.settings.broker, &error) < 0) {
        say("%s", error.text);
        return EXIT_USAGE;
    }
    stop_signals_block(&signals);
    signal(SIGPIPE, SIG_IGN);
    mallopt(M_ARENA_MAX, ARENAS_MAX);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mosquitto_lib_init();
    const bool is_started = start(&bridge) == 0;
    if (is_started)
        watch(&bridge, &signals);
    stop(&bridge);
    mosquitto_lib_cleanup();
    return is_started ? EXIT_SUCCESS : EXIT_FAILURE;
}
