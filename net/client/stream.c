// SPDX-License-Identifier: MIT
// Between the socket and whole messages. A JPEG is read straight into its record; the same call
// reads the start of the next message into the stage, so a frame costs few system calls and no
// copy.
#include "net/client/client.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

static size_t staged(const struct client_receiver *r)
{
    return r->stage_end - r->stage_at;
}

static size_t body_left(const struct client_receiver *r)
{
    return r->is_in_body ? r->header.length - r->body_at : 0;
}

/** Takes the next header off the stage. */
static int begin_message(struct pinhole *p)
{
    struct client_receiver *r = &p->receiver;
    int error = wire_get_header(r->stage + r->stage_at, &r->header);
    if (error == -EBADMSG)
        return client_fail(p, EPROTO, "what came is not the Pinhole protocol");
    if (error < 0)
        return client_fail(p, EPROTONOSUPPORT, "the node speaks protocol version %u",
                           r->header.version);
    error = client_message_begin(p);
    if (error < 0)
        return error;
    r->stage_at += WIRE_HEADER_BYTES;
    r->body_at = 0;
    r->is_in_body = true;
    return 1;
}

/** Moves staged bytes of the payload to where it goes. */
static void take_staged(struct client_receiver *r)
{
    size_t bytes = staged(r);
    if (bytes > body_left(r))
        bytes = body_left(r);
    if (r->body != NULL && bytes > 0)
        memcpy(r->body + r->body_at, r->stage + r->stage_at, bytes);
    r->stage_at += bytes;
    r->body_at += bytes;
}

static int read_more(struct pinhole *p)
{
    struct client_receiver *r = &p->receiver;
    uint8_t skipped[16384];
    memmove(r->stage, r->stage + r->stage_at, staged(r));
    r->stage_end = staged(r);
    r->stage_at = 0;

    size_t want = body_left(r);
    if (r->body == NULL && want > sizeof skipped)
        want = sizeof skipped;
    struct iovec parts[2] = {
        {.iov_base = r->body != NULL ? r->body + r->body_at : skipped, .iov_len = want},
        {.iov_base = r->stage + r->stage_end, .iov_len = sizeof r->stage - r->stage_end},
    };
    // While a long payload is being skipped what follows the part read is still payload.
    size_t count = want == body_left(r) ? 2 : 1;
    ssize_t got = readv(p->fd, parts, (int)count);
    if (got == 0)
        return client_fail(p, ECONNRESET, "the node closed the link");
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got < 0)
        return client_fail(p, errno, "%s", strerror(errno));
    p->heard_bytes += (size_t)got;
    if (p->heard_bytes >= CLIENT_PROGRESS_BYTES)
        client_heard(p);
    size_t body = (size_t)got < want ? (size_t)got : want;
    r->body_at += body;
    r->stage_end += (size_t)got - body;
    return 1;
}

void client_heard(struct pinhole *p)
{
    p->heard_ns = clock_now_ns();
    p->heard_bytes = 0;
    p->asked_ns = 0;
}

int client_receive(struct pinhole *p, bool may_read)
{
    struct client_receiver *r = &p->receiver;
    if (!r->is_in_body && staged(r) >= WIRE_HEADER_BYTES)
        return begin_message(p);
    if (r->is_in_body) {
        take_staged(r);
        if (body_left(r) == 0) {
            r->is_in_body = false;
            client_heard(p);
            return client_message_end(p);
        }
    }
    return may_read ? read_more(p) : 0;
}

uint32_t client_next_tag(struct pinhole *p)
{
    if (++p->tag == 0)
        p->tag = 1;
    return p->tag;
}

size_t client_message_put(uint8_t *out, uint8_t type, uint32_t tag, const void *payload,
                          size_t bytes)
{
    const struct wire_header header = {
        .version = WIRE_VERSION, .type = type, .length = (uint32_t)bytes, .tag = tag};
    wire_put_header(out, &header);
    if (bytes > 0)
        memcpy(out + WIRE_HEADER_BYTES, payload, bytes);
    return WIRE_HEADER_BYTES + bytes;
}

ssize_t client_stream_send(struct pinhole *p, const uint8_t *message, size_t bytes)
{
    ssize_t sent;
    do
        sent = send(p->fd, message, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN ? 0 : -errno;
}
