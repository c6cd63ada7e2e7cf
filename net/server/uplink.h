// SPDX-License-Identifier: MIT
// The connection that the node makes itself, for nodes that nobody can reach (behind NAT).
#ifndef PINHOLE_NET_SERVER_UPLINK_H
#define PINHOLE_NET_SERVER_UPLINK_H

#include "net/server/state.h"

/** Connects to "ADDRESS:PORT" (numeric) and serves whoever accepts as any other client; connects
 * again when the link breaks, for ever. 0, or -errno with a sentence logged. */
int server_dial(struct server *server, const char *address);
/** Ends the uplink for good. */
void server_uplink_close(struct server *server);

#endif
