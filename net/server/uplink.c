// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/address.h"
#include "net/server/private.h"
#include "net/server/resolve.h"
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
    server_resolve_stop(&uplink->resolver);
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
    // A peer that accepts and hangs up without a word (a full relay, a wrong port) is tried less
    // and less often.
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
    server_resolve_stop(&uplink->resolver); // its process has ended by now
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

static void begin_connect(struct server *server, uint64_t now_ns)
{
    struct server_uplink *uplink = &server->uplink;
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

/** The name was looked up. Of several addresses each attempt takes the next. */
static void on_resolved(void *user, uint64_t now_ns)
{
    struct server *server = user;
    struct server_uplink *uplink = &server->uplink;
    const unsigned count = server_resolve_count(&uplink->resolver);
    struct net_address at = {.port = uplink->target.port};
    char shown[sizeof uplink->shown];
    if (count == 0) {
        fail_attempt(server, "the name has no address", now_ns);
        return;
    }
    server_resolve_get(&uplink->resolver, uplink->next_address++ % count, at.host, sizeof at.host);
    at.is_ipv6 = strchr(at.host, ':') != NULL;
    uplink->address_bytes = net_address_numeric(&at, &uplink->address);
    if (uplink->address_bytes == 0) {
        fail_attempt(server, "the name has an address that is no number", now_ns);
        return;
    }
    snprintf(shown, sizeof shown, "%.63s", at.host);
    if (strcmp(shown, uplink->shown) != 0)
        log_info("uplink %s: its address is %s", uplink->name, shown);
    memcpy(uplink->shown, shown, sizeof shown);
    begin_connect(server, now_ns);
}

static void on_timer(void *user, uint64_t now_ns)
{
    struct server *server = user;
    struct server_uplink *uplink = &server->uplink;
    if (server_resolve_is_on(&uplink->resolver)) {
        fail_attempt(server, "no answer when its name was looked up", now_ns);
        return;
    }
    if (uplink->fd >= 0) {
        fail_attempt(server, "no answer", now_ns);
        return;
    }
    if (!net_address_is_name(uplink->target.host)) {
        begin_connect(server, now_ns);
        return;
    }
    int status = server_resolve_start(&uplink->resolver, uplink->target.host, on_resolved, server);
    if (status < 0)
        fail_attempt(server, strerror(-status), now_ns);
    else
        loop_timer_set(server->loop, uplink->timer, now_ns + CONNECT_DEADLINE_NS);
}

int server_dial(struct server *server, const char *address)
{
    struct server_uplink *uplink = &server->uplink;
    const char *why = net_address_split(address, -1, &uplink->target);
    uplink->address_bytes = net_address_numeric(&uplink->target, &uplink->address);
    if (why == NULL && uplink->address_bytes == 0 && !net_address_is_name(uplink->target.host))
        why = "the host is neither a name nor a number";
    if (why != NULL) {
        log_error("cannot dial %s: %s", address, why);
        return -EINVAL;
    }
    server_resolve_init(&uplink->resolver, server->loop);
    snprintf(uplink->name, sizeof uplink->name, "%s", address);
    uplink->fd = -1;
    uplink->pause_ns = SERVER_UPLINK_PAUSE_NS;
    uplink->timer = loop_timer_add(server->loop, on_timer, server);
    if (uplink->timer < 0)
        return uplink->timer;
    loop_timer_set(server->loop, uplink->timer, 0);
    return 0;
}

int server_uplink_secret(struct server *server, const char *path)
{
    const char *why = net_secret_read(path, &server->uplink.secret);
    if (why != NULL)
        log_error("the uplink's secret, %s: %s", path, why);
    return why != NULL ? -EINVAL : 0;
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
