// SPDX-License-Identifier: MIT
// What every part of a connection needs: its reply buffer, its events, its end.
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/server/private.h"

#define LOG_BURST 10

void server_log_conn(struct server *server, uint64_t now_ns, const char *peer, const char *what)
{
    if (!log_allow(&server->log_limit, LOG_BURST, 10 * NS_PER_S, now_ns))
        return;
    if (server->log_limit.suppressed > 0)
        log_warning("%u more lines about connections were suppressed",
                    server->log_limit.suppressed);
    server->log_limit.suppressed = 0;
    log_info("client %s: %s", peer, what);
}

void server_conn_release_record(struct server_conn *conn)
{
    if (conn->record != NULL)
        store_unref(conn->server->store, conn->record);
    conn->record = NULL;
    conn->head_bytes = conn->sent_bytes = 0;
}

void server_conn_drop(struct server_conn *conn, uint64_t now_ns, const char *why)
{
    struct server *server = conn->server;
    server_log_conn(server, now_ns, conn->peer, why);
    server_conn_release_record(conn);
    loop_fd_remove(server->loop, conn->token);
    close(conn->fd);
    conn->state = SERVER_CONN_FREE;
    server->stats.clients--;
    if (conn->on_end != NULL)
        conn->on_end(server, now_ns);
}

void server_conn_update_events(struct server_conn *conn)
{
    uint32_t events = 0;
    if (!conn->is_input_paused)
        events |= EPOLLIN;
    if (conn->wants_output)
        events |= EPOLLOUT;
    loop_fd_modify(conn->server->loop, conn->token, events);
}

void server_conn_reply(struct server_conn *conn, uint8_t type, uint32_t tag, size_t payload_bytes)
{
    struct wire_header header = {.version = WIRE_VERSION,
                                 .type = type,
                                 .flags = tag != 0 || type != WIRE_TYPE_HELLO ? WIRE_FLAG_REPLY : 0,
                                 .length = (uint32_t)payload_bytes,
                                 .tag = tag};
    wire_put_header(conn->reply, &header);
    conn->reply_bytes = (uint32_t)(WIRE_HEADER_BYTES + payload_bytes);
    conn->reply_sent = 0;
}

static void count_closing(struct server_stats *stats, enum wire_error_code code)
{
    if (code == WIRE_ERROR_TIMEOUT)
        stats->dropped_timeout++;
    else if (code == WIRE_ERROR_DENIED)
        stats->dropped_denied++;
    else
        stats->dropped_malformed++;
}

void server_conn_error(struct server_conn *conn, enum wire_error_code code, uint32_t tag,
                       bool is_closing, const char *format, ...)
{
    struct wire_error error = {.code = (uint16_t)code,
                               .flags = is_closing ? WIRE_ERROR_CLOSING : 0};
    char *payload = server_conn_reply_payload(conn);
    size_t fixed = wire_put_error((uint8_t *)payload, &error);
    va_list arguments;
    va_start(arguments, format);
    int text = vsnprintf(payload + fixed, 512, format, arguments);
    va_end(arguments);
    size_t text_bytes = text < 0 ? 0 : base_min_u32((uint32_t)text, 511);
    server_conn_reply(conn, WIRE_TYPE_ERROR, tag, fixed + text_bytes);
    if (!is_closing)
        return;
    conn->state = SERVER_CONN_CLOSING;
    count_closing(&conn->server->stats, code);
}
