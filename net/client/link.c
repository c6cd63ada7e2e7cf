// SPDX-License-Identifier: MIT
// The link as a state machine: connecting, greeting, breaking, and trying again.
#include "net/client/client.h"
#include "net/tcp.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    GOOD_AFTER_S = 5, /**< a link that lasted longer starts the back-off again */
};

/** Uniform in [100 ms, 200 ms], [100, 400] ... [100, 5000]: many clients of one node that restarts
 * do not come back at the same moment. */
static uint64_t backoff_ns(unsigned attempts)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint32_t)clock_now_ns();
    uint32_t top = (uint32_t)BACKOFF_MIN_MS << (attempts < 6 ? attempts : 6);
    top = base_min_u32(top, BACKOFF_MAX_MS);
    return (BACKOFF_MIN_MS + random % (top - BACKOFF_MIN_MS + 1)) * NS_PER_MS;
}

void client_link_close(struct pinhole *p)
{
    struct client_receiver *r = &p->receiver;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    if (r->record != NULL)
        client_record_give(p, r->record);
    memset(r, 0, sizeof *r);
    p->close_reason[0] = '\0';
}

static void enter(struct pinhole *p, enum client_state state, uint64_t until_ns)
{
    p->state = state;
    p->state_until_ns = until_ns;
}

void client_link_tune(int fd)
{
    const struct net_tcp wish = {.wants_keepalive = true, .wants_ack_timeout = true};
    net_tcp_tune(fd, &wish);
}

void client_link_start(struct pinhole *p)
{
    enter(p, CLIENT_WAITING, 0);
}

void client_link_adopt(struct pinhole *p, int fd)
{
    p->fd = fd;
    enter(p, CLIENT_GREETING, client_deadline_ns(p->options.connect_timeout_ms));
}

static int give_up(struct pinhole *p, int error)
{
    p->broken_error = error;
    enter(p, CLIENT_BROKEN, NS_NEVER);
    return -error;
}

static void plan_retry(struct pinhole *p)
{
    p->attempts++;
    enter(p, CLIENT_WAITING, clock_now_ns() + backoff_ns(p->attempts));
}

/** A try that never got as far as HELLO: the next address, the next try, or the end of open(). */
static int try_failed(struct pinhole *p, int error)
{
    client_link_close(p);
    if (++p->peer.current < p->peer.count) {
        enter(p, CLIENT_WAITING, 0);
        return 1;
    }
    p->peer.current = 0;
    if (!p->was_opened)
        return give_up(p, error);
    plan_retry(p);
    return 1;
}

static int link_lost(struct pinhole *p, int error)
{
    char why[sizeof p->error];
    memcpy(why, p->error, sizeof why);
    client_link_close(p);
    if (p->options.reconnect < 0 || !p->was_opened)
        return give_up(p, error);
    if (clock_now_ns() - p->up_since_ns > GOOD_AFTER_S * NS_PER_S)
        p->attempts = 0;
    plan_retry(p);
    // A link that went unseen by the user between two breaks is one break.
    struct client_record *last = p->queue.last;
    if (last != NULL && last->shown.kind == PINHOLE_EVENT &&
        last->shown.event.kind == PINHOLE_EVENT_RECONNECTED) {
        client_list_remove(last);
        client_record_give(p, last);
    } else if (client_event_add(p, PINHOLE_EVENT_DISCONNECTED, 0, 0, why) < 0) {
        return give_up(p, ENOMEM);
    }
    return -error;
}

int client_link_down(struct pinhole *p, int error, const char *format, ...)
{
    char why[sizeof p->error];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    if (p->close_reason[0] != '\0')
        client_fail(p, error, "%.200s: the node closed the link: %s", p->address, p->close_reason);
    else
        client_fail(p, error, "%.160s: %s", p->address, why);
    return p->state == CLIENT_UP ? link_lost(p, error) : try_failed(p, error);
}

/** The first message over a new link: SUBSCRIBE from the position, or else PING, since the node
 * closes a connection that says nothing. */
static int speak_first(struct pinhole *p)
{
    uint8_t message[WIRE_HEADER_BYTES + WIRE_SUBSCRIBE_FIXED], payload[WIRE_SUBSCRIBE_FIXED];
    const bool is_resuming = p->wish.policy != 0 && !p->is_paused;
    const uint32_t tag = client_next_tag(p);
    size_t bytes = 0;
    if (is_resuming) {
        const struct wire_subscribe subscribe = client_position_subscribe(p, true);
        client_position_resume(p);
        bytes = wire_put_subscribe(payload, &subscribe);
        p->resume_tag = tag;
    }
    bytes = client_message_put(message, is_resuming ? WIRE_TYPE_SUBSCRIBE : WIRE_TYPE_PING, tag,
                               payload, bytes);
    // A new socket has room for it.
    const ssize_t sent = client_stream_send(p, message, bytes);
    if (sent == (ssize_t)bytes)
        return 1;
    const int error = sent < 0 ? (int)-sent : ETIMEDOUT;
    return client_link_down(p, error, "cannot send the first message: %s", strerror(error));
}

/** The node has said HELLO, and has proved itself if it must: the link is up. */
static int begin_up(struct pinhole *p)
{
    p->is_greeted = p->is_proved = false;
    p->info.boot_id = p->hello.boot_id;
    p->info.sequence_oldest = p->hello.sequence_oldest;
    p->info.sequence_next = p->hello.sequence_next;
    p->info.frame_bytes_max = p->hello.frame_bytes_max;
    p->info.role = p->hello.role;
    p->up_since_ns = clock_now_ns();
    p->are_features_fresh = false;
    enter(p, CLIENT_UP, NS_NEVER);
    client_heard(p);
    p->is_sending = false;
    const char *note = "";
    if (client_position_restart(p))
        note = "the node's log is shorter than what came before: taken up from its beginning";
    if (p->was_opened && client_event_add(p, PINHOLE_EVENT_RECONNECTED, 0, 0, note) < 0)
        return client_link_down(p, ENOMEM, "out of memory");
    return speak_first(p);
}

static int begin_connect(struct pinhole *p)
{
    const struct client_address *peer = &p->peer;
    const struct sockaddr *to = (const struct sockaddr *)&peer->list[peer->current].address;
    p->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0)
        return client_link_down(p, errno, "cannot make a socket: %s", strerror(errno));
    client_link_tune(p->fd);
    // Each address gets its share of the time, so that a dead one leaves some for the next.
    const uint64_t now_ns = clock_now_ns();
    const uint64_t left_ns = p->try_until_ns > now_ns ? p->try_until_ns - now_ns : 0;
    enter(p, CLIENT_CONNECTING, now_ns + left_ns / (peer->count - peer->current));
    if (connect(p->fd, to, peer->list[peer->current].length) < 0 && errno != EINPROGRESS)
        return client_link_down(p, errno, "cannot connect: %s", strerror(errno));
    return 1;
}

/** A name's address may have changed since the last time. */
static int begin_lookup(struct pinhole *p)
{
    p->peer = (struct client_address){0};
    int error = client_lookup_start(p);
    if (error < 0)
        return client_link_down(p, -error, "cannot look it up: %s", strerror(-error));
    enter(p, CLIENT_LOOKING_UP, p->try_until_ns);
    return 1;
}

static int finish_lookup(struct pinhole *p)
{
    struct client_found found;
    if (!client_lookup_take(p, &found)) {
        if (clock_now_ns() < p->state_until_ns)
            return 0;
        // It goes on, and the next try takes what it finds.
        return client_link_down(p, ETIMEDOUT, "cannot look it up: no answer");
    }
    if (found.error < 0)
        return client_link_down(p, -found.error, "%s", found.why);
    p->peer = found.address;
    return begin_connect(p);
}

static int begin_try(struct pinhole *p)
{
    if (p->peer.current > 0)
        return begin_connect(p);
    p->try_until_ns = client_deadline_ns(p->options.connect_timeout_ms);
    return p->peer.is_numeric ? begin_connect(p) : begin_lookup(p);
}

static int finish_connect(struct pinhole *p)
{
    struct pollfd poller = {.fd = p->fd, .events = POLLOUT};
    if (poll(&poller, 1, 0) <= 0) {
        if (clock_now_ns() < p->state_until_ns)
            return 0;
        return client_link_down(p, ETIMEDOUT, "cannot connect: no answer");
    }
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    if (error != 0)
        return client_link_down(p, error, "cannot connect: %s", strerror(error));
    enter(p, CLIENT_GREETING, p->state_until_ns);
    return 1;
}

/** Takes one step of receiving; what it cannot accept ends the link. */
static int receive(struct pinhole *p, bool may_read)
{
    const int result = client_receive(p, may_read);
    return result < 0 ? client_link_down(p, -result, "%s", p->error) : result;
}

/** When the silence has lasted as long as it may; NS_NEVER: it may last. */
static uint64_t silent_until_ns(const struct pinhole *p)
{
    if (p->state != CLIENT_UP || p->options.silence_timeout_ms < 0 || p->is_sending)
        return NS_NEVER;
    return base_max_u64(p->heard_ns, p->asked_ns) +
           (uint64_t)p->options.silence_timeout_ms * NS_PER_MS;
}

/** Asks a node that has been silent for long, and gives the link up when it does not answer. */
static int check_silence(struct pinhole *p)
{
    uint8_t message[WIRE_HEADER_BYTES];
    const uint64_t now_ns = clock_now_ns();
    if (now_ns < silent_until_ns(p))
        return 0;
    if (p->asked_ns != 0)
        return client_link_down(
            p, ETIMEDOUT, "the node does not answer PING: nothing but %zu bytes came in %d ms",
            p->heard_bytes, (int)((now_ns - p->heard_ns) / NS_PER_MS));
    p->asked_ns = now_ns;
    const size_t bytes = client_message_put(message, WIRE_TYPE_PING, client_next_tag(p), NULL, 0);
    const ssize_t sent = client_stream_send(p, message, bytes);
    if (sent < 0)
        return client_link_down(p, (int)-sent, "cannot send PING: %s", strerror((int)-sent));
    if (sent > 0 && sent < (ssize_t)bytes)
        return client_link_down(p, ETIMEDOUT, "the node does not read: cannot send PING");
    return 0; // a full socket is as good as a PING: the node has something to answer
}

static int step_up(struct pinhole *p, bool may_read)
{
    const int result = receive(p, may_read);
    if (result < 0 || p->state != CLIENT_UP || !may_read)
        return result;
    const int silence = check_silence(p);
    return silence != 0 ? silence : result;
}

static int begin_proving(struct pinhole *p)
{
    uint8_t payload[WIRE_AUTH_BYTES], message[WIRE_HEADER_BYTES + WIRE_AUTH_BYTES];
    p->is_greeted = false;
    enter(p, CLIENT_PROVING, p->state_until_ns);
    const int error = client_auth_make(p, payload);
    if (error < 0)
        return client_link_down(p, -error, "%s", p->error);
    const size_t bytes =
        client_message_put(message, WIRE_TYPE_AUTH, client_next_tag(p), payload, sizeof payload);
    const ssize_t sent = client_stream_send(p, message, bytes);
    if (sent == (ssize_t)bytes) // a new socket has room for it
        return 1;
    return client_link_down(p, sent < 0 ? (int)-sent : ETIMEDOUT, "cannot send AUTH");
}

static int await_greeting(struct pinhole *p, bool may_read)
{
    const int result = receive(p, may_read);
    if (p->is_greeted && p->key.length > 0)
        return begin_proving(p);
    if (p->is_greeted)
        return begin_up(p);
    if (result != 0 || p->state != CLIENT_GREETING || clock_now_ns() < p->state_until_ns)
        return result;
    return client_link_down(p, ETIMEDOUT, "connected, but no greeting came: is it a Pinhole node?");
}

static int await_proof(struct pinhole *p, bool may_read)
{
    const int result = receive(p, may_read);
    if (p->is_proved)
        return begin_up(p);
    if (result != 0 || p->state != CLIENT_PROVING || clock_now_ns() < p->state_until_ns)
        return result;
    return client_link_down(p, ETIMEDOUT, "the node does not answer AUTH");
}

int client_advance(struct pinhole *p, bool may_read)
{
    int result = 0;
    switch (p->state) {
    case CLIENT_BROKEN: return -p->broken_error;
    case CLIENT_WAITING:
        if (clock_now_ns() < p->state_until_ns)
            return 0;
        result = begin_try(p);
        break;
    case CLIENT_LOOKING_UP: result = finish_lookup(p); break;
    case CLIENT_CONNECTING: result = finish_connect(p); break;
    case CLIENT_GREETING: result = await_greeting(p, may_read); break;
    case CLIENT_PROVING: result = await_proof(p, may_read); break;
    case CLIENT_UP: result = step_up(p, may_read); break;
    }
    // A break that will be mended is progress.
    if (result < 0 && p->state == CLIENT_BROKEN)
        return -p->broken_error;
    return result < 0 ? 1 : result;
}

static void poll_until(struct pinhole *p, uint64_t deadline_ns, bool is_sending, int wake_fd)
{
    struct pollfd pollers[2] = {{.fd = p->fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
    if (is_sending)
        pollers[0].events |= POLLOUT;
    if (p->state == CLIENT_CONNECTING)
        pollers[0].events = POLLOUT;
    if (p->state == CLIENT_LOOKING_UP)
        pollers[0].fd = client_lookup_fd(p);
    uint64_t until_ns = base_min_u64(deadline_ns, p->state_until_ns);
    until_ns = base_min_u64(until_ns, silent_until_ns(p));
    uint64_t now_ns = clock_now_ns();
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec left = {.tv_sec = (time_t)(left_ns / NS_PER_S),
                            .tv_nsec = (long)(left_ns % NS_PER_S)};
    (void)ppoll(pollers, ARRAY_SIZE(pollers), until_ns == NS_NEVER ? NULL : &left, NULL);
    uint64_t count;
    if (pollers[1].revents != 0 && read(wake_fd, &count, sizeof count) < 0)
        return; // somebody else has taken the wake: nothing to do but look around
}

void client_poll(struct pinhole *p, uint64_t deadline_ns, bool is_sending)
{
    poll_until(p, deadline_ns, is_sending, -1);
}

void client_poll_or_wake(struct pinhole *p)
{
    poll_until(p, NS_NEVER, false, p->acquirer.wake_fd);
}

int client_wait_up(struct pinhole *p)
{
    while (p->state != CLIENT_UP) {
        int error = client_advance(p, true);
        if (error < 0)
            return error;
        if (error == 0)
            client_poll(p, NS_NEVER, false); // wakes at state_until_ns
    }
    p->was_opened = true;
    return 0;
}
