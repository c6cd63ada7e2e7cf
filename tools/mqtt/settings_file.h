// SPDX-License-Identifier: MIT
// Settings from an INI file, and what it shares with the command line.
#ifndef PINHOLE_TOOLS_MQTT_SETTINGS_FILE_H
#define PINHOLE_TOOLS_MQTT_SETTINGS_FILE_H

#include "tools/mqtt/settings.h"

/** Reads the sections for all nodes, or (wants_nodes) those of single nodes. -EINVAL with *error,
 * which names file and line. */
int mqtt_settings_read_file(struct mqtt_settings *settings, const char *path, bool wants_nodes,
                            struct mqtt_settings_error *error);
/** Sets a key of [broker], [cameras] or [bridge]. `where` begins the sentence of an error. */
int mqtt_settings_set(struct mqtt_settings *settings, const char *section, const char *name,
                      const char *text, const char *where, struct mqtt_settings_error *error);
/** Sets a key of one node. */
int mqtt_settings_set_camera(struct mqtt_camera_settings *camera, const char *name,
                             const char *text, const char *where,
                             struct mqtt_settings_error *error);
/** Adds a node that starts from [cameras]. NULL with *error: no room, or the name is taken. */
struct mqtt_node_settings *mqtt_settings_node(struct mqtt_settings *settings, const char *name,
                                              const char *where, struct mqtt_settings_error *error);
/** Writes *error. Returns -EINVAL. */
int mqtt_settings_fail(struct mqtt_settings_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
