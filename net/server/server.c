// SPDX-License-Identifier: MIT
#include "net/server/server.h"

#include <sys/socket.h>

#include "net/server/private.h"

#define LAST_READS 64

static void on_tick(void *user, uint64_t now_ns)
{
    struct server *server = user;
    // Requests that wait for their turn get it in turn.
    const unsigned first = server->tick_first, count = server->config.clients_max;
    server->tick_first = (first + 1) % count;
    for (unsigned i = 0; i < count; i++) {
        struct server_conn *conn = &server->conns[(first + i) % count];
        if (conn->state != SERVER_CONN_FREE)
            server_conn_tick(conn, now_ns);
    }
    server_listen_tick(server, now_ns);
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
    bool has_more = false;
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
        has_more |= server_conn_send(conn, now_ns) || conn->has_backlog;
        if (conn->state != SERVER_CONN_FREE)
            server_conn_update_events(conn);
    }
    return has_more;
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
    server_listen_close(server);
}
