// SPDX-License-Identifier: MIT
// What clients ask of the node: features, triggers, counters.
#ifndef PINHOLE_APP_NODE_REQUEST_H
#define PINHOLE_APP_NODE_REQUEST_H

#include <stddef.h>
#include <stdint.h>

/** The server's request callback (net/server/server.h); `user` is the struct node. */
int node_request(void *user, uint8_t type, char *text, size_t bytes, char *reply, size_t reply_size,
                 uint64_t now_ns);

#endif
