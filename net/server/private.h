// SPDX-License-Identifier: MIT
// What the server's files share among themselves. Included by net/server/*.c only.
#ifndef PINHOLE_NET_SERVER_PRIVATE_H
#define PINHOLE_NET_SERVER_PRIVATE_H

#include "net/server/state.h"

/** Logs what happened to a connection; rate-limited, since a peer can provoke it. */
void server_log_conn(struct server *server, uint64_t now_ns, const char *peer, const char *what);

/** Puts one message into the empty reply buffer. */
void server_conn_reply(struct server_conn *conn, uint8_t type, uint32_t tag, size_t payload_bytes);
/** Payload area of the reply buffer, and its room. */
static inline char *server_conn_reply_payload(struct server_conn *conn)
{
    return (char *)conn->reply + WIRE_HEADER_BYTES;
}
#define SERVER_REPLY_ROOM (SERVER_REPLY_BYTES - WIRE_HEADER_BYTES)

/** Puts an ERROR into the reply buffer; with `is_closing` the connection ends once it is sent. */
void server_conn_error(struct server_conn *conn, enum wire_error_code code, uint32_t tag,
                       bool is_closing, const char *format, ...) BASE_PRINTF(5, 6);
/** Notes that a peer with a role has said something valid. */
static inline void server_conn_heard(struct server_conn *conn, uint64_t now_ns)
{
    conn->has_spoken = true;
    conn->heard_ns = now_ns;
}
/** Puts HELLO into the reply buffer. */
void server_conn_hello(struct server_conn *conn, uint64_t now_ns);

/** Takes over a connected socket and greets the peer. `address` is the peer's; NULL: the node has
 * dialled it. NULL when there is no place (the socket is closed then) or the peer is gone already.
 */
struct server_conn *server_conn_open(struct server *server, int fd, const char *peer,
                                     const struct sockaddr_storage *address, uint64_t now_ns);
/** Deadlines of a connection: call each tick. */
void server_conn_tick(struct server_conn *conn, uint64_t now_ns);
/** Ends a connection at once and frees its slot. `why` is logged (rate-limited). */
void server_conn_drop(struct server_conn *conn, uint64_t now_ns, const char *why);

/** Reads and answers what has arrived. */
void server_conn_receive(struct server_conn *conn, uint64_t now_ns);
/** Answers a few of the requests that are buffered, as far as the reply buffer and the rate allow;
 * `has_backlog` says that more could be answered in the next turn. */
void server_conn_process(struct server_conn *conn, uint64_t now_ns);

/** Whether the connection's role allows this request. If not, DENIED is in the reply buffer. */
bool server_role_allows(struct server_conn *conn, const struct wire_header *header);
/** Answers AUTH and PROVE. */
void server_conn_auth(struct server_conn *conn, const struct wire_header *header,
                      const uint8_t *payload, uint64_t now_ns);
void server_conn_prove(struct server_conn *conn, const struct wire_header *header,
                       const uint8_t *challenge);

/** Sends as much as the socket takes, at most a few records. True when more could go at once. */
bool server_conn_send(struct server_conn *conn, uint64_t now_ns);
/** Forgets the record being sent. */
void server_conn_release_record(struct server_conn *conn);
/** True when something is waiting to be sent. */
bool server_conn_has_output(const struct server_conn *conn);

/** Watches for input and output as the connection's state wants. */
void server_conn_update_events(struct server_conn *conn);

#endif
