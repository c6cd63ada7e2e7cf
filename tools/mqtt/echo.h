// SPDX-License-Identifier: MIT
// Does the broker deliver what it takes? Under MQTT 3.1.1, and at QoS 0, a broker has no word for a
// message that it refuses: an ACL or a size limit throws it away, acknowledged or not. So a bridge
// asks once for one of its own pictures back.
#ifndef PINHOLE_TOOLS_MQTT_ECHO_H
#define PINHOLE_TOOLS_MQTT_ECHO_H

#include "tools/mqtt/camera.h"

/** The connection was made: asks for a picture back, if that is still open. */
void mqtt_echo_begin(struct mqtt_camera *camera);
/** Takes a message. True: it was an answer. `rest` is its topic behind PREFIX/NODE/. */
bool mqtt_echo_take(struct mqtt_camera *camera, const char *rest);
/** Says once that no picture came back though some were sent. */
void mqtt_echo_step(struct mqtt_camera *camera);

#endif
