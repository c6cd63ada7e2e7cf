// SPDX-License-Identifier: MIT
// Taking over a connection that the node has made: it dials out, from behind NAT.
#include "net/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

/** As on a link that the client makes: a vanished node is noticed after 10 + 3 * 5 s. */
enum { KEEPALIVE_IDLE_S = 10, KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_COUNT = 3 };

static int prepare_socket(struct pinhole *p, int fd)
{
    const struct {
        int level, option, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
        {IPPROTO_TCP, TCP_USER_TIMEOUT,
         1000 * (KEEPALIVE_IDLE_S + KEEPALIVE_COUNT * KEEPALIVE_INTERVAL_S)},
    };
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return client_fail(p, errno, "%.160s: cannot use the socket: %s", p->address,
                           strerror(errno));
    // A Unix socket has none of these, and a link without them still works.
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].option, &options[i].value, sizeof(int));
    return 0;
}

static int adopt(struct pinhole *p, int fd, const char *name)
{
    int error;
    p->options.reconnect = -1; // only the node can make this link again
    snprintf(p->address, sizeof p->address, "%s", name != NULL ? name : "");
    error = prepare_socket(p, fd);
    if (error < 0)
        return error;
    client_link_adopt(p, fd);
    return client_wait_up(p);
}

int pinhole_adopt(struct pinhole **out, int fd, const char *name,
                  const struct pinhole_options *options)
{
    int error = client_make(out, options);
    if (*out == NULL)
        return error;
    client_enter(*out);
    (*out)->fd = fd;
    return client_leave(*out, error < 0 ? error : adopt(*out, fd, name));
}
