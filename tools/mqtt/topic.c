// SPDX-License-Identifier: MIT
#include "tools/mqtt/topic.h"

#include <stdio.h>

void mqtt_topic_make(char topic[MQTT_TOPIC_BYTES], const char *prefix, const char *level,
                     const char *rest)
{
    snprintf(topic, MQTT_TOPIC_BYTES, "%s/%s/%s", prefix, level, rest);
}
