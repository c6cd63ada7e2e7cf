// SPDX-License-Identifier: MIT
#include "tests/host/sim/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/server/server.h"
#include "tests/host/sim/client_requests.h"
#include "tests/host/sim/machine.h"

#define CLIENTS_MAX      64
#define MESSAGE_MAX      (SERVER_REPLY_BYTES + (256u << 10))
#define HELLO_GRACE_NS   (5 * NS_PER_S)
#define CLOSING_SLACK_NS (2 * NS_PER_S) /**< deadlines are looked at once a second */

static struct {
    struct client client[CLIENTS_MAX];
    unsigned count;
    struct client *steward;
    bool is_calm;
} all;

static struct chance *chance(void)
{
    return machine_chance();
}

static bool is_local(const struct client *c)
{
    return c->host == 0 || c->host == LINK_UNIX;
}

static void take_role(struct client *c, const struct wire_hello *hello)
{
    const struct client_limits *limits = &c->limits;
    const unsigned role = c->kind == CLIENT_COLLECTOR ? WIRE_ROLE_CONTROL
                          : is_local(c)               ? limits->local_role
                                                      : limits->anonymous_role;
    CHECK(hello->role == role, "client %u at host %u has role %u", c->id, c->host, hello->role);
    c->role = hello->role;
    memcpy(c->challenge, hello->challenge, sizeof c->challenge);
    machine_trace("client %u: role %u, challenge %016llx", c->id, c->role,
                  (unsigned long long)wire_load_u64(c->challenge));
}

static void take_record(struct client *c, const struct wire_header *header, const uint8_t *payload)
{
    // Once in some 200,000 machines its random bytes are a SUBSCRIBE. Where it stands is not known
    // then.
    if (c->kind == CLIENT_HOSTILE)
        CHECK(c->role >= WIRE_ROLE_VIEW, "client %u got a record that it cannot have", c->id);
    else if (header->type == WIRE_TYPE_FRAME)
        client_take_frame(c, payload, header->length);
    else
        client_take_event(c, payload, header->length);
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
            client_authenticate(c);
        else if (!c->is_mute)
            client_after_hello(c);
        break;
    case WIRE_TYPE_FRAME:
    case WIRE_TYPE_EVENT: take_record(c, header, payload); break;
    default:
        if (c->kind != CLIENT_HOSTILE && header->tag != 0)
            client_take_reply(c, header, payload);
    }
}

void client_received(void *user, const uint8_t *bytes, size_t count)
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

void client_forget_link(struct client *c)
{
    c->link = NULL;
    c->used = 0;
    c->requests = c->replies = 0;
    c->is_greeted = c->is_subscribed = c->is_proving = false;
}

static void closed(void *user)
{
    struct client *c = user;
    machine_trace("client %u: closed by the node", c->id);
    client_forget_link(c);
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
    client_forget_link(c);
    machine_at(machine_now() + chance_in(chance(), 1, 3000) * NS_PER_MS, connect_client, c, 0);
}

/** Looks again and again whether the node keeps its deadlines for this connection. */
void client_check_deadlines(void *user, uint64_t link)
{
    struct client *c = user;
    if (c->link == NULL || (uint64_t)(uintptr_t)c->link != link || link_is_dropped(c->link))
        return;
    uint64_t now_ns = machine_now(), accepted_ns = link_accepted_ns(c->link),
             blocked_ns = link_blocked_ns(c->link);
    const bool is_stranger = c->is_greeted && c->role == WIRE_ROLE_NONE && c->key == NULL;
    const bool is_awake = machine_is_awake_for(CLOSING_SLACK_NS);
    CHECK(!is_awake || (c->kind != CLIENT_SILENT && !c->is_mute && !is_stranger) ||
              accepted_ns == 0 || now_ns < accepted_ns + HELLO_GRACE_NS + CLOSING_SLACK_NS,
          "client %u of role %u has said nothing for long and is still there", c->id, c->role);
    CHECK(!is_awake || blocked_ns == 0 ||
              now_ns < blocked_ns + c->limits.send_deadline_ns + CLOSING_SLACK_NS,
          "client %u has taken nothing for long and is still there", c->id);
    machine_at(now_ns + 500 * NS_PER_MS, client_check_deadlines, c, link);
}

static void control(void *user, uint64_t value);
static void attack(void *user, uint64_t value);
static void stop_reading(void *user, uint64_t value);

static void connect_client(void *user, uint64_t value)
{
    struct client *c = user;
    (void)value;
    const struct link_events events = {.received = client_received, .closed = closed, .user = c};
    if (c->is_retired)
        return;
    c->link = link_open(c->host, &c->manners, &events);
    if (c->link == NULL) {
        machine_at(machine_now() + 50 * NS_PER_MS, connect_client, c, 0);
        return;
    }
    machine_trace("client %u of kind %d connects from host %u", c->id, (int)c->kind, c->host);
    uint64_t now_ns = machine_now();
    machine_at(now_ns, client_check_deadlines, c, (uint64_t)(uintptr_t)c->link);
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
            client_send_lines(c, WIRE_TYPE_SET,
                              settings[chance_in(chance(), 0, ARRAY_SIZE(settings) - 1)]);
            break;
        case 2: client_send(c, WIRE_TYPE_STATS, NULL, 0); break;
        case 3: client_send(c, WIRE_TYPE_FEATURES, NULL, 0); break;
        case 4: client_send_lines(c, WIRE_TYPE_GET, "Gain\nWidth\n"); break;
        case 5: client_send(c, WIRE_TYPE_PING, ping, sizeof ping); break;
        default: client_send(c, WIRE_TYPE_TRIGGER, NULL, 0); break;
        }
        if (c->limits.has_network && chance_one_in(machine_second_chance(), 8))
            client_ask_proof(c);
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

struct client *client_make(enum client_kind kind, unsigned host, const struct client_limits *limits)
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
    return c;
}

void client_start(enum client_kind kind, const struct client_limits *limits)
{
    unsigned host = (unsigned)chance_in(chance(), 0, 6);
    if (limits->has_network && chance_one_in(machine_second_chance(), 4))
        host = LINK_UNIX;
    connect_client(client_make(kind, host, limits), 0);
}

void client_ask_stats(void)
{
    client_request_stats(all.steward);
}

/** A connection that neither subscribes nor says something each second may lose its place. */
static void stay(void *user, uint64_t value)
{
    (void)user;
    (void)value;
    client_send(all.steward, WIRE_TYPE_PING, NULL, 0);
    machine_at(machine_now() + NS_PER_S, stay, NULL, 0);
}

static void set_back(void *user, uint64_t value)
{
    (void)user;
    (void)value;
    // Places are kept for this host; still the steward may have to come again.
    if (all.steward->is_greeted && !all.steward->is_proving)
        client_send_lines(all.steward, WIRE_TYPE_SET,
                          "TriggerMode=Off\nAcquisitionFrameRate=30\nImageCompressionBitrate=0\n");
    else
        machine_at(machine_now() + 100 * NS_PER_MS, set_back, NULL, 0);
}

/** Who may change a setting goes, and who holds one of the places for the node's own host. */
static void retire(struct client *c)
{
    if (c->kind == CLIENT_COLLECTOR ||
        (!is_local(c) && (c->kind == CLIENT_LATEST || c->kind == CLIENT_EVERY)))
        return;
    c->is_retired = true;
    if (c->link != NULL)
        link_close(c->link, false);
    client_forget_link(c);
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
    all.steward = client_make(CLIENT_CONTROLLER, 0, &limits);
    connect_client(all.steward, 0);
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

void client_check_end(void)
{
    for (unsigned i = 0; i < all.count; i++)
        machine_trace("client %u: %llu records", all.client[i].id,
                      (unsigned long long)all.client[i].records);
}
