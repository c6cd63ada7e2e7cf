// SPDX-License-Identifier: MIT
#include "tests/host/sim/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/server/server.h"
#include "tests/host/sim/client_records.h"
#include "tests/host/sim/machine.h"
#include "tests/host/sim/truth.h"

#define CLIENTS_MAX      64
#define MESSAGE_MAX      (SERVER_REPLY_BYTES + (256u << 10))
#define HELLO_GRACE_NS   (5 * NS_PER_S)
#define CLOSING_SLACK_NS (2 * NS_PER_S) /**< deadlines are looked at once a second */

static struct {
    struct client client[CLIENTS_MAX];
    unsigned count;
    struct client *steward;
    bool is_calm;
    char stats_text[SERVER_REPLY_BYTES + 1];
    struct client_stats stats;
} all;

static struct chance *chance(void)
{
    return machine_chance();
}

// ---- sending ----

static void send_message(struct client *c, uint8_t type, const void *payload, uint32_t bytes)
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
    c->request[c->requests++].type = type;
    // Whole, or cut anywhere.
    size_t total = WIRE_HEADER_BYTES + bytes;
    size_t cut = chance_one_in(chance(), 3) ? (size_t)chance_in(chance(), 0, total) : total;
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
    send_message(c, WIRE_TYPE_SUBSCRIBE, payload, (uint32_t)wire_put_subscribe(payload, &wish));
}

static void send_lines(struct client *c, uint8_t type, const char *lines)
{
    send_message(c, type, lines, (uint32_t)strlen(lines));
}

// ---- replies ----

static unsigned role_for(uint8_t type)
{
    if (type == WIRE_TYPE_SET || type == WIRE_TYPE_TRIGGER)
        return WIRE_ROLE_CONTROL;
    return type == WIRE_TYPE_PING || type == WIRE_TYPE_AUTH ? WIRE_ROLE_NONE : WIRE_ROLE_VIEW;
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

static void after_hello(struct client *c);

static struct net_claim claim_of(const struct client *c, const char *text, bool is_node)
{
    return (struct net_claim){.text = text,
                              .challenge = is_node ? c->auth : c->challenge,
                              .another = is_node ? c->challenge : c->auth,
                              .boot_id = c->boot_id,
                              .name = c->name,
                              .name_bytes = strlen(c->name)};
}

static struct net_secret secret_of(const struct client *c)
{
    struct net_secret secret = {.length = strlen(c->key)};
    memcpy(secret.bytes, c->key, secret.length);
    return secret;
}

static void prove(struct client *c)
{
    const struct net_secret secret = secret_of(c);
    const struct net_claim claim = claim_of(c, NET_CLAIM_AUTH, false);
    for (unsigned i = 0; i < NET_CHALLENGE_BYTES; i++)
        c->auth[i] = (uint8_t)chance_next(machine_second_chance());
    net_secret_prove(&secret, &claim, c->auth + WIRE_AUTH_PROOF_AT);
    c->is_proving = true;
    send_message(c, WIRE_TYPE_AUTH, c->auth, sizeof c->auth);
}

static void take_proof(struct client *c, const uint8_t *payload, uint32_t bytes)
{
    const struct net_secret secret = secret_of(c);
    const struct net_claim claim = claim_of(c, NET_CLAIM_NODE, true);
    CHECK(bytes == WIRE_AUTH_REPLY_BYTES &&
              net_secret_fits(&secret, &claim, payload + WIRE_AUTH_REPLY_PROOF_AT),
          "client %u: the node does not prove that it knows the key", c->id);
    CHECK(payload[0] == (c->role > c->key_role ? c->role : c->key_role),
          "client %u of role %u has role %u by a key for %u", c->id, c->role, payload[0],
          c->key_role);
    c->role = payload[0];
    c->is_proving = false;
    after_hello(c);
}

static void take_reply(struct client *c, const struct wire_header *header, const uint8_t *payload)
{
    CHECK(c->requests > 0 && c->request[0].tag == header->tag,
          "client %u got the answer to request %u, the oldest is %u", c->id, header->tag,
          c->requests > 0 ? c->request[0].tag : 0);
    CHECK(header->type == WIRE_TYPE_ERROR || header->type == c->request[0].type,
          "client %u: request %u has an answer of type %u", c->id, header->tag, header->type);
    check_denial(c, header, payload);
    c->requests--;
    memmove(&c->request[0], &c->request[1], c->requests * sizeof c->request[0]);
    if (header->type == WIRE_TYPE_SUBSCRIBE && header->length >= 8)
        client_start_position(c, wire_load_u64(payload));
    if (header->type == WIRE_TYPE_AUTH)
        take_proof(c, payload, header->length);
    if (header->type == WIRE_TYPE_TRIGGER)
        CHECK(wire_load_u64(payload) <= truth_triggers(), "trigger %llu was never given",
              (unsigned long long)wire_load_u64(payload));
    if (header->type == WIRE_TYPE_STATS && c->is_steward) {
        memcpy(all.stats_text, payload, header->length);
        all.stats_text[header->length] = '\0';
        all.stats.frames_after = truth_frames();
    }
}

static void after_hello(struct client *c)
{
    switch (c->kind) {
    case CLIENT_LATEST:
        subscribe(c, WIRE_POLICY_LATEST, 0, c->last > 0 ? WIRE_FROM_NEXT : WIRE_FROM_NEWEST);
        break;
    case CLIENT_STOPPED:
    case CLIENT_EVERY:
        subscribe(c, WIRE_POLICY_EVERY, c->next > 0 ? c->boot_id : 0,
                  c->next > 0                  ? c->next
                  : chance_one_in(chance(), 2) ? 1
                                               : WIRE_FROM_NEWEST);
        break;
    default: break;
    }
}

static void take_role(struct client *c, const struct wire_hello *hello)
{
    const struct client_limits *limits = &c->limits;
    CHECK(hello->role == (c->host == 0 ? limits->local_role : limits->anonymous_role),
          "client %u at host %u has role %u", c->id, c->host, hello->role);
    c->role = hello->role;
    memcpy(c->challenge, hello->challenge, sizeof c->challenge);
    machine_trace("client %u: role %u, challenge %016llx", c->id, c->role,
                  (unsigned long long)wire_load_u64(c->challenge));
}

static void take_message(struct client *c, const struct wire_header *header, const uint8_t *payload)
{
    struct wire_hello hello;
    const char *name = (const char *)payload + WIRE_HELLO_FIXED + strlen("DeviceUserID=");
    switch (header->type) {
    case WIRE_TYPE_HELLO:
        CHECK(!c->is_greeted && wire_get_hello(payload, header->length, &hello) > 0,
              "client %u: HELLO comes once, and whole", c->id);
        c->is_greeted = true;
        c->boot_id = hello.boot_id;
        take_role(c, &hello);
        snprintf(c->name, sizeof c->name, "%.*s", (int)strcspn(name, "\n"), name);
        if (c->key != NULL && c->kind != CLIENT_SILENT && c->kind != CLIENT_HOSTILE)
            prove(c);
        else
            after_hello(c);
        break;
    case WIRE_TYPE_FRAME: client_take_frame(c, payload, header->length); break;
    case WIRE_TYPE_EVENT: client_take_event(c, payload, header->length); break;
    default:
        if (c->kind != CLIENT_HOSTILE && header->tag != 0)
            take_reply(c, header, payload);
    }
}

static void received(void *user, const uint8_t *bytes, size_t count)
{
    struct client *c = user;
    CHECK(c->used + count <= MESSAGE_MAX, "client %u: a message is too long", c->id);
    memcpy(c->message + c->used, bytes, count);
    c->used += count;
    struct link *link = c->link;
    size_t at = 0;
    while (c->link == link && c->used - at >= WIRE_HEADER_BYTES) {
        struct wire_header header;
        CHECK(wire_get_header(c->message + at, &header) == 0, "client %u: no header", c->id);
        if (c->used - at < WIRE_HEADER_BYTES + (size_t)header.length)
            break;
        take_message(c, &header, c->message + at + WIRE_HEADER_BYTES);
        at += WIRE_HEADER_BYTES + header.length;
    }
    c->used -= at;
    memmove(c->message, c->message + at, c->used);
}

// ---- the life of a client ----

static void connect_client(void *user, uint64_t value);

static void forget_link(struct client *c)
{
    c->link = NULL;
    c->used = 0;
    c->requests = 0;
    c->is_greeted = c->is_subscribed = c->is_proving = false;
}

static void closed(void *user)
{
    struct client *c = user;
    machine_trace("client %u: closed by the node", c->id);
    forget_link(c);
    machine_at(machine_now() + chance_in(chance(), 10, 500) * NS_PER_MS, connect_client, c, 0);
}

static void break_link(void *user, uint64_t value)
{
    struct client *c = user;
    (void)value;
    if (all.is_calm || c->link == NULL)
        return;
    bool is_reset = chance_one_in(chance(), 2);
    machine_trace("client %u: breaks its link%s", c->id, is_reset ? " hard" : "");
    link_close(c->link, is_reset);
    forget_link(c);
    machine_at(machine_now() + chance_in(chance(), 1, 3000) * NS_PER_MS, connect_client, c, 0);
}

/** Looks again and again whether the node keeps its deadlines for this connection. */
static void check_deadlines(void *user, uint64_t link)
{
    struct client *c = user;
    if (c->link == NULL || (uint64_t)(uintptr_t)c->link != link || link_is_dropped(c->link))
        return;
    uint64_t now_ns = machine_now(), accepted_ns = link_accepted_ns(c->link),
             blocked_ns = link_blocked_ns(c->link);
    const bool is_stranger = c->is_greeted && c->role == WIRE_ROLE_NONE && c->key == NULL;
    const bool is_awake = machine_is_awake_for(CLOSING_SLACK_NS);
    CHECK(!is_awake || (c->kind != CLIENT_SILENT && !is_stranger) || accepted_ns == 0 ||
              now_ns < accepted_ns + HELLO_GRACE_NS + CLOSING_SLACK_NS,
          "client %u of role %u has said nothing for long and is still there", c->id, c->role);
    CHECK(!is_awake || blocked_ns == 0 ||
              now_ns < blocked_ns + c->limits.send_deadline_ns + CLOSING_SLACK_NS,
          "client %u has taken nothing for long and is still there", c->id);
    machine_at(now_ns + 500 * NS_PER_MS, check_deadlines, c, link);
}

static void control(void *user, uint64_t value);
static void attack(void *user, uint64_t value);
static void stop_reading(void *user, uint64_t value);

static void connect_client(void *user, uint64_t value)
{
    struct client *c = user;
    (void)value;
    const struct link_events events = {.received = received, .closed = closed, .user = c};
    if (c->is_retired)
        return;
    c->link = link_open(c->host, &c->manners, &events);
    if (c->link == NULL) {
        machine_at(machine_now() + 50 * NS_PER_MS, connect_client, c, 0);
        return;
    }
    machine_trace("client %u of kind %d connects from host %u", c->id, (int)c->kind, c->host);
    uint64_t now_ns = machine_now();
    machine_at(now_ns, check_deadlines, c, (uint64_t)(uintptr_t)c->link);
    switch (c->kind) {
    case CLIENT_LATEST:
    case CLIENT_EVERY:
        machine_at(now_ns + chance_in(chance(), 50, 5000) * NS_PER_MS, break_link, c, 0);
        break;
    case CLIENT_CONTROLLER: machine_at(now_ns + 20 * NS_PER_MS, control, c, 0); break;
    case CLIENT_HOSTILE:
        machine_at(now_ns + chance_in(chance(), 0, 200) * NS_PER_MS, attack, c, 0);
        break;
    case CLIENT_STOPPED:
        machine_at(now_ns + chance_in(chance(), 100, 1500) * NS_PER_MS, stop_reading, c, 0);
        break;
    default: break;
    }
}

/** From here on it takes no byte: it is to be dropped once its window is full. */
static void stop_reading(void *user, uint64_t value)
{
    struct client *c = user;
    (void)value;
    if (c->link == NULL || !c->is_subscribed)
        return;
    struct link_manners deaf = c->manners;
    deaf.read_bytes = 0;
    link_set_manners(c->link, &deaf);
}

static void attack(void *user, uint64_t value)
{
    struct client *c = user;
    (void)value;
    if (c->link == NULL)
        return;
    uint8_t bytes[512];
    size_t count = (size_t)chance_in(chance(), 1, sizeof bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)chance_next(chance());
    if (chance_one_in(chance(), 2) && count >= WIRE_HEADER_BYTES) { // a header that nearly is one
        struct wire_header header = {.version = (uint8_t)chance_in(chance(), 0, 3),
                                     .type = (uint8_t)chance_in(chance(), 0, 15),
                                     .length = (uint32_t)chance_in(chance(), 0, 6000),
                                     .tag = 7};
        wire_put_header(bytes, &header);
    }
    link_send(c->link, bytes, count);
    machine_at(machine_now() + chance_in(chance(), 1, 800) * NS_PER_MS, attack, c, 0);
}

static const char *const settings[] = {
    "TriggerMode=On\nTriggerSource=Software\n",
    "TriggerMode=Off\n",
    "TriggerMode=On\nTriggerSource=Timer\nTriggerTimerPeriod=70\n",
    "TriggerMode=On\nTriggerSource=Line\n",
    "AcquisitionBurstFrameCount=3\n",
    "AcquisitionBurstFrameCount=1\n",
    "PretriggerFrameCount=2\n",
    "PretriggerFrameCount=0\n",
    "AcquisitionFrameRate=60\n",
    "AcquisitionFrameRate=7\n",
    "ImageCompressionQuality=40\n",
    "Gain=2\n",
    "ExposureTime=4000\nExposureAuto=Off\n",
    "ExposureAuto=Continuous\n",
    "Width=64\nHeight=48\n",
    "ReverseX=1\n",
    "TriggerDelay=30000\n",
    "TriggerDelay=0\n",
    "Nothing=1\n",
    "Gain=99\nTriggerMode=On\n",
    "TriggerSoftware=1\n",
    "ImageCompressionBitrate=200000\n",
    "ImageCompressionBitrate=0\n",
};

static void control(void *user, uint64_t value)
{
    struct client *c = user;
    (void)value;
    if (c->link == NULL)
        return;
    static const uint8_t ping[8] = "sim";
    if (!all.is_calm) {
        switch (chance_in(chance(), 0, 9)) {
        case 0:
        case 1:
            send_lines(c, WIRE_TYPE_SET,
                       settings[chance_in(chance(), 0, ARRAY_SIZE(settings) - 1)]);
            break;
        case 2: send_message(c, WIRE_TYPE_STATS, NULL, 0); break;
        case 3: send_message(c, WIRE_TYPE_FEATURES, NULL, 0); break;
        case 4: send_lines(c, WIRE_TYPE_GET, "Gain\nWidth\n"); break;
        case 5: send_message(c, WIRE_TYPE_PING, ping, sizeof ping); break;
        default: send_message(c, WIRE_TYPE_TRIGGER, NULL, 0); break;
        }
    }
    machine_at(machine_now() + chance_in(chance(), 1, 400) * NS_PER_MS, control, c, 0);
}

static void take_key(struct client *c, unsigned choice)
{
    static const struct {
        const char *key;
        unsigned role;
    } keys[] = {{CLIENT_CONTROL_KEY, WIRE_ROLE_CONTROL},
                {CLIENT_VIEW_KEY, WIRE_ROLE_VIEW},
                {"a key of no node", WIRE_ROLE_NONE}};
    if (choice >= ARRAY_SIZE(keys))
        return;
    c->key = keys[choice].key;
    c->key_role = keys[choice].role;
}

static struct client *add_client(enum client_kind kind, unsigned host,
                                 const struct client_limits *limits)
{
    CHECK(all.count < CLIENTS_MAX, "too many clients");
    struct client *c = &all.client[all.count++];
    *c = (struct client){.id = all.count, .host = host, .kind = kind, .limits = *limits};
    take_key(c, (unsigned)chance_in(machine_second_chance(), 0, 5));
    c->message = malloc(MESSAGE_MAX);
    CHECK(c->message != NULL, "out of memory");
    bool is_slow = chance_one_in(chance(), 3);
    c->manners = (struct link_manners){
        .window_bytes = (uint32_t)chance_in(chance(), 600, is_slow ? 8000 : 100000),
        .read_bytes = (uint32_t)chance_in(chance(), 100, is_slow ? 2000 : 60000),
        .read_pause_ns = chance_in(chance(), 10, is_slow ? 200000 : 3000) * NS_PER_US,
        .delay_ns = chance_in(chance(), 10, 40000) * NS_PER_US,
    };
    connect_client(c, 0);
    return c;
}

void client_start(enum client_kind kind, const struct client_limits *limits)
{
    add_client(kind, (unsigned)chance_in(chance(), 0, 6), limits);
}

void client_ask_stats(void)
{
    all.stats.frames_before = truth_frames();
    send_message(all.steward, WIRE_TYPE_STATS, NULL, 0);
}

/** A connection that neither subscribes nor says something each second may lose its place. */
static void stay(void *user, uint64_t value)
{
    (void)user;
    (void)value;
    send_message(all.steward, WIRE_TYPE_PING, NULL, 0);
    machine_at(machine_now() + NS_PER_S, stay, NULL, 0);
}

static void set_back(void *user, uint64_t value)
{
    (void)user;
    (void)value;
    // Places are kept for this host; still the steward may have to come again.
    if (all.steward->is_greeted && !all.steward->is_proving)
        send_lines(all.steward, WIRE_TYPE_SET,
                   "TriggerMode=Off\nAcquisitionFrameRate=30\nImageCompressionBitrate=0\n");
    else
        machine_at(machine_now() + 100 * NS_PER_MS, set_back, NULL, 0);
}

/** Who may change a setting goes, and who holds one of the places for the node's own host. */
static void retire(struct client *c)
{
    if (c->host != 0 && (c->kind == CLIENT_LATEST || c->kind == CLIENT_EVERY))
        return;
    c->is_retired = true;
    if (c->link != NULL)
        link_close(c->link, false);
    forget_link(c);
}

void client_calm_down(void)
{
    struct client_limits limits = {.frame_bytes_max = UINT32_MAX,
                                   .send_deadline_ns = NS_PER_S * 1000};
    // The first client has come before: there is always one.
    limits.local_role = all.client[0].limits.local_role;
    limits.anonymous_role = all.client[0].limits.anonymous_role;
    all.is_calm = true;
    for (unsigned i = 0; i < all.count; i++)
        retire(&all.client[i]);
    all.steward = add_client(CLIENT_CONTROLLER, 0, &limits);
    all.steward->is_steward = true;
    take_key(all.steward, 0);
    all.steward->manners = (struct link_manners){.window_bytes = 100000,
                                                 .read_bytes = 50000,
                                                 .read_pause_ns = NS_PER_MS,
                                                 .delay_ns = NS_PER_MS};
    link_set_manners(all.steward->link, &all.steward->manners);
    machine_at(machine_now() + 500 * NS_PER_MS, set_back, NULL, 0);
    machine_at(machine_now() + 200 * NS_PER_MS, stay, NULL, 0);
}

const struct client_stats *client_stats(void)
{
    all.stats.text = all.stats_text;
    return &all.stats;
}

void client_check_end(void)
{
    for (unsigned i = 0; i < all.count; i++)
        machine_trace("client %u: %llu records", all.client[i].id,
                      (unsigned long long)all.client[i].records);
}
