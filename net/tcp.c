// SPDX-License-Identifier: MIT
#include "net/tcp.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { IDLE_S = 10, INTERVAL_S = 5, PROBES = 3 };
static_assert(IDLE_S + PROBES * INTERVAL_S == NET_TCP_KEEPALIVE_S, "tcp.h and tcp.c differ");

static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

void net_tcp_tune(int fd, const struct net_tcp *wish)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (wish->send_buffer_bytes != 0)
        set(fd, SOL_SOCKET, SO_SNDBUF, wish->send_buffer_bytes);
    if (wish->unsent_bytes_max != 0)
        set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, wish->unsent_bytes_max);
    if (wish->wants_keepalive) {
        set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set(fd, IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S);
        set(fd, IPPROTO_TCP, TCP_KEEPINTVL, INTERVAL_S);
        set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
    }
    if (wish->wants_ack_timeout)
        set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000 * NET_TCP_KEEPALIVE_S);
}
