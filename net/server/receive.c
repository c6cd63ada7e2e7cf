// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hal/os/clock.h"
#include "net/server/private.h"

#define DISCARDS_PER_EVENT 16
#define PING_BYTES_MAX     64
#define CREDIT_MAX_NS      NS_PER_S
#define REQUESTS_PER_TURN  4

void server_conn_hello(struct server_conn *conn, uint64_t now_ns)
{
    const struct server *server = conn->server;
    struct wire_hello hello = {
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .message_bytes_max = WIRE_REQUEST_BYTES_MAX,
        .boot_id = server->config.boot_id,
        .frame_bytes_max = server->config.frame_bytes_max,
        .clients_max = (uint16_t)server->config.clients_max,
        .command_rate_max = (uint16_t)server->config.command_rate,
        .sequence_oldest = server->store->oldest,
        .sequence_next = server->store->next_sequence,
        .monotonic_ns = now_ns,
        .realtime_ns = clock_realtime_ns(),
        .flags = server->clock_flags,
        .send_deadline_ms = (uint32_t)(server->config.send_deadline_ns / NS_PER_MS),
        .role = (uint8_t)conn->role,
    };
    memcpy(hello.challenge, conn->challenge, sizeof hello.challenge);
    char *payload = server_conn_reply_payload(conn);
    size_t fixed = wire_put_hello((uint8_t *)payload, &hello);
    size_t text_bytes = strlen(server->identity);
    memcpy(payload + fixed, server->identity, text_bytes);
    server_conn_reply(conn, WIRE_TYPE_HELLO, 0, fixed + text_bytes);
}

static void subscribe(struct server_conn *conn, const struct wire_header *header,
                      const uint8_t *payload)
{
    const struct server *server = conn->server;
    const struct store *store = server->store;
    struct wire_subscribe wish;
    if (wire_get_subscribe(payload, header->length, &wish) < 0) {
        server_conn_error(conn, WIRE_ERROR_MALFORMED, header->tag, true,
                          "SUBSCRIBE: %u bytes are not as long as their fixed_bytes says",
                          header->length);
        return;
    }
    if (wish.policy > WIRE_POLICY_EVERY) {
        server_conn_error(conn, WIRE_ERROR_MALFORMED, header->tag, true,
                          "SUBSCRIBE: policy %u is not one of this protocol", wish.policy);
        return;
    }
    bool is_other_boot = wish.boot_id != 0 && wish.boot_id != server->config.boot_id;
    conn->policy = (enum wire_policy)wish.policy;
    conn->filter = wish.filter;
    conn->interval_ns = wish.interval_us * NS_PER_US;
    conn->position.has_baseline = false;
    conn->position.last_timestamp_ns = 0;
    conn->position.must_announce_boot = is_other_boot && conn->policy != WIRE_POLICY_NONE;
    if (is_other_boot && conn->policy == WIRE_POLICY_EVERY)
        conn->position.cursor = store->oldest;
    else if (wish.from_sequence == WIRE_FROM_NEXT)
        conn->position.cursor = store->next_sequence;
    else if (wish.from_sequence == WIRE_FROM_NEWEST || is_other_boot)
        conn->position.cursor =
            store->newest != NULL ? store->newest->sequence : store->next_sequence;
    else
        conn->position.cursor = wish.from_sequence;
    // A newest frame that events have pushed out of the log goes to policy `latest` only.
    if (conn->policy == WIRE_POLICY_EVERY && wish.from_sequence == WIRE_FROM_NEWEST &&
        conn->position.cursor < store->oldest)
        conn->position.cursor = store->oldest;
    // So a subscriber whose link breaks before its first record knows where to resume.
    wire_store_u64((uint8_t *)server_conn_reply_payload(conn), conn->position.cursor);
    server_conn_reply(conn, WIRE_TYPE_SUBSCRIBE, header->tag, sizeof conn->position.cursor);
}

/** False: the application wants to be asked again later. */
static bool ask_application(struct server_conn *conn, const struct wire_header *header, char *text,
                            uint64_t now_ns)
{
    const struct server_config *config = &conn->server->config;
    char *reply = server_conn_reply_payload(conn);
    int status = config->request(config->user, header->type, text, header->length, reply,
                                 SERVER_REPLY_ROOM, now_ns);
    if (status == SERVER_REQUEST_LATER)
        return false;
    if (status >= 0) {
        server_conn_reply(conn, header->type, header->tag, (size_t)status);
        return true;
    }
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", reply);
    server_conn_error(conn, (enum wire_error_code) - status, header->tag, false, "%s", sentence);
    return true;
}

/** False: the request cannot be answered yet. */
static bool answer(struct server_conn *conn, const struct wire_header *header, uint8_t *payload,
                   uint64_t now_ns)
{
    bool is_answered = true;
    if (!server_role_allows(conn, header))
        return true;
    switch (header->type) {
    case WIRE_TYPE_SUBSCRIBE: subscribe(conn, header, payload); break;
    case WIRE_TYPE_PING:
        if (header->length > PING_BYTES_MAX) {
            server_conn_error(conn, WIRE_ERROR_MALFORMED, header->tag, true,
                              "PING of %u bytes, %u are allowed", header->length, PING_BYTES_MAX);
            break;
        }
        memcpy(server_conn_reply_payload(conn), payload, header->length);
        server_conn_reply(conn, WIRE_TYPE_PING, header->tag, header->length);
        break;
    case WIRE_TYPE_PROVE: server_conn_prove(conn, header, payload); break;
    case WIRE_TYPE_AUTH: server_conn_auth(conn, header, payload, now_ns); break;
    case WIRE_TYPE_FEATURES:
    case WIRE_TYPE_GET:
    case WIRE_TYPE_SET:
    case WIRE_TYPE_TRIGGER:
    case WIRE_TYPE_STATS: {
        uint8_t saved = payload[header->length];
        payload[header->length] = '\0'; // the buffer has one byte more than any message
        is_answered = ask_application(conn, header, (char *)payload, now_ns);
        payload[header->length] = saved;
        break;
    }
    default:
        server_conn_error(conn, WIRE_ERROR_UNKNOWN_TYPE, header->tag, false,
                          "message type %u is not known here", header->type);
    }
    return is_answered;
}

/** Checks the header at the start of the buffer. 1: a whole message is there; 0: not yet; -1: the
 * connection is beyond repair and an ERROR is in the reply buffer. */
static int check_header(struct server_conn *conn, struct wire_header *header)
{
    static const uint8_t magic[4] = {'P', 'I', 'N', 'H'};
    uint32_t have = conn->received_bytes;
    if (memcmp(conn->received, magic, base_min_u32(have, sizeof magic)) != 0) {
        server_conn_error(conn, WIRE_ERROR_MALFORMED, 0, true,
                          "this is no Pinhole message: it does not start with PINH");
        return -1;
    }
    if (have < WIRE_HEADER_BYTES)
        return 0;
    if (wire_get_header(conn->received, header) < 0) {
        server_conn_error(conn, WIRE_ERROR_VERSION, header->tag, true,
                          "protocol version %u, this node speaks %u", header->version,
                          WIRE_VERSION);
        return -1;
    }
    if (header->length > WIRE_REQUEST_BYTES_MAX) {
        server_conn_error(conn, WIRE_ERROR_TOO_LARGE, header->tag, true,
                          "message of %u bytes, %u are allowed", header->length,
                          WIRE_REQUEST_BYTES_MAX);
        return -1;
    }
    return have - WIRE_HEADER_BYTES >= header->length;
}

/** What a request costs of a connection's credit: a SET writes to everybody's log, STATS and
 * FEATURES write tens of kilobytes; they count as ten. */
static uint64_t price_of(const struct server_conn *conn, uint8_t type)
{
    uint64_t price_ns = NS_PER_S / conn->server->config.command_rate;
    bool is_dear = type == WIRE_TYPE_SET || type == WIRE_TYPE_STATS || type == WIRE_TYPE_FEATURES;
    return base_min_u64(is_dear ? 10 * price_ns : price_ns, CREDIT_MAX_NS);
}

/** Whether one more request fits into the connection's rate and into that of all connections. */
static bool has_credit(struct server_conn *conn, uint64_t price_ns, uint64_t now_ns)
{
    return budget_has(&conn->credit, price_ns, CREDIT_MAX_NS, now_ns) &&
           budget_has(&conn->server->credit, price_ns / SERVER_RATES_FOR_ALL, CREDIT_MAX_NS,
                      now_ns);
}

static void spend_credit(struct server_conn *conn, uint64_t price_ns)
{
    budget_spend(&conn->credit, price_ns);
    budget_spend(&conn->server->credit, price_ns / SERVER_RATES_FOR_ALL);
}

void server_conn_process(struct server_conn *conn, uint64_t now_ns)
{
    conn->is_input_paused = conn->has_backlog = false;
    for (int i = 0; conn->state == SERVER_CONN_OPEN && conn->received_bytes > 0; i++) {
        if (i == REQUESTS_PER_TURN) {
            conn->is_input_paused = conn->has_backlog = true;
            return;
        }
        if (conn->reply_bytes > 0) {
            conn->is_input_paused = true; // one reply at a time: the rest waits in the socket
            return;
        }
        struct wire_header header;
        int status = check_header(conn, &header);
        if (status <= 0)
            return;
        const uint64_t price_ns = price_of(conn, header.type);
        if (!has_credit(conn, price_ns, now_ns)) {
            conn->is_input_paused = true;
            return;
        }
        if (conn->role > WIRE_ROLE_NONE) // a PING is no reason to keep a stranger's place
            server_conn_heard(conn, now_ns);
        if (!answer(conn, &header, conn->received + WIRE_HEADER_BYTES, now_ns)) {
            conn->is_input_paused = true; // asked again at the next tick
            return;
        }
        spend_credit(conn, price_ns);
        conn->server->stats.requests++;
        uint32_t used = WIRE_HEADER_BYTES + header.length;
        conn->received_bytes -= used;
        memmove(conn->received, conn->received + used, conn->received_bytes);
        server_conn_send(conn, now_ns);
    }
}

/** After an ERROR that closes: reads on for a moment, because closing with unread input would make
 * TCP throw the ERROR away. */
static void discard(struct server_conn *conn, uint64_t now_ns)
{
    for (int i = 0; i < DISCARDS_PER_EVENT; i++) {
        ssize_t got = recv(conn->fd, conn->received, sizeof conn->received, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            server_conn_drop(conn, now_ns, "closed");
            return;
        }
        if (got < 0)
            return;
    }
}

void server_conn_receive(struct server_conn *conn, uint64_t now_ns)
{
    if (conn->state != SERVER_CONN_OPEN) {
        discard(conn, now_ns);
        return;
    }
    size_t room = sizeof conn->received - 1 - conn->received_bytes;
    ssize_t got = recv(conn->fd, conn->received + conn->received_bytes, room, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        server_conn_drop(conn, now_ns, got == 0 ? "disconnected" : strerror(errno));
        return;
    }
    if (got < 0)
        return;
    conn->received_bytes += (uint32_t)got;
    server_conn_process(conn, now_ns);
    if (conn->state != SERVER_CONN_FREE)
        server_conn_send(conn, now_ns);
}
