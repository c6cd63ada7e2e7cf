// SPDX-License-Identifier: MIT
// The connection that the node makes itself, for nodes that nobody can reach (behind NAT).
#ifndef PINHOLE_NET_SERVER_UPLINK_H
#define PINHOLE_NET_SERVER_UPLINK_H

#include "net/server/state.h"

/** Connects to "HOST:PORT" and serves the other end as any other client. Connects again when the
 * link breaks, for ever. A name is looked up before each attempt, in a helper process, since its
 * address may change. 0, or -errno with a sentence logged. */
int server_dial(struct server *server, const char *address);
/** Reads the secret of which the node proves its knowledge to the other end (PROVE). 0, or -EINVAL
 * with a sentence logged. */
int server_uplink_secret(struct server *server, const char *path);
/** Ends the uplink for good. */
void server_uplink_close(struct server *server);

#endif
