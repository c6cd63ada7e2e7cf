// SPDX-License-Identifier: MIT
// The counters in Prometheus text format: by HTTP, or as a file for the node exporter.
#ifndef PINHOLE_TOOLS_MQTT_METRICS_H
#define PINHOLE_TOOLS_MQTT_METRICS_H

#include "tools/mqtt/camera.h"

/** What the metrics are about. The cameras stay until mqtt_metrics_stop(). */
struct mqtt_metrics {
    const struct mqtt_camera *cameras;
    unsigned count;
    struct MHD_Daemon *daemon; /**< NULL: no HTTP */
};

/** Serves GET /metrics on `listen`, "ADDRESS:PORT". -errno after saying what was wrong. */
int mqtt_metrics_start(struct mqtt_metrics *metrics, const char *listen);
void mqtt_metrics_stop(struct mqtt_metrics *metrics);
/** Replaces the file at `path` in one step. -errno. */
int mqtt_metrics_write(const struct mqtt_metrics *metrics, const char *path);

#endif
