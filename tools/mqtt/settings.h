// SPDX-License-Identifier: MIT
// The settings of pinhole-mqtt: defaults, INI file, command line, in this order. What a [node NAME]
// section says of its node comes last.
#ifndef PINHOLE_TOOLS_MQTT_SETTINGS_H
#define PINHOLE_TOOLS_MQTT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Room for a TEXT with its 0. */
#define MQTT_TEXT_BYTES 192
/** Most nodes of a process. Each has a thread and a connection to the broker. */
#define MQTT_NODES_MAX 256

enum mqtt_version_wish { MQTT_VERSION_AUTO, MQTT_VERSION_5, MQTT_VERSION_311 };
enum mqtt_policy { MQTT_LATEST, MQTT_EVERY };
enum mqtt_payload { MQTT_PAYLOAD_JPEG, MQTT_PAYLOAD_HEADER };

#define MQTT_MEMBER_TEXT(key)                           char key[MQTT_TEXT_BYTES];
#define MQTT_MEMBER_NUMBER(key)                         uint32_t key;
#define MQTT_MEMBER_FLAG(key)                           bool key;
#define MQTT_MEMBER_CHOICE(key)                         unsigned key;
#define MQTT_MEMBER(key, type, standard, min, max, ...) MQTT_MEMBER_##type(key)

/** Section [broker]. */
struct mqtt_broker_settings {
#define BROKER MQTT_MEMBER
#include "tools/mqtt/settings.def"
};

/** Section [cameras], and what differs in a [node NAME]. */
struct mqtt_camera_settings {
#define CAMERA MQTT_MEMBER
#include "tools/mqtt/settings.def"
};

/** Section [bridge]. */
struct mqtt_bridge_settings {
#define BRIDGE MQTT_MEMBER
#include "tools/mqtt/settings.def"
};

/** One node. */
struct mqtt_node_settings {
    char name[MQTT_TEXT_BYTES];    /**< its level in topics, before escaping */
    char address[MQTT_TEXT_BYTES]; /**< for pinhole_open() */
    struct mqtt_camera_settings camera;
};

struct mqtt_settings {
    struct mqtt_broker_settings broker;
    struct mqtt_camera_settings cameras; /**< what nodes start from */
    struct mqtt_bridge_settings bridge;
    bool is_quiet;  /**< no progress line */
    uint32_t run_s; /**< 0 = until a signal */
    unsigned nodes_count;
    struct mqtt_node_settings nodes[MQTT_NODES_MAX];
};

/** Why settings cannot be used: a sentence that names the place. */
struct mqtt_settings_error {
    char text[512];
};

/** Fills *out from defaults, --config and the command line. 0; 1 when --help or --version was
 * printed; -EINVAL with *error. */
int mqtt_settings_read(struct mqtt_settings *out, int argc, char **argv,
                       struct mqtt_settings_error *error);

#endif
