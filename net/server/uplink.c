// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/address.h"
#include "net/server/private.h"
#include "net/server/uplink.h"

#define CONNECT_DEADLINE_NS (10 * NS_PER_S)

static void retry_later(struct server *server, uint64_t now_ns)
{
    struct server_uplink *uplink = &server->uplink;
    loop_timer_set(server->loop, uplink->timer, now_ns + uplink->pause_ns);
    uplink->pause_ns = base_min_u64(2 * uplink->pause_ns, SERVER_UPLINK_PAUSE_MAX_NS);
}

static void abandon_attempt(struct server *server)
{
    struct server_uplink *uplink = &server->uplink;
    if (uplink->fd < 0)
        return;
    loop_fd_remove(server->loop, uplink->token);
    close(uplink->fd);
    uplink->fd = -1;
}

/** Says once that the other end cannot be reached; it may be off for weeks. */
static void fail_attempt(struct server *server, const char *why, uint64_t now_ns)
{
    struct server_uplink *uplink = &server->uplink;
    abandon_attempt(server);
    if (!uplink->said_unreachable)
        log_warning("uplink %s: %s, trying on", uplink->name, why);
    uplink->said_unreachable = true;
    retry_later(server, now_ns);
}

/** The connection has ended: it is to be made again. */
static void on_lost(struct server *server, uint64_t now_ns)
{
    struct server_uplink *uplink = &server->uplink;
    // Who accepts and hangs up without a word (a full relay, a wrong port) is tried ever more
    // seldom.
    uplink->was_mute = !uplink->conn->has_spoken;
    if (!uplink->was_mute)
        uplink->pause_ns = SERVER_UPLINK_PAUSE_NS;
    uplink->conn = NULL;
    retry_later(server, now_ns);
}

static void on_connected(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    struct server *server = user;
    struct server_uplink *uplink = &server->uplink;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(uplink->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        fail_attempt(server, strerror(error), now_ns);
        return;
    }
    int fd = uplink->fd;
    loop_fd_remove(server->loop, uplink->token);
    uplink->fd = -1;
    uplink->conn = server_conn_open(server, fd, uplink->name, NULL, now_ns);
    if (uplink->conn == NULL) {
        retry_later(server, now_ns);
        return;
    }
    uplink->conn->on_end = on_lost;
    if (!uplink->was_mute)
        log_info("uplink %s: connected", uplink->name);
    uplink->said_unreachable = false;
    loop_timer_set(server->loop, uplink->timer, NS_NEVER);
}

static void on_timer(void *user, uint64_t now_ns)
{
    struct server *server = user;
    struct server_uplink *uplink = &server->uplink;
    if (uplink->fd >= 0) {
        fail_attempt(server, "no answer", now_ns);
        return;
    }
    uplink->fd = socket(uplink->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (uplink->fd < 0) {
        fail_attempt(server, strerror(errno), now_ns);
        return;
    }
    int status = connect(uplink->fd, (struct sockaddr *)&uplink->address, uplink->address_bytes);
    int error = status < 0 ? errno : 0;
    uplink->token = loop_fd_add(server->loop, uplink->fd, EPOLLOUT, on_connected, server);
    if ((error != 0 && error != EINPROGRESS) || uplink->token == 0) {
        fail_attempt(server, strerror(error != 0 ? error : errno), now_ns);
        return;
    }
    loop_timer_set(server->loop, uplink->timer, now_ns + CONNECT_DEADLINE_NS);
}

int server_dial(struct server *server, const char *address)
{
    struct server_uplink *uplink = &server->uplink;
    struct net_address at;
    const bool is_address = net_address_split(address, -1, &at) == NULL;
    uplink->address_bytes = is_address ? net_address_numeric(&at, &uplink->address) : 0;
    if (uplink->address_bytes == 0) {
        log_error("cannot dial %s: not a numeric ADDRESS:PORT", address);
        return -EINVAL;
    }
    snprintf(uplink->name, sizeof uplink->name, "%s", address);
    uplink->fd = -1;
    uplink->pause_ns = SERVER_UPLINK_PAUSE_NS;
    uplink->timer = loop_timer_add(server->loop, on_timer, server);
    if (uplink->timer < 0)
        return uplink->timer;
    loop_timer_set(server->loop, uplink->timer, 0);
    return 0;
}

void server_uplink_close(struct server *server)
{
    if (server->uplink.name[0] == '\0')
        return;
    abandon_attempt(server);
    if (server->uplink.conn != NULL)
        server->uplink.conn->on_end = NULL;
    server->uplink.conn = NULL;
    loop_timer_set(server->loop, server->uplink.timer, NS_NEVER);
}
