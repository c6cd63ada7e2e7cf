// SPDX-License-Identifier: MIT
// One relay for one node. Each relay answers, on pinhole.NODE.relay.claim, who it is. The one that
// has run longest works, the others stand by.
#ifndef PINHOLE_TOOLS_RELAY_CLAIM_H
#define PINHOLE_TOOLS_RELAY_CLAIM_H

#include "tools/relay/server.h"

#include <stdbool.h>
#include <stddef.h>

/** Writes who this process is: since when it runs, host and process. Earlier is less to strcmp().
 */
void relay_claim_identity(char *out, size_t bytes);
/** Begins to answer on this connection. False with a sentence in `why`. */
bool relay_claim_begin(struct relay_server *server, char why[RELAY_WHY_BYTES]);
/** Asks who else serves the node. False with a sentence in `why`: an earlier relay does. */
bool relay_claim_ask(struct relay_server *server, char why[RELAY_WHY_BYTES]);

#endif
