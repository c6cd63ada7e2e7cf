// SPDX-License-Identifier: MIT
#include "tools/relay/relay.h"

#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/say.h"
#include "tools/relay/claim.h"
#include "tools/relay/health.h"
#include "tools/relay/records.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 500,
    RETRY_MS = 250, /**< after a failure; doubles */
    RETRY_DOUBLINGS = 4,
    STANDBY_S = 2, /**< how often a relay that stands by asks */
    CLAIM_S = 30,  /**< how often the one that works asks: a partition may have healed */
    GOODBYE_MS = 1000,
};

int relay_init(struct relay *relay, const struct relay_settings *settings,
               char why[RELAY_WHY_BYTES])
{
    relay->settings = settings;
    relay->window.limit = (unsigned)settings->window;
    relay_claim_identity(relay->server.identity, sizeof relay->server.identity);
    return relay_server_init(&relay->server, settings, why);
}

/** One line for each trouble, not one for each attempt. */
static void say_trouble(struct relay *relay, const char *why)
{
    if (!relay->has_said || strcmp(relay->said, why) != 0)
        say("%s: %s", relay->settings->name, why);
    relay->has_said = true;
    snprintf(relay->said, sizeof relay->said, "%s", why);
}

static void go_down(struct relay *relay, const char *why)
{
    say_trouble(relay, why);
    relay->is_up = false;
    relay_records_drop(relay);
    relay_server_close(&relay->server);
    // Half of the time is by chance: the relays of a server that comes back do not come together.
    const uint64_t now_ns = clock_now_ns(), half_ns = (RETRY_MS * NS_PER_MS << relay->attempts) / 2;
    relay->retry_ns = now_ns + half_ns + now_ns % half_ns;
    if (relay->attempts < RETRY_DOUBLINGS)
        relay->attempts++;
}

static void say_up(struct relay *relay)
{
    const struct relay_position *position = &relay->position;
    if (relay->has_said)
        return;
    if (position->is_known)
        say("%s: connected to %s; stream %s has records up to %" PRIu64 " of boot %016" PRIx64,
            relay->settings->name, relay->settings->server, relay->settings->stream,
            position->next - 1, position->boot_id);
    else
        say("%s: connected to %s; stream %s has no record yet", relay->settings->name,
            relay->settings->server, relay->settings->stream);
}

/** Another relay works: this one keeps its connection, and asks again. */
static void stand_by(struct relay *relay, const char *why)
{
    say_trouble(relay, why);
    if (relay->is_up)
        relay_records_drop(relay);
    relay->is_up = false;
    relay->retry_ns = clock_now_ns() + STANDBY_S * NS_PER_S;
}

static void go_up(struct relay *relay)
{
    struct relay_server *server = &relay->server;
    char why[RELAY_WHY_BYTES];
    if (server->nc == NULL &&
        (!relay_server_connect(server, why) || !relay_stream_ensure(server, why) ||
         !relay_claim_begin(server, why))) {
        go_down(relay, why);
        return;
    }
    if (!relay_claim_ask(server, why)) {
        stand_by(relay, why);
        return;
    }
    if (!relay_stream_position(server, &relay->position, why)) {
        go_down(relay, why);
        return;
    }
    relay->window.stream_newest = relay->position.stream_last;
    relay->claim_ns = clock_now_ns() + CLAIM_S * NS_PER_S;
    relay->health_ns = 0;
    relay->is_up = true;
    say_up(relay);
}

/** What was said is over when a record is stored again. */
static void take_back(struct relay *relay, uint64_t serial_before)
{
    if (relay->has_said && relay->window.serial != serial_before)
        say("%s: records are stored again", relay->settings->name);
    relay->has_said = relay->has_said && relay->window.serial == serial_before;
}

static bool is_still_first(struct relay *relay, char why[RELAY_WHY_BYTES])
{
    if (clock_now_ns() < relay->claim_ns)
        return true;
    relay->claim_ns = clock_now_ns() + CLAIM_S * NS_PER_S;
    return relay_claim_ask(&relay->server, why);
}

static void step(struct relay *relay)
{
    char why[RELAY_WHY_BYTES];
    const uint64_t serial = relay->window.serial;
    if (relay->server.nc != NULL && relay_server_has_ended(&relay->server, why))
        go_down(relay, why);
    if (!relay->is_up && clock_now_ns() >= relay->retry_ns)
        go_up(relay);
    if (!relay->is_up)
        return;
    if (!relay_records_settle(relay, why)) {
        go_down(relay, why);
        return;
    }
    take_back(relay, serial);
    if (!is_still_first(relay, why)) {
        stand_by(relay, why);
        return;
    }
    if (!relay_records_step(relay, why))
        go_down(relay, why);
    else
        relay_health_step(relay);
}

/** Sleeps until something is to be done. True: the end. */
static bool wait(struct relay *relay, int stop_fd)
{
    struct relay_node *node = &relay->node;
    struct pollfd fds[3] = {
        {.fd = stop_fd, .events = POLLIN},
        {.fd = relay->server.wake_fd, .events = POLLIN},
        // While records are not taken their arrival is no reason to wake.
        {.fd = node->handle != NULL && relay_records_have_room(relay) && node->waiting == NULL
                   ? pinhole_fd(node->handle)
                   : -1,
         .events = POLLIN},
    };
    const uint64_t now_ns = clock_now_ns();
    uint64_t timeout_ms = TICK_MS;
    if (!relay->is_up && relay->retry_ns < now_ns + TICK_MS * NS_PER_MS)
        timeout_ms = relay->retry_ns > now_ns ? (relay->retry_ns - now_ns) / NS_PER_MS + 1 : 0;
    poll(fds, ARRAY_SIZE(fds), node->has_more ? 0 : (int)timeout_ms);
    return fds[0].revents != 0;
}

/** Gives what is on its way a moment to be acknowledged. */
static void drain(struct relay *relay)
{
    char why[RELAY_WHY_BYTES];
    const uint64_t until_ns = clock_now_ns() + GOODBYE_MS * NS_PER_MS;
    while (relay->is_up && relay->window.count > 0 && clock_now_ns() < until_ns &&
           !relay_server_has_ended(&relay->server, why) && relay_records_settle(relay, why)) {
        struct pollfd fd = {.fd = relay->server.wake_fd, .events = POLLIN};
        poll(&fd, 1, relay->window.count > 0 ? TICK_MS / 10 : 0);
    }
}

void relay_run(struct relay *relay, int stop_fd)
{
    while (!wait(relay, stop_fd))
        step(relay);
    drain(relay);
}

void relay_end(struct relay *relay)
{
    relay_records_drop(relay);
    relay_server_close(&relay->server);
    pinhole_close(relay->node.handle);
}
