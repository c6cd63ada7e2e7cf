// SPDX-License-Identifier: MIT
// What a connection may do, and the proofs that change it.
#include <errno.h>
#include <string.h>

#include "net/server/private.h"
#include "net/server/server.h"

bool server_role_allows(struct server_conn *conn, const struct wire_header *header)
{
    enum wire_role needed = WIRE_ROLE_NONE;
    switch (header->type) {
    case WIRE_TYPE_SUBSCRIBE:
    case WIRE_TYPE_FEATURES:
    case WIRE_TYPE_GET:
    case WIRE_TYPE_STATS: needed = WIRE_ROLE_VIEW; break;
    case WIRE_TYPE_SET:
    case WIRE_TYPE_TRIGGER: needed = WIRE_ROLE_CONTROL; break;
    default: break;
    }
    if (conn->role >= needed)
        return true;
    server_conn_error(conn, WIRE_ERROR_DENIED, header->tag, false,
                      "%s needs the role %s, this connection has %s; give a key",
                      wire_type_name(header->type), wire_role_name(needed),
                      wire_role_name(conn->role));
    return false;
}

/** Completes a claim by what it says of this node. */
static struct net_claim claim_of(const struct server *server, const char *text,
                                 const uint8_t *challenge, const uint8_t *another)
{
    static const char key[] = "DeviceUserID=";
    const char *name = server->identity + strlen(key); // it begins HELLO's text
    return (struct net_claim){.text = text,
                              .challenge = challenge,
                              .another = another,
                              .boot_id = server->config.boot_id,
                              .name = name,
                              .name_bytes = strcspn(name, "\n")};
}

void server_conn_auth(struct server_conn *conn, const struct wire_header *header,
                      const uint8_t *payload, uint64_t now_ns)
{
    const struct server *server = conn->server;
    const struct net_claim theirs = claim_of(server, NET_CLAIM_AUTH, conn->challenge, payload);
    const struct net_claim ours = claim_of(server, NET_CLAIM_NODE, payload, conn->challenge);
    const uint8_t *proof = payload + WIRE_AUTH_PROOF_AT;
    uint8_t *reply = (uint8_t *)server_conn_reply_payload(conn);
    if (header->length != WIRE_AUTH_BYTES) {
        server_conn_error(conn, WIRE_ERROR_MALFORMED, header->tag, true,
                          "AUTH of %u bytes, it has %u", header->length, WIRE_AUTH_BYTES);
        return;
    }
    const bool is_view = net_secret_fits(&server->view_key, &theirs, proof);
    const bool is_control = net_secret_fits(&server->control_key, &theirs, proof);
    if (!is_view && !is_control) {
        server_conn_error(conn, WIRE_ERROR_DENIED, header->tag, true,
                          "AUTH: the proof fits no key of this node");
        return;
    }
    const enum wire_role role = is_control ? WIRE_ROLE_CONTROL : WIRE_ROLE_VIEW;
    if (role > conn->role)
        conn->role = role;
    server_conn_heard(conn, now_ns);
    memset(reply, 0, WIRE_AUTH_REPLY_PROOF_AT);
    reply[0] = (uint8_t)conn->role;
    net_secret_prove(is_control ? &server->control_key : &server->view_key, &ours,
                     reply + WIRE_AUTH_REPLY_PROOF_AT);
    server_conn_reply(conn, WIRE_TYPE_AUTH, header->tag, WIRE_AUTH_REPLY_BYTES);
}

/** Answers the peer that the node has dialled. Others could pass the answer on as their own. */
void server_conn_prove(struct server_conn *conn, const struct wire_header *header,
                       const uint8_t *challenge)
{
    const struct server *server = conn->server;
    const char *why = NULL;
    if (conn != server->uplink.conn)
        why = "the node has not dialled this connection";
    else if (server->uplink.secret.length == 0)
        why = "the node has no server.uplink_secret_file";
    if (header->length != NET_CHALLENGE_BYTES) {
        server_conn_error(conn, WIRE_ERROR_MALFORMED, header->tag, true,
                          "PROVE of %u bytes, a challenge has %u", header->length,
                          NET_CHALLENGE_BYTES);
    } else if (why != NULL) {
        server_conn_error(conn, WIRE_ERROR_UNAVAILABLE, header->tag, false, "PROVE: %s", why);
    } else {
        const struct net_claim claim = claim_of(server, NET_CLAIM_PROVE, challenge, NULL);
        net_secret_prove(&server->uplink.secret, &claim,
                         (uint8_t *)server_conn_reply_payload(conn));
        server_conn_reply(conn, WIRE_TYPE_PROVE, header->tag, NET_PROOF_BYTES);
    }
}

static int read_key(const char *setting, const char *path, struct net_secret *out)
{
    const char *why = path[0] != '\0' ? net_secret_read(path, out) : NULL;
    if (why != NULL)
        log_error("%s = %s: %s", setting, path, why);
    return why != NULL ? -EINVAL : 0;
}

int server_read_keys(struct server *server, const char *view_path, const char *control_path)
{
    const int status = read_key("server.view_key_file", view_path, &server->view_key);
    return status < 0 ? status
                      : read_key("server.control_key_file", control_path, &server->control_key);
}
