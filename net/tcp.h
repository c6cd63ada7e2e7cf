// SPDX-License-Identifier: MIT
// Settings of a connection's socket. Node, libpinhole and tools make them here.
#ifndef PINHOLE_NET_TCP_H
#define PINHOLE_NET_TCP_H

#include <stdbool.h>

/** A peer that vanished without a word is noticed after this many seconds: 10 of silence, then 3
 * probes at intervals of 5. */
#define NET_TCP_KEEPALIVE_S 25

/** What a connection asks for. 0 and false leave the kernel's own setting. */
struct net_tcp {
    int send_buffer_bytes;  /**< SO_SNDBUF; the kernel doubles it for its own needs */
    int unsent_bytes_max;   /**< TCP_NOTSENT_LOWAT: writable only below this */
    bool wants_keepalive;   /**< probes after silence, see NET_TCP_KEEPALIVE_S */
    bool wants_ack_timeout; /**< TCP_USER_TIMEOUT: sent data must be acknowledged in that time */
};

/** Turns Nagle's algorithm off and applies `wish`. What the socket does not support is left out: a
 * link without it still works, and a Unix socket has none but SO_SNDBUF. */
void net_tcp_tune(int fd, const struct net_tcp *wish);

#endif
