// SPDX-License-Identifier: MIT
// Opening a node: by its address or name, or over a connection that it has made itself (it dials
// out, from behind NAT).
#include "net/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int pinhole_open(struct pinhole **out, const char *address, const struct pinhole_options *options)
{
    return client_open(out, address, options, client_find_id);
}

static int prepare_socket(struct pinhole *p, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return client_fail(p, errno, "%.160s: cannot use the socket: %s", p->address,
                           strerror(errno));
    client_link_tune(fd);
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
