// SPDX-License-Identifier: MIT
// Home Assistant's MQTT discovery: one retained message announces a node as a device with its
// entities. https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
//
// The topic is DISCOVERY_PREFIX/device/CLIENT_ID/NODE/config. CLIENT_ID makes the messages of one
// bridge a set of their own: at its start it removes those of nodes that it no longer has.
#ifndef PINHOLE_TOOLS_MQTT_DISCOVERY_H
#define PINHOLE_TOOLS_MQTT_DISCOVERY_H

#include "tools/mqtt/camera.h"

/** Announces the node with these features. Does nothing when discovery is off. */
void mqtt_discovery_publish(struct mqtt_camera *camera, const struct pinhole_feature *features,
                            int count);
/** Asks for the messages of all nodes of this bridge. One camera does it for all. */
void mqtt_discovery_subscribe(struct mqtt_camera *camera);
/** Takes a retained message's topic. True: it was one of discovery; a node that the settings do not
 * have is removed, with its retained topics. */
bool mqtt_discovery_take(struct mqtt_camera *camera, const char *topic);

#endif
