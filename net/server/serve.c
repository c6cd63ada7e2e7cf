// SPDX-License-Identifier: MIT
// One connection from its greeting to its end: events, deadlines, a last word.
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/server/place.h"
#include "net/server/private.h"
#include "net/tcp.h"

/** A 1080p frame of some 300 KB goes in one call (the kernel doubles the figure for its own needs;
 * with 128 KiB it took 1.55 calls, each with a wake-up). Both figures together bound how old a slow
 * client's frame gets. */
#define SEND_BUFFER_BYTES (256 * 1024)
#define UNSENT_BYTES_MAX  (32 * 1024)

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
        if (conn->state == SERVER_CONN_OPEN && conn->is_input_paused) {
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

/** Sends ERROR FULL to a connection that gets no place or loses it. Best effort, without a buffer.
 */
static void say_full(int fd, const char *sentence)
{
    uint8_t message[WIRE_HEADER_BYTES + WIRE_ERROR_FIXED + 128];
    struct wire_error error = {.code = WIRE_ERROR_FULL, .flags = WIRE_ERROR_CLOSING};
    size_t fixed = wire_put_error(message + WIRE_HEADER_BYTES, &error);
    size_t text_bytes = strnlen(sentence, 128);
    memcpy(message + WIRE_HEADER_BYTES + fixed, sentence, text_bytes);
    struct wire_header header = {
        .version = WIRE_VERSION, .type = WIRE_TYPE_ERROR, .length = (uint32_t)(fixed + text_bytes)};
    wire_put_header(message, &header);
    send(fd, message, WIRE_HEADER_BYTES + header.length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void refuse(struct server *server, int fd, const char *peer, enum server_place why,
                   uint64_t now_ns)
{
    char sentence[128] = "the node serves as many clients as it is configured for";
    if (why == SERVER_PLACE_ADDRESS_FULL)
        snprintf(sentence, sizeof sentence, "the node takes at most %u connections of one address",
                 server_places_per_address(server));
    say_full(fd, sentence);
    close(fd);
    server->stats.refused++;
    server_log_conn(server, now_ns, peer,
                    why == SERVER_PLACE_FULL
                        ? "refused, clients_max is reached"
                        : "refused, its address has as many connections as it may");
}

/** Finds the newcomer's place; NULL: it was refused and closed. */
static struct server_conn *make_place(struct server *server, int fd, const char *peer,
                                      const struct server_origin *origin, uint64_t now_ns)
{
    struct server_conn *conn;
    const enum server_place found = server_place_find(server, origin, now_ns, &conn);
    if (found != SERVER_PLACE_FOUND) {
        refuse(server, fd, peer, found, now_ns);
        return NULL;
    }
    if (conn->state == SERVER_CONN_FREE)
        return conn;
    if (conn->state == SERVER_CONN_OPEN) {
        if (conn->reply_bytes == 0) // else it would come in the midst of that
            say_full(conn->fd, "another client needed the place of this idle connection");
        server->stats.replaced++;
    }
    server_conn_drop(conn, now_ns, "dropped while idle, another client needed its place");
    return conn;
}

struct server_conn *server_conn_open(struct server *server, int fd, const char *peer,
                                     const struct sockaddr_storage *address, uint64_t now_ns)
{
    const struct server_origin origin = server_origin_of(address);
    struct server_conn *conn = make_place(server, fd, peer, &origin, now_ns);
    if (conn == NULL)
        return NULL;
    // Large buffers inside are written before they are read: clear the rest only.
    memset(conn, 0, offsetof(struct server_conn, received));
    conn->received_bytes = conn->reply_bytes = conn->reply_sent = 0;
    memset(&conn->policy, 0, sizeof *conn - offsetof(struct server_conn, policy));
    conn->server = server;
    conn->fd = fd;
    conn->origin = origin;
    if (address == NULL)
        conn->role = WIRE_ROLE_CONTROL; // whom the node dials was chosen by its owner
    else
        conn->role = origin.is_local ? server->config.local : server->config.anonymous;
    conn->accepted_ns = conn->heard_ns = conn->progress_ns = now_ns;
    snprintf(conn->peer, sizeof conn->peer, "%s", peer);
    if (getrandom(conn->challenge, sizeof conn->challenge, 0) == sizeof conn->challenge)
        conn->token = loop_fd_add(server->loop, fd, EPOLLIN, on_conn_event, conn);
    if (conn->token == 0) {
        log_error("cannot serve client %s: %s", peer, strerror(errno));
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

void server_conn_tick(struct server_conn *conn, uint64_t now_ns)
{
    struct server *server = conn->server;
    const bool is_overdue = !conn->has_spoken && now_ns - conn->accepted_ns >= SERVER_HANDSHAKE_NS;
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
    if (is_overdue && conn->reply_bytes > 0) { // it does not even take what it was told
        server->stats.dropped_timeout += conn->state == SERVER_CONN_OPEN;
        server_conn_drop(conn, now_ns, "dropped, said nothing valid and took no byte");
        return;
    }
    if (is_overdue && conn->state == SERVER_CONN_OPEN) {
        server_conn_error(conn, WIRE_ERROR_TIMEOUT, 0, true, "no %s within %u s",
                          conn->role > WIRE_ROLE_NONE ? "valid message" : "key",
                          (unsigned)(SERVER_HANDSHAKE_NS / NS_PER_S));
        server_conn_send(conn, now_ns);
    } else if (conn->is_input_paused) {
        server_conn_process(conn, now_ns);
        server_conn_send(conn, now_ns);
    }
    if (conn->state != SERVER_CONN_FREE)
        server_conn_update_events(conn);
}
