// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/address.h"
#include "net/server/listen.h"
#include "net/server/private.h"

#define BACKLOG          64
#define ACCEPTS_PER_TURN 4

static int parse_address(const char *text, struct sockaddr_storage *out, socklen_t *size)
{
    struct net_address address;
    if (net_address_split(text, -1, &address) != NULL)
        return -EINVAL;
    *size = net_address_numeric(&address, out);
    return *size == 0 ? -EINVAL : 0;
}

static void format_address(const struct sockaddr_storage *address, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, size, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, size, "%s:%u", host, ntohs(v4->sin_port));
    }
}

/** Writes who is at the other end: "192.168.0.7:51234", "pid 1234 uid 1000". */
static void format_peer(const struct sockaddr_storage *address, int fd, char *out, size_t size)
{
    struct ucred who;
    socklen_t length = sizeof who;
    if (address->ss_family != AF_UNIX)
        format_address(address, out, size);
    else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0)
        snprintf(out, size, "pid %d uid %u", (int)who.pid, (unsigned)who.uid);
    else
        snprintf(out, size, "unix");
}

static void on_listener_event(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    struct server_listener *listener = user;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int fd =
            accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            // Out of descriptors or memory: level-triggered readiness would spin, so look away.
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                loop_fd_modify(listener->server->loop, listener->token, 0);
                listener->is_paused = true;
            }
            return;
        }
        char peer[64];
        format_peer(&address, fd, peer, sizeof peer);
        server_conn_open(listener->server, fd, peer, &address, now_ns);
    }
}

/** Takes over a listening socket. `path` is the Unix socket's, or "". 0 or -errno. */
static int add_listener(struct server *server, int fd, const char *path)
{
    if (server->listener_count == SERVER_LISTENERS_MAX)
        return -ENOSPC;
    struct server_listener *listener = &server->listeners[server->listener_count];
    listener->server = server;
    listener->fd = fd;
    snprintf(listener->path, sizeof listener->path, "%s", path);
    listener->token = loop_fd_add(server->loop, fd, EPOLLIN, on_listener_event, listener);
    if (listener->token == 0)
        return -errno;
    server->listener_count++;
    return 0;
}

/** Hands a bound socket to the server, or closes it. */
static int finish(struct server *server, int fd, const char *path)
{
    int status = listen(fd, BACKLOG) < 0 ? -errno : add_listener(server, fd, path);
    if (status < 0)
        close(fd);
    return status;
}

int server_listen_tcp(struct server *server, const char *address)
{
    struct sockaddr_storage storage;
    socklen_t size;
    int status = parse_address(address, &storage, &size);
    if (status < 0) {
        log_error("cannot listen on tcp %s: not a numeric ADDRESS:PORT", address);
        return status;
    }
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&storage, size) < 0) {
        status = -errno;
        if (fd >= 0)
            close(fd);
    } else {
        status = finish(server, fd, "");
    }
    if (status < 0) {
        log_error("cannot listen on tcp %s: %s", address, strerror(-status));
        return status;
    }
    char bound[80];
    getsockname(fd, (struct sockaddr *)&storage, &size);
    format_address(&storage, bound, sizeof bound);
    log_info("listening on tcp %s", bound);
    return 0;
}

/** A socket file on which nobody answers was left by a node that died: removed. -EADDRINUSE when
 * somebody does, -ENOTSOCK when the file is something else, which is not ours to remove. */
static int remove_dead_socket(const struct sockaddr_un *address)
{
    struct stat found;
    if (lstat(address->sun_path, &found) < 0)
        return -errno;
    if (!S_ISSOCK(found.st_mode))
        return -ENOTSOCK;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int status = 0;
    // Anything but a refusal (a success, or a full backlog) is a live listener.
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
        errno != ECONNREFUSED)
        status = -EADDRINUSE;
    else if (unlink(address->sun_path) < 0)
        status = -errno;
    close(fd);
    return status;
}

int server_listen_unix(struct server *server, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        log_error("cannot listen on %s: longer than %zu bytes", path, sizeof address.sun_path - 1);
        return -ENAMETOOLONG;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int status = 0;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        status = -errno;
        if (status == -EADDRINUSE)
            status = remove_dead_socket(&address);
        if (status == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
            status = -errno;
    }
    if (status == 0)
        status = finish(server, fd, path);
    else
        close(fd);
    if (status == -EADDRINUSE)
        log_error("cannot listen on %s: a running node uses it", path);
    else if (status < 0)
        log_error("cannot listen on %s: %s", path, strerror(-status));
    else
        log_info("listening on unix %s", path);
    return status;
}

void server_listen_resume(struct server *server)
{
    for (unsigned i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].is_paused)
            loop_fd_modify(server->loop, server->listeners[i].token, EPOLLIN);
        server->listeners[i].is_paused = false;
    }
}

void server_listen_close(struct server *server)
{
    for (unsigned i = 0; i < server->listener_count; i++) {
        loop_fd_remove(server->loop, server->listeners[i].token);
        close(server->listeners[i].fd);
        if (server->listeners[i].path[0] != '\0')
            unlink(server->listeners[i].path);
    }
    server->listener_count = 0;
}
