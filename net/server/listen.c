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
#include "net/server/place.h"
#include "net/server/private.h"

#define BACKLOG          64
#define ACCEPTS_PER_TURN 4
#define ACCEPT_LOG_NS    (60 * NS_PER_S)

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

/** Out of descriptors or memory: a listener that stays readable would keep the loop busy, so look
 * away until the next tick. */
static void pause_accepting(struct server_listener *listener, int error, uint64_t now_ns)
{
    struct server *server = listener->server;
    server->stats.accept_failed++;
    loop_fd_modify(server->loop, listener->token, 0);
    listener->is_paused = true;
    if (!log_allow(&server->accept_limit, 1, ACCEPT_LOG_NS, now_ns))
        return;
    log_error("cannot accept connections: %s; trying again every %u ms", strerror(error),
              (unsigned)(SERVER_TICK_NS / NS_PER_MS));
    server->accept_limit.suppressed = 0;
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
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(listener, errno, now_ns);
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

/** What an address that others reach gives them. */
static void say_to_whom(const struct server *server, const char *bound)
{
    const bool has_key = server->view_key.length > 0 || server->control_key.length > 0;
    const char *what = "may see, set and trigger without a key (server.anonymous)";
    if (server->config.anonymous == WIRE_ROLE_VIEW)
        what = "may see without a key (server.anonymous)";
    else if (server->config.anonymous == WIRE_ROLE_NONE)
        what = has_key ? "need a key (server.control_key_file, server.view_key_file)"
                       : "get nothing, because there is no server.control_key_file";
    if (server->config.anonymous == WIRE_ROLE_NONE && has_key)
        log_info("tcp %s: other hosts %s; nothing is encrypted", bound, what);
    else
        log_warning("tcp %s: other hosts %s; nothing is encrypted", bound, what);
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
    if (!server_origin_of(&storage).is_local)
        say_to_whom(server, bound);
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

/** Makes the file and a bound socket. A file that a dead node has left is replaced. The descriptor,
 * or -errno. */
static int bind_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
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
        return fd;
    close(fd);
    return status;
}

static void note_file(struct server_listener *listener)
{
    struct stat file = {0};
    (void)lstat(listener->path, &file);
    listener->device = file.st_dev;
    listener->inode = file.st_ino;
}

static void say_unix_failed(const char *path, int status)
{
    if (status == -EADDRINUSE)
        log_error("cannot listen on %s: a running node uses it", path);
    else if (status == -ENAMETOOLONG)
        log_error("cannot listen on %s: longer than %zu bytes", path,
                  sizeof((struct sockaddr_un *)0)->sun_path - 1);
    else
        log_error("cannot listen on %s: %s", path, strerror(-status));
}

int server_listen_unix(struct server *server, const char *path)
{
    int status = bind_unix(path);
    if (status >= 0)
        status = finish(server, status, path);
    if (status < 0) {
        say_unix_failed(path, status);
        return status;
    }
    note_file(&server->listeners[server->listener_count - 1]);
    log_info("listening on unix %s", path);
    return 0;
}

static bool is_file_there(const struct server_listener *listener)
{
    struct stat file;
    return lstat(listener->path, &file) == 0 && file.st_dev == listener->device &&
           file.st_ino == listener->inode;
}

/** Somebody has removed the file: nobody can connect until it is made again. */
static void make_again(struct server_listener *listener)
{
    struct server *server = listener->server;
    const int fd = bind_unix(listener->path);
    loop_token token = 0;
    int status = fd < 0 ? fd : 0;
    if (status == 0 && listen(fd, BACKLOG) < 0)
        status = -errno;
    if (status == 0) {
        token = loop_fd_add(server->loop, fd, EPOLLIN, on_listener_event, listener);
        status = token == 0 ? -errno : 0;
    }
    if (status < 0) {
        if (fd >= 0)
            close(fd);
        if (!listener->said_unreachable)
            say_unix_failed(listener->path, status);
        listener->said_unreachable = true;
        return;
    }
    loop_fd_remove(server->loop, listener->token);
    close(listener->fd);
    listener->fd = fd;
    listener->token = token;
    listener->said_unreachable = false;
    note_file(listener);
    log_warning("the socket %s was removed or replaced: made again", listener->path);
}

void server_listen_tick(struct server *server, uint64_t now_ns)
{
    for (unsigned i = 0; i < server->listener_count; i++) {
        struct server_listener *listener = &server->listeners[i];
        if (listener->is_paused)
            loop_fd_modify(server->loop, listener->token, EPOLLIN);
        listener->is_paused = false;
        if (listener->path[0] == '\0' || now_ns - listener->looked_ns < SERVER_SOCKET_LOOK_NS)
            continue;
        listener->looked_ns = now_ns;
        if (!is_file_there(listener))
            make_again(listener);
    }
}

void server_listen_close(struct server *server)
{
    for (unsigned i = 0; i < server->listener_count; i++) {
        loop_fd_remove(server->loop, server->listeners[i].token);
        close(server->listeners[i].fd);
        if (server->listeners[i].path[0] != '\0' && is_file_there(&server->listeners[i]))
            unlink(server->listeners[i].path);
    }
    server->listener_count = 0;
}
