// SPDX-License-Identifier: MIT
// The server: connections, subscriptions and requests over the frame store. Single-threaded, on the
// loop, in static memory. A client can only hurt itself: its input is bounded and paced, its output
// never waits for more than its own socket, and its place is taken away when it stops reading.
#ifndef PINHOLE_NET_SERVER_SERVER_H
#define PINHOLE_NET_SERVER_SERVER_H

#include "net/server/listen.h"
#include "net/server/state.h"
#include "net/server/uplink.h"

/** Prepares a server without listeners in caller-owned (zeroed) storage. 0 or -errno. */
int server_init(struct server *server, struct loop *loop, struct store *store,
                const struct server_config *config);

/** Reads the keys that AUTH takes (SPEC.md, roles); "" is none. Before listening, which logs who
 * needs one. 0, or -EINVAL with a sentence logged. */
int server_read_keys(struct server *server, const char *view_path, const char *control_path);

/** Sends what can be sent now, to one subscriber after the other until SERVER_FLUSH_BYTES have
 * gone: call each turn after something was published. Returns true when more could go at once, so
 * that the loop must not sleep. */
bool server_flush(struct server *server, uint64_t now_ns);

/** True while some subscriber has not been sent all it wants (used to drain at shutdown). */
bool server_has_output(const struct server *server);

/** Closes all connections and listeners, unlinks the Unix socket. */
void server_close(struct server *server);

#endif
