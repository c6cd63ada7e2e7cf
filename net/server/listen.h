// SPDX-License-Identifier: MIT
// Where clients come in: TCP and Unix sockets.
#ifndef PINHOLE_NET_SERVER_LISTEN_H
#define PINHOLE_NET_SERVER_LISTEN_H

#include "net/server/state.h"

/** Listens on "ADDRESS:PORT" ("127.0.0.1:7447", "[::1]:7447", "localhost:0"; numeric addresses
 * only). Logs the address that was bound. 0, or -errno with a sentence logged that names it. */
int server_listen_tcp(struct server *server, const char *address);
/** Listens on a Unix socket. A socket file left by a dead node is replaced, one in use by a live
 * node is -EADDRINUSE. */
int server_listen_unix(struct server *server, const char *path);

/** Accepts again where accepting was paused, and makes a removed Unix socket again: call each tick.
 */
void server_listen_tick(struct server *server, uint64_t now_ns);
/** Closes all listeners and unlinks the Unix socket, if it is still this server's. */
void server_listen_close(struct server *server);

#endif
