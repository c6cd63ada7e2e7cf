// SPDX-License-Identifier: MIT
// Topics, and names in them. Pure.
//
// A level keeps letters, digits and '-'. '_' becomes "__", and any other byte '_' and two
// lower-case hexadecimal digits: "line 1.5" is "line_201_2e5". Brokers change or refuse '.', ' ',
// '*' and '+'.
#ifndef PINHOLE_TOOLS_MQTT_TOPIC_H
#define PINHOLE_TOOLS_MQTT_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

/** Room for a level: three bytes for each of a name's 60, and the 0. */
#define MQTT_LEVEL_BYTES 184
/** Room for a topic. */
#define MQTT_TOPIC_BYTES 800

/** Writes the level of a name. False, with *level cut at a whole character: no room. */
bool mqtt_level_from_name(char *level, size_t bytes, const char *name);
/** Writes the name of a level. False: no room, or no name becomes this level. */
bool mqtt_level_to_name(char *name, size_t bytes, const char *level);
/** Writes PREFIX/LEVEL/REST. */
void mqtt_topic_make(char topic[MQTT_TOPIC_BYTES], const char *prefix, const char *level,
                     const char *rest);

#endif
