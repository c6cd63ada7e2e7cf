// SPDX-License-Identifier: MIT
// Sending, and waiting for the answer to a request.
#include "net/client/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/** What has arrived already is received before anything is sent, so that a link that broke while
 * nobody looked is noticed first; but not for ever. */
void client_drain(struct pinhole *p)
{
    for (unsigned reads = 0; reads < 64 && p->state == CLIENT_UP; reads++)
        if (client_advance(p, true) <= 0)
            return;
}

static int wait_until_up(struct pinhole *p, uint64_t deadline_ns)
{
    client_drain(p);
    while (p->state != CLIENT_UP) {
        int result = client_advance(p, true);
        if (result < 0)
            return result;
        if (result > 0)
            continue;
        if (clock_now_ns() >= deadline_ns)
            return client_fail(p, ENOTCONN, "%.200s: the link is down; reconnecting", p->address);
        client_poll(p, deadline_ns, false);
    }
    return 0;
}

/** The reason of the break is in p->error already. */
static int lost(const struct pinhole *p)
{
    return p->state == CLIENT_BROKEN ? -p->broken_error : -ENOTCONN;
}

int client_send(struct pinhole *p, uint8_t type, uint32_t tag, const void *payload, size_t bytes,
                uint64_t deadline_ns)
{
    uint8_t message[WIRE_HEADER_BYTES + WIRE_REQUEST_BYTES_MAX];
    const int fd = p->fd;
    if (bytes > WIRE_REQUEST_BYTES_MAX)
        return client_fail(p, EMSGSIZE, "%s: %zu bytes are more than the %d a node takes",
                           wire_type_name(type), bytes, WIRE_REQUEST_BYTES_MAX);
    const size_t end = client_message_put(message, type, tag, payload, bytes);
    for (size_t at = 0; at < end;) {
        ssize_t sent = client_stream_send(p, message + at, end - at);
        p->is_sending = sent > 0 && at + (size_t)sent < end;
        if (sent < 0)
            return client_link_down(p, (int)-sent, "cannot send %s: %s", wire_type_name(type),
                                    strerror((int)-sent));
        if (sent > 0) {
            at += (size_t)sent;
            continue;
        }
        if (clock_now_ns() >= deadline_ns)
            return client_link_down(p, ETIMEDOUT, "the node does not read: cannot send %s",
                                    wire_type_name(type));
        // A node that waits for us to read its records does not read either.
        client_poll(p, deadline_ns, true);
        if (client_advance(p, true) < 0 || p->fd != fd || p->state != CLIENT_UP)
            return lost(p);
    }
    return 1;
}

static int await_answer(struct pinhole *p, uint8_t type, uint64_t deadline_ns)
{
    const uint64_t up_since_ns = p->up_since_ns;
    for (unsigned late_reads = 0; !p->is_answered;) {
        const bool is_late = clock_now_ns() >= deadline_ns;
        if (is_late)
            late_reads++;
        int result = client_advance(p, late_reads < CLIENT_LATE_READS);
        if (result < 0 || p->state != CLIENT_UP || p->up_since_ns != up_since_ns) {
            char why[sizeof p->error];
            memcpy(why, p->error, sizeof why);
            client_fail(p, ENOTCONN, "%.220s; whether %s was carried out is not known", why,
                        wire_type_name(type));
            return result < 0 ? result : -ENOTCONN;
        }
        if (result > 0)
            continue;
        if (is_late)
            return client_fail(p, ETIMEDOUT,
                               "%.160s: no reply to %s within %d ms; it may have been carried out",
                               p->address, wire_type_name(type), p->options.request_timeout_ms);
        client_poll(p, deadline_ns, false);
    }
    return 0;
}

int client_request(struct pinhole *p, uint8_t type, const void *payload, size_t bytes)
{
    uint64_t deadline_ns = client_deadline_ns(p->options.request_timeout_ms);
    int result = wait_until_up(p, deadline_ns);
    if (result < 0)
        return result;
    p->is_answered = false;
    p->awaited_tag = client_next_tag(p);
    result = client_send(p, type, p->awaited_tag, payload, bytes, deadline_ns);
    if (result >= 0)
        result = await_answer(p, type, deadline_ns);
    p->awaited_tag = 0;
    if (result < 0)
        return result;
    return p->answer_error != 0 ? -client_errno_of(p->answer_error) : 0;
}
