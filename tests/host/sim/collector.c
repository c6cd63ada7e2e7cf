// SPDX-License-Identifier: MIT
#include "tests/host/sim/collector.h"

#include <errno.h>

#include "net/server/state.h"
#include "tests/host/sim/client_requests.h"
#include "tests/host/sim/machine.h"
#include "tests/host/sim/truth.h"

#define CONNECT_DEADLINE_NS (10 * NS_PER_S)
#define EARLY_NS            (20 * NS_PER_MS)  /**< the time of a turn may be so old */
#define SLACK_NS            (100 * NS_PER_MS) /**< some turns of a slow machine */
#define CLOSING_NS          (2 * NS_PER_S)    /**< what the node may take to see an end */
#define SETTLED_NS          (3 * NS_PER_S)
#define LAG_MAX             40u /**< records that a fast reader is behind */

/** What it does with a connection. */
enum manner {
    GOOD,
    FOREIGN,  /**< has another secret */
    STRANGER, /**< gives a key that is wrong */
    MUTE,     /**< hangs up at once */
    SILENT,   /**< says nothing; nor does it close */
    DEAF,     /**< subscribes and reads nothing any more */
    BABBLING, /**< sends what is no protocol */
    MANNERS
};

/** Whether the node has heard something valid on the last connection: then it dials soon. */
enum heard { HEARD_NOTHING, HEARD_PERHAPS, HEARD };

static struct {
    struct client *c;
    enum manner manner;
    enum heard heard;
    bool is_calm, is_dialling, is_refused, is_connected;
    unsigned refusals;
    uint64_t dialled_ns, connected_ns, broken_ns, ended_ns, end_ns;
    uint64_t pause_ns; /**< before the next attempt when nothing was heard; 0 = there was none */
} self;

static uint64_t draw(uint64_t low, uint64_t high)
{
    return chance_in(machine_second_chance(), low, high);
}

// ---- when the node dials ----

/** Hangs up, and forgets what this connection was. */
static void break_off(bool is_reset)
{
    link_close(self.c->link, is_reset);
    client_forget_link(self.c);
    self.broken_ns = machine_now();
}

static bool is_due(uint64_t pause_ns)
{
    const uint64_t due_ns = self.ended_ns + pause_ns, now_ns = machine_now();
    return now_ns + EARLY_NS >= due_ns && now_ns < due_ns + SLACK_NS;
}

static void note_attempt(void)
{
    const bool is_usual = self.heard != HEARD && is_due(self.pause_ns);
    const bool is_soon = self.heard != HEARD_NOTHING && is_due(SERVER_UPLINK_PAUSE_NS);
    CHECK(!self.is_dialling && !self.is_connected, "the node dials twice at a time");
    CHECK(is_usual || is_soon, "the node dials %llu ns after the end, the pause is %llu ns%s",
          (unsigned long long)(machine_now() - self.ended_ns), (unsigned long long)self.pause_ns,
          self.heard == HEARD ? ", but the last peer has spoken" : "");
    if (self.pause_ns == 0)
        self.pause_ns = SERVER_UPLINK_PAUSE_NS;
    else if (is_usual)
        self.pause_ns = base_min_u64(2 * self.pause_ns, SERVER_UPLINK_PAUSE_MAX_NS);
    else
        self.pause_ns = 2 * SERVER_UPLINK_PAUSE_NS;
    if (self.c->link != NULL) // it still reads what the last connection has left
        break_off(false);
    self.heard = HEARD_NOTHING;
    self.dialled_ns = machine_now();
}

static void note_end(void)
{
    self.is_dialling = self.is_connected = false;
    self.ended_ns = machine_now();
}

static void failed(void *user)
{
    (void)user;
    note_attempt();
    note_end();
    machine_trace("the uplink gets no socket");
}

static struct link_dial choose_answer(void)
{
    struct link_dial dial = {.delay_ns = draw(0, 200) * NS_PER_MS};
    self.manner = GOOD;
    if (self.is_calm)
        return dial;
    if (self.refusals > 0) {
        self.refusals--;
        dial.error = ECONNREFUSED;
        return dial;
    }
    switch (draw(0, 11)) {
    case 0: dial.error = ECONNREFUSED; break;
    case 1: dial = (struct link_dial){.error = ENETUNREACH}; break;
    case 2: dial.delay_ns = NS_NEVER; break;
    case 3: dial.delay_ns = draw(9000, 11000) * NS_PER_MS; break;
    default: break;
    }
    if (draw(0, 1) == 0)
        self.manner = (enum manner)draw(0, MANNERS - 1);
    return dial;
}

static struct link_dial dialled(void *user)
{
    (void)user;
    note_attempt();
    const struct link_dial dial = choose_answer();
    self.is_refused = dial.error != 0;
    self.is_dialling = true;
    if (self.is_refused && dial.delay_ns == 0)
        note_end();
    machine_trace("uplink: error %d after %llu ns, manner %d", dial.error,
                  (unsigned long long)dial.delay_ns, (int)self.manner);
    return dial;
}

/** The node closes its end. */
static void ended(void *user)
{
    (void)user;
    const uint64_t now_ns = machine_now();
    const bool is_over = now_ns >= self.end_ns;
    CHECK(!self.is_dialling || self.is_refused || is_over ||
              now_ns + EARLY_NS >= self.dialled_ns + CONNECT_DEADLINE_NS,
          "the node gives an attempt up after %llu ns",
          (unsigned long long)(now_ns - self.dialled_ns));
    CHECK(self.heard != HEARD || self.c->link == NULL || self.manner > FOREIGN || is_over,
          "the node ends a good uplink");
    note_end();
}

// ---- what it does with a connection ----

static void note_heard(void)
{
    if (self.c->replies > 0)
        self.heard = HEARD;
    else if (self.c->requests > 0 && self.heard == HEARD_NOTHING)
        self.heard = HEARD_PERHAPS;
}

static void received(void *user, const uint8_t *bytes, size_t count)
{
    client_received(user, bytes, count);
    note_heard();
    if (self.manner == DEAF && self.c->is_subscribed) {
        struct link_manners deaf = self.c->manners;
        deaf.read_bytes = 0;
        link_set_manners(self.c->link, &deaf);
    }
}

static void closed(void *user)
{
    (void)user;
    client_forget_link(self.c);
    self.broken_ns = machine_now();
}

static void hang_up(void *user, uint64_t link)
{
    (void)user;
    if (self.is_calm || (uint64_t)(uintptr_t)self.c->link != link)
        return;
    note_heard();
    break_off(draw(0, 1) == 0);
}

static void babble(void *user, uint64_t link)
{
    static const uint8_t bytes[] = "GET / HTTP/1.1\r\n\r\n";
    (void)user;
    if ((uint64_t)(uintptr_t)self.c->link == link)
        link_send(self.c->link, bytes, sizeof bytes);
}

static void connected(void *user, struct link *link)
{
    struct client *c = self.c;
    const uint64_t now_ns = machine_now(), name = (uint64_t)(uintptr_t)link;
    self.is_dialling = false;
    self.is_connected = true;
    if (self.is_calm)
        self.manner = GOOD;
    self.connected_ns = now_ns;
    c->link = link;
    c->is_mute = self.manner == MUTE || self.manner == SILENT || self.manner == BABBLING;
    c->is_foreign = self.manner == FOREIGN;
    c->secret = self.manner == FOREIGN ? "a secret of no node" : COLLECTOR_SECRET;
    c->key = self.manner == STRANGER ? "a key of no node" : NULL;
    link_set_manners(link, &c->manners);
    machine_at(now_ns, client_check_deadlines, user, name);
    if (self.manner == MUTE)
        hang_up(NULL, name);
    else if (self.manner == BABBLING)
        machine_at(now_ns + draw(0, 1000) * NS_PER_MS, babble, NULL, name);
    else if (self.manner != SILENT && self.manner != DEAF)
        machine_at(now_ns + draw(1, 8000) * NS_PER_MS, hang_up, NULL, name);
}

// ---- its life ----

static void watch(void *user, uint64_t value)
{
    const uint64_t now_ns = machine_now();
    const uint64_t pause_ns = self.heard == HEARD ? SERVER_UPLINK_PAUSE_NS : self.pause_ns;
    (void)user;
    (void)value;
    if (self.is_dialling)
        CHECK(now_ns < self.dialled_ns + CONNECT_DEADLINE_NS + SLACK_NS,
              "the node waits too long for its uplink");
    else if (self.is_connected)
        CHECK(self.c->link != NULL ||
                  now_ns < base_max_u64(self.connected_ns, self.broken_ns) + CLOSING_NS,
              "the node does not see that its uplink has ended");
    else
        CHECK(now_ns < self.ended_ns + pause_ns + SLACK_NS,
              "the node does not dial again, %llu ns after the end",
              (unsigned long long)(now_ns - self.ended_ns));
    machine_at(now_ns + 50 * NS_PER_MS, watch, NULL, 0);
}

static void stay(void *user, uint64_t value)
{
    (void)user;
    (void)value;
    if (self.c->is_greeted && !self.c->is_mute && self.c->key == NULL)
        client_send(self.c, WIRE_TYPE_PING, NULL, 0);
    machine_at(machine_now() + 10 * NS_PER_S, stay, NULL, 0);
}

void collector_start(const struct client_limits *limits, unsigned refusals, uint64_t end_ns)
{
    self.c = client_make(CLIENT_COLLECTOR, 0, limits);
    self.c->key = NULL;
    self.c->key_role = WIRE_ROLE_NONE;
    self.refusals = refusals;
    self.end_ns = end_ns;
    self.ended_ns = machine_now();
    const struct link_listener listener = {
        .dialled = dialled,
        .failed = failed,
        .connected = connected,
        .manners = self.c->manners,
        .events = {.received = received, .closed = closed, .ended = ended, .user = self.c},
    };
    link_listen(&listener);
    machine_at(machine_now(), watch, NULL, 0);
    machine_at(machine_now(), stay, NULL, 0);
}

void collector_calm_down(void)
{
    self.is_calm = true;
    self.c->manners = (struct link_manners){.window_bytes = 100000,
                                            .read_bytes = 50000,
                                            .read_pause_ns = NS_PER_MS,
                                            .delay_ns = NS_PER_MS};
    if (self.c->link == NULL)
        return;
    if (self.manner == GOOD) {
        link_set_manners(self.c->link, &self.c->manners);
        return;
    }
    note_heard();
    break_off(false);
}

void collector_check_flow(void)
{
    const struct client *c = self.c;
    if (!self.is_connected || c->link == NULL || machine_now() < self.connected_ns + SETTLED_NS)
        return;
    CHECK(c->is_subscribed && truth_at(c->next + LAG_MAX) == NULL,
          "the uplink's peer wants record %llu, and that is old", (unsigned long long)c->next);
}
