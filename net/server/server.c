// SPDX-License-Identifier: MIT
#include "net/server/server.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/server/private.h"
#include "net/tcp.h"

#define ACCEPTS_PER_TURN 4
#define LAST_READS       64
/** A 1080p frame of some 300 KB goes in one call (the kernel doubles the figure for its own needs;
 * with 128 KiB it took 1.55 calls, each with a wake-up). Both figures together bound how old a slow
 * client's frame gets. */
#define SEND_BUFFER_BYTES (256 * 1024)
#define UNSENT_BYTES_MAX  (32 * 1024)
#define LOG_BURST         10

static void log_conn(struct server *server, uint64_t now_ns, const char *peer, const char *what)
{
    if (!log_allow(&server->log_limit, LOG_BURST, 10 * NS_PER_S, now_ns))
        return;
    if (server->log_limit.suppressed > 0)
        log_warning("%u more lines about connections were suppressed",
                    server->log_limit.suppressed);
    server->log_limit.suppressed = 0;
    log_info("client %s: %s", peer, what);
}

void server_conn_drop(struct server_conn *conn, uint64_t now_ns, const char *why)
{
    struct server *server = conn->server;
    log_conn(server, now_ns, conn->peer, why);
    server_conn_release_record(conn);
    loop_fd_remove(server->loop, conn->token);
    close(conn->fd);
    conn->state = SERVER_CONN_FREE;
    server->stats.clients--;
    if (server->uplink.conn == conn)
        server_uplink_lost(server, now_ns);
}

void server_conn_update_events(struct server_conn *conn)
{
    uint32_t events = 0;
    if (!conn->input_paused)
        events |= EPOLLIN;
    if (conn->wants_output)
        events |= EPOLLOUT;
    loop_fd_modify(conn->server->loop, conn->token, events);
}

static void on_conn_event(void *user, uint32_t events, uint64_t now_ns)
{
    struct server_conn *conn = user;
    if (events & EPOLLERR) {
        server_conn_drop(conn, now_ns, "connection lost");
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP))
        server_conn_receive(conn, now_ns);
    if (conn->state != SERVER_CONN_FREE && (events & EPOLLOUT)) {
        conn->wants_output = false;
        server_conn_send(conn, now_ns);
        if (conn->state == SERVER_CONN_OPEN && conn->input_paused) {
            server_conn_process(conn, now_ns);
            server_conn_send(conn, now_ns);
        }
    }
    if (conn->state != SERVER_CONN_FREE)
        server_conn_update_events(conn);
}

static void tune_socket(int fd)
{
    const struct net_tcp wish = {.send_buffer_bytes = SEND_BUFFER_BYTES,
                                 .unsent_bytes_max = UNSENT_BYTES_MAX,
                                 .wants_keepalive = true};
    net_tcp_tune(fd, &wish);
}

static struct server_conn *find_free_conn(struct server *server)
{
    for (unsigned i = 0; i < server->config.clients_max; i++)
        if (server->conns[i].state == SERVER_CONN_FREE)
            return &server->conns[i];
    return NULL;
}

/** A last word to a connection for which there is no place. Best effort: it gets no buffer. */
static void refuse(struct server *server, int fd, const char *peer, uint64_t now_ns)
{
    static const char sentence[] = "the node serves as many clients as it is configured for";
    uint8_t message[WIRE_HEADER_BYTES + WIRE_ERROR_FIXED + sizeof sentence];
    struct wire_error error = {.code = WIRE_ERROR_FULL, .flags = WIRE_ERROR_CLOSING};
    size_t fixed = wire_put_error(message + WIRE_HEADER_BYTES, &error);
    memcpy(message + WIRE_HEADER_BYTES + fixed, sentence, sizeof sentence - 1);
    struct wire_header header = {.version = WIRE_VERSION,
                                 .type = WIRE_TYPE_ERROR,
                                 .length = (uint32_t)(fixed + sizeof sentence - 1)};
    wire_put_header(message, &header);
    send(fd, message, WIRE_HEADER_BYTES + header.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
    server->stats.refused++;
    log_conn(server, now_ns, peer, "refused, clients_max is reached");
}

struct server_conn *server_conn_open(struct server *server, int fd, const char *peer,
                                     uint64_t now_ns)
{
    struct server_conn *conn = find_free_conn(server);
    if (conn == NULL) {
        refuse(server, fd, peer, now_ns);
        return NULL;
    }
    // Large buffers inside are written before they are read: clear the rest only.
    memset(conn, 0, offsetof(struct server_conn, received));
    conn->received_bytes = conn->reply_bytes = conn->reply_sent = 0;
    memset(&conn->policy, 0, sizeof *conn - offsetof(struct server_conn, policy));
    conn->server = server;
    conn->fd = fd;
    conn->accepted_ns = conn->progress_ns = conn->credit_at_ns = now_ns;
    snprintf(conn->peer, sizeof conn->peer, "%s", peer);
    conn->token = loop_fd_add(server->loop, fd, EPOLLIN, on_conn_event, conn);
    if (conn->token == 0) {
        log_error("cannot watch client %s: %s", peer, strerror(errno));
        close(fd);
        return NULL;
    }
    tune_socket(fd);
    conn->state = SERVER_CONN_OPEN;
    server->stats.accepted++;
    if (++server->stats.clients > server->stats.clients_used_max)
        server->stats.clients_used_max = server->stats.clients;
    server_conn_hello(conn, now_ns);
    server_conn_send(conn, now_ns);
    if (conn->state == SERVER_CONN_FREE)
        return NULL;
    server_conn_update_events(conn);
    return conn;
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
                listener->paused = true;
            }
            return;
        }
        char peer[64];
        server_format_peer(&address, fd, peer, sizeof peer);
        server_conn_open(listener->server, fd, peer, now_ns);
    }
}

int server_add_listener(struct server *server, int fd, const char *path)
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

/** Notes that the peer took bytes out of the kernel's buffer since the last look. */
static void look_at_progress(struct server_conn *conn, uint64_t now_ns)
{
    int unsent = 0;
    if (ioctl(conn->fd, SIOCOUTQ, &unsent) < 0)
        return;
    if (unsent < conn->unsent_bytes || unsent == 0)
        conn->progress_ns = now_ns;
    conn->unsent_bytes = unsent;
}

static void tick_conn(struct server_conn *conn, uint64_t now_ns)
{
    struct server *server = conn->server;
    if (conn->state == SERVER_CONN_LINGERING) {
        if (now_ns >= conn->linger_until_ns)
            server_conn_drop(conn, now_ns, "closed");
        return;
    }
    if (server_conn_has_output(conn)) {
        look_at_progress(conn, now_ns);
        if (now_ns - conn->progress_ns >= server->config.send_deadline_ns) {
            server->stats.dropped_slow++;
            char why[96];
            snprintf(why, sizeof why, "dropped, took no byte for %llu ms (got %llu frames)",
                     (unsigned long long)(server->config.send_deadline_ns / NS_PER_MS),
                     (unsigned long long)conn->frames_sent);
            server_conn_drop(conn, now_ns, why);
            return;
        }
    } else {
        conn->progress_ns = now_ns;
    }
    if (conn->state == SERVER_CONN_OPEN && !conn->valid_seen &&
        now_ns - conn->accepted_ns >= SERVER_HANDSHAKE_NS && conn->reply_bytes == 0) {
        server->stats.dropped_timeout++;
        server_conn_error(conn, WIRE_ERROR_TIMEOUT, 0, true, "no valid message within %u s",
                          (unsigned)(SERVER_HANDSHAKE_NS / NS_PER_S));
        server_conn_send(conn, now_ns);
    } else if (conn->input_paused) {
        server_conn_process(conn, now_ns);
        server_conn_send(conn, now_ns);
    }
    if (conn->state != SERVER_CONN_FREE)
        server_conn_update_events(conn);
}

static void on_tick(void *user, uint64_t now_ns)
{
    struct server *server = user;
    for (unsigned i = 0; i < server->config.clients_max; i++)
        if (server->conns[i].state != SERVER_CONN_FREE)
            tick_conn(&server->conns[i], now_ns);
    for (unsigned i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].paused)
            loop_fd_modify(server->loop, server->listeners[i].token, EPOLLIN);
        server->listeners[i].paused = false;
    }
    loop_timer_set(server->loop, server->tick_timer, now_ns + SERVER_TICK_NS);
}

int server_init(struct server *server, struct loop *loop, struct store *store,
                const struct server_config *config)
{
    server->loop = loop;
    server->store = store;
    server->config = *config;
    server->tick_timer = loop_timer_add(loop, on_tick, server);
    if (server->tick_timer < 0)
        return server->tick_timer;
    loop_timer_set(loop, server->tick_timer, 0);
    return 0;
}

bool server_flush(struct server *server, uint64_t now_ns)
{
    const uint64_t enough = server->stats.bytes_sent + SERVER_FLUSH_BYTES;
    const unsigned first = server->flush_first, count = server->config.clients_max;
    bool more = false;
    for (unsigned i = 0; i < count; i++) {
        struct server_conn *conn = &server->conns[(first + i) % count];
        if (server->stats.bytes_sent >= enough) {
            server->flush_first = (first + i) % count;
            return true;
        }
        if (conn->state != SERVER_CONN_OPEN)
            continue;
        bool has_backlog = conn->has_backlog;
        if (has_backlog)
            server_conn_process(conn, now_ns);
        if (conn->state == SERVER_CONN_FREE)
            continue;
        if (!has_backlog && (conn->wants_output || !server_conn_has_output(conn)))
            continue;
        more |= server_conn_send(conn, now_ns) || conn->has_backlog;
        if (conn->state != SERVER_CONN_FREE)
            server_conn_update_events(conn);
    }
    return more;
}

bool server_has_output(const struct server *server)
{
    for (unsigned i = 0; i < server->config.clients_max; i++)
        if (server->conns[i].state == SERVER_CONN_OPEN && server_conn_has_output(&server->conns[i]))
            return true;
    return false;
}

void server_close(struct server *server)
{
    server_uplink_close(server);
    for (unsigned i = 0; i < server->config.clients_max; i++) {
        struct server_conn *conn = &server->conns[i];
        if (conn->state == SERVER_CONN_FREE)
            continue;
        // Closing with unread input would make TCP throw away what was sent last.
        shutdown(conn->fd, SHUT_WR);
        for (int reads = 0; reads < LAST_READS; reads++)
            if (recv(conn->fd, conn->received, sizeof conn->received, MSG_DONTWAIT) <= 0)
                break;
        server_conn_drop(conn, 0, "closed, the node ends");
    }
    for (unsigned i = 0; i < server->listener_count; i++) {
        loop_fd_remove(server->loop, server->listeners[i].token);
        close(server->listeners[i].fd);
        if (server->listeners[i].path[0] != '\0')
            unlink(server->listeners[i].path);
    }
    server->listener_count = 0;
}
