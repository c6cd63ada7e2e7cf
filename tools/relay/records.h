// SPDX-License-Identifier: MIT
// From the node into the window, and from the window to the server.
#ifndef PINHOLE_TOOLS_RELAY_RECORDS_H
#define PINHOLE_TOOLS_RELAY_RECORDS_H

#include "tools/relay/relay.h"

#include <stdbool.h>

/** Is there room for a record that comes? */
bool relay_records_have_room(const struct relay *relay);
/** Opens the node, subscribes behind the position, takes records and publishes them. False with a
 * sentence in `why`: the connection to the server is of no use any more. */
bool relay_records_step(struct relay *relay, char why[RELAY_WHY_BYTES]);
/** Takes note of answers. False with a sentence: a record is refused, or its answer is overdue. */
bool relay_records_settle(struct relay *relay, char why[RELAY_WHY_BYTES]);
/** Gives everything back to the node: what is not acknowledged comes again. */
void relay_records_drop(struct relay *relay);

#endif
