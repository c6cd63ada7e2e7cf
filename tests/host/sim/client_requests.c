// SPDX-License-Identifier: MIT
#include "tests/host/sim/client_requests.h"

#include <string.h>

#include "app/node_camera.h"
#include "net/server/server.h"
#include "tests/host/sim/truth.h"

#define ANSWER_MAX_NS (200 * NS_PER_MS)
#define ANSWER_TURNS  16u /**< what has arrived of a request is read in pieces, one in each turn */

static struct {
    char text[SERVER_REPLY_BYTES + 1];
    struct client_stats seen;
} stats;

void client_send(struct client *c, uint8_t type, const void *payload, uint32_t bytes)
{
    uint8_t message[WIRE_HEADER_BYTES + WIRE_REQUEST_BYTES_MAX];
    struct wire_header header = {
        .version = WIRE_VERSION, .type = type, .length = bytes, .tag = ++c->last_tag};
    if (c->link == NULL || c->requests == REQUESTS_MAX)
        return;
    wire_put_header(message, &header);
    if (bytes > 0)
        memcpy(message + WIRE_HEADER_BYTES, payload, bytes);
    c->request[c->requests].tag = header.tag;
    c->request[c->requests].sent_ns = machine_now();
    c->request[c->requests++].type = type;
    // Whole, or cut anywhere.
    size_t total = WIRE_HEADER_BYTES + bytes;
    size_t cut =
        chance_one_in(machine_chance(), 3) ? (size_t)chance_in(machine_chance(), 0, total) : total;
    link_send(c->link, message, cut);
    if (cut < total)
        link_send(c->link, message + cut, total - cut);
}

static void subscribe(struct client *c, enum wire_policy policy, uint64_t boot_id, uint64_t from)
{
    uint8_t payload[WIRE_SUBSCRIBE_FIXED];
    struct wire_subscribe wish = {
        .policy = (uint8_t)policy, .boot_id = boot_id, .from_sequence = from};
    c->wanted = from;
    client_send(c, WIRE_TYPE_SUBSCRIBE, payload, (uint32_t)wire_put_subscribe(payload, &wish));
}

static void subscribe_to_every(struct client *c)
{
    subscribe(c, WIRE_POLICY_EVERY, c->next > 0 ? c->boot_id : 0,
              c->next > 0                          ? c->next
              : chance_one_in(machine_chance(), 2) ? 1
                                                   : WIRE_FROM_NEWEST);
}

void client_send_lines(struct client *c, uint8_t type, const char *lines)
{
    client_send(c, type, lines, (uint32_t)strlen(lines));
}

static unsigned role_for(uint8_t type)
{
    if (type == WIRE_TYPE_SET || type == WIRE_TYPE_TRIGGER)
        return WIRE_ROLE_CONTROL;
    return type == WIRE_TYPE_PING || type == WIRE_TYPE_AUTH || type == WIRE_TYPE_PROVE
               ? WIRE_ROLE_NONE
               : WIRE_ROLE_VIEW;
}

/** A request is denied exactly when it is above the role, and a wrong key always. */
static void check_denial(const struct client *c, const struct wire_header *header,
                         const uint8_t *payload)
{
    const uint8_t type = c->request[0].type;
    struct wire_error error = {.code = 0};
    if (header->type == WIRE_TYPE_ERROR)
        CHECK(wire_get_error(payload, header->length, &error) > 0, "client %u: no ERROR", c->id);
    const bool is_wrong_key = type == WIRE_TYPE_AUTH && c->key_role == WIRE_ROLE_NONE;
    CHECK((error.code == WIRE_ERROR_DENIED) == (is_wrong_key || c->role < role_for(type)),
          "client %u of role %u: request of type %u was %s", c->id, c->role, type,
          error.code == WIRE_ERROR_DENIED ? "denied" : "carried out");
}

static struct net_claim claim_of(const struct client *c, const char *text, bool is_node)
{
    return (struct net_claim){.text = text,
                              .challenge = is_node ? c->auth : c->challenge,
                              .another = is_node ? c->challenge : c->auth,
                              .boot_id = c->boot_id,
                              .name = c->name,
                              .name_bytes = strlen(c->name)};
}

static struct net_secret secret_of(const char *text)
{
    struct net_secret secret = {.length = strlen(text)};
    memcpy(secret.bytes, text, secret.length);
    return secret;
}

static void fill_at_random(uint8_t *bytes)
{
    for (unsigned i = 0; i < NET_CHALLENGE_BYTES; i++)
        bytes[i] = (uint8_t)chance_next(machine_second_chance());
}

void client_ask_proof(struct client *c)
{
    if (c->link == NULL || c->requests == REQUESTS_MAX)
        return;
    fill_at_random(c->proof_challenge);
    client_send(c, WIRE_TYPE_PROVE, c->proof_challenge, sizeof c->proof_challenge);
}

/** Only the peer that was dialled gets a proof, and it is that of the node's secret. */
static void check_proof(struct client *c, const struct wire_header *header, const uint8_t *payload)
{
    const bool is_due = c->kind == CLIENT_COLLECTOR && c->limits.has_secret;
    struct wire_error error = {.code = 0};
    if (!is_due) {
        CHECK(header->type == WIRE_TYPE_ERROR &&
                  wire_get_error(payload, header->length, &error) > 0 &&
                  error.code == WIRE_ERROR_UNAVAILABLE,
              "client %u got a proof that it must not have", c->id);
        return;
    }
    const struct net_secret secret = secret_of(c->secret);
    struct net_claim claim = claim_of(c, NET_CLAIM_PROVE, true);
    claim.challenge = c->proof_challenge;
    claim.another = NULL;
    CHECK(header->type == WIRE_TYPE_PROVE && header->length == NET_PROOF_BYTES &&
              net_secret_fits(&secret, &claim, payload) == !c->is_foreign,
          "client %u: the node's proof %s", c->id,
          c->is_foreign ? "fits another secret" : "does not fit its secret");
}

void client_authenticate(struct client *c)
{
    const struct net_secret secret = secret_of(c->key);
    const struct net_claim claim = claim_of(c, NET_CLAIM_AUTH, false);
    fill_at_random(c->auth);
    net_secret_prove(&secret, &claim, c->auth + WIRE_AUTH_PROOF_AT);
    c->is_proving = true;
    client_send(c, WIRE_TYPE_AUTH, c->auth, sizeof c->auth);
}

static void take_proof(struct client *c, const uint8_t *payload, uint32_t bytes)
{
    const struct net_secret secret = secret_of(c->key);
    const struct net_claim claim = claim_of(c, NET_CLAIM_NODE, true);
    CHECK(bytes == WIRE_AUTH_REPLY_BYTES &&
              net_secret_fits(&secret, &claim, payload + WIRE_AUTH_REPLY_PROOF_AT),
          "client %u: the node does not prove that it knows the key", c->id);
    CHECK(payload[0] == (c->role > c->key_role ? c->role : c->key_role),
          "client %u of role %u has role %u by a key for %u", c->id, c->role, payload[0],
          c->key_role);
    c->role = payload[0];
    c->is_proving = false;
    client_after_hello(c);
}

void client_take_reply(struct client *c, const struct wire_header *header, const uint8_t *payload)
{
    CHECK(c->requests > 0 && c->request[0].tag == header->tag,
          "client %u got the answer to request %u, the oldest is %u", c->id, header->tag,
          c->requests > 0 ? c->request[0].tag : 0);
    CHECK(header->type == WIRE_TYPE_ERROR || header->type == c->request[0].type,
          "client %u: request %u has an answer of type %u", c->id, header->tag, header->type);
    check_denial(c, header, payload);
    // It reads fast, and asks for little: nobody else may hold it up. A camera that others have
    // configured anew may have to wait before it is again.
    const uint64_t max_ns = ANSWER_MAX_NS + ANSWER_TURNS * machine_turn_max_ns() +
                            (c->request[0].type == WIRE_TYPE_SET ? NODE_RECONFIGURATION_NS : 0);
    if (c->is_steward)
        CHECK(machine_now() < c->request[0].sent_ns + max_ns,
              "the answer to a request of type %u has taken %llu ns", c->request[0].type,
              (unsigned long long)(machine_now() - c->request[0].sent_ns));
    const uint8_t type = c->request[0].type;
    c->requests--;
    c->replies++;
    memmove(&c->request[0], &c->request[1], c->requests * sizeof c->request[0]);
    if (header->type == WIRE_TYPE_SUBSCRIBE && header->length >= 8)
        client_start_position(c, wire_load_u64(payload));
    if (type == WIRE_TYPE_PROVE) {
        check_proof(c, header, payload);
        if (c->kind == CLIENT_COLLECTOR && !c->is_foreign)
            subscribe_to_every(c);
    }
    if (header->type == WIRE_TYPE_AUTH)
        take_proof(c, payload, header->length);
    if (header->type == WIRE_TYPE_TRIGGER)
        CHECK(wire_load_u64(payload) <= truth_triggers(), "trigger %llu was never given",
              (unsigned long long)wire_load_u64(payload));
    if (header->type == WIRE_TYPE_STATS && c->is_steward) {
        memcpy(stats.text, payload, header->length);
        stats.text[header->length] = '\0';
        stats.seen.frames_after = truth_frames();
    }
}

void client_after_hello(struct client *c)
{
    switch (c->kind) {
    case CLIENT_LATEST:
        subscribe(c, WIRE_POLICY_LATEST, 0, c->last > 0 ? WIRE_FROM_NEXT : WIRE_FROM_NEWEST);
        break;
    case CLIENT_STOPPED:
    case CLIENT_EVERY: subscribe_to_every(c); break;
    case CLIENT_COLLECTOR: client_ask_proof(c); break;
    default: break;
    }
}

void client_request_stats(struct client *c)
{
    stats.seen.frames_before = truth_frames();
    client_send(c, WIRE_TYPE_STATS, NULL, 0);
}

const struct client_stats *client_stats(void)
{
    stats.seen.text = stats.text;
    return &stats.seen;
}
