// SPDX-License-Identifier: MIT
// Topics. Pure.
#ifndef PINHOLE_TOOLS_MQTT_TOPIC_H
#define PINHOLE_TOOLS_MQTT_TOPIC_H

/** Room for a topic. */
#define MQTT_TOPIC_BYTES 800

/** Writes PREFIX/LEVEL/REST. */
void mqtt_topic_make(char topic[MQTT_TOPIC_BYTES], const char *prefix, const char *level,
                     const char *rest);

#endif
