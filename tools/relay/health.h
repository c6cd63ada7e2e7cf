// SPDX-License-Identifier: MIT
// What is wrong with the node, for who watches the fleet: on pinhole.NODE.relay.health, which no
// stream keeps.
#ifndef PINHOLE_TOOLS_RELAY_HEALTH_H
#define PINHOLE_TOOLS_RELAY_HEALTH_H

#include "tools/relay/relay.h"

/** Asks the node and tells, each half minute: lines as of `pinholectl doctor --json`. For a relay
 * that is up. What cannot be told is told the next time. */
void relay_health_step(struct relay *relay);

#endif
