// SPDX-License-Identifier: MIT
#include "tests/host/support/flood.h"

#include "tests/host/support/peer.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CONNECTIONS_MAX = 64, BOOT = 77, TICK_MS = 20 };

struct connection {
    int fd;
    bool is_streaming;
    uint64_t sequence;
    unsigned frames;
    uint8_t input[WIRE_HEADER_BYTES + WIRE_REQUEST_BYTES_MAX];
    size_t input_bytes;
    uint8_t output[2 * PEER_MESSAGE_MAX];
    size_t output_bytes;
};

/** In the test's own thread. */
static void check(bool is_true, const char *what)
{
    if (!is_true)
        fail_msg("flood: %s", what);
}

/** In the node's thread: it ends, and flood_stop() fails the case. */
static void require(struct flood *flood, bool is_true, const char *what)
{
    if (is_true)
        return;
    print_error("flood: %s\n", what);
    flood->wrong = what;
    pthread_exit(NULL);
}

static void answer(struct connection *c, const struct wire_header *header)
{
    if (header->type == WIRE_TYPE_SUBSCRIBE)
        c->is_streaming = c->input[WIRE_HEADER_BYTES + 2] != WIRE_POLICY_NONE;
    c->output_bytes += peer_make(c->output + c->output_bytes, header->type, WIRE_FLAG_REPLY,
                                 header->tag, c->input + WIRE_HEADER_BYTES,
                                 header->type == WIRE_TYPE_PING ? header->length : 0);
}

/** False when the client has gone. */
static bool take_input(struct flood *flood, struct connection *c)
{
    struct wire_header header;
    ssize_t got = recv(c->fd, c->input + c->input_bytes, sizeof c->input - c->input_bytes, 0);
    if (got <= 0)
        return false;
    c->input_bytes += (size_t)got;
    while (c->input_bytes >= WIRE_HEADER_BYTES) {
        require(flood, wire_get_header(c->input, &header) == 0, "not a header");
        const size_t whole = WIRE_HEADER_BYTES + (size_t)header.length;
        require(flood, whole <= sizeof c->input, "too long a request");
        if (c->input_bytes < whole)
            break;
        answer(c, &header);
        memmove(c->input, c->input + whole, c->input_bytes -= whole);
    }
    return true;
}

static bool give_output(struct connection *c, unsigned frames_max)
{
    if (frames_max != 0 && c->frames >= frames_max)
        return false;
    if (c->is_streaming && c->output_bytes < PEER_MESSAGE_MAX) {
        c->output_bytes += peer_make_frame(c->output + c->output_bytes, BOOT, ++c->sequence);
        c->frames++;
    }
    if (c->output_bytes == 0)
        return true;
    ssize_t sent = send(c->fd, c->output, c->output_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return false;
    memmove(c->output, c->output + sent, c->output_bytes -= (size_t)sent);
    return true;
}

static void greet(struct flood *flood, struct connection *c, int fd, uint64_t sequence)
{
    const int yes = 1;
    require(flood, setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0, "TCP_NODELAY");
    memset(c, 0, sizeof *c);
    c->fd = fd;
    c->sequence = sequence; // the log goes on
    c->output_bytes = peer_make_hello(c->output, BOOT);
    peer_set_log_end(c->output, sequence + 1);
}

static void *run(void *argument)
{
    static struct connection connections[CONNECTIONS_MAX];
    struct flood *flood = argument;
    struct pollfd pollers[CONNECTIONS_MAX + 1];
    size_t count = 0;
    uint64_t sequence = 0;
    while (!atomic_load(&flood->is_over)) {
        pollers[0] = (struct pollfd){.fd = flood->listener, .events = POLLIN};
        for (size_t i = 0; i < count; i++) {
            struct connection *c = &connections[i];
            const bool has_output = c->is_streaming || c->output_bytes > 0;
            pollers[i + 1] = (struct pollfd){
                .fd = c->fd, .events = (short)(POLLIN | (has_output ? POLLOUT : 0))};
        }
        poll(pollers, count + 1, TICK_MS);
        for (size_t i = count; i-- > 0;) {
            struct connection *c = &connections[i];
            const short events = pollers[i + 1].revents;
            bool is_alive = true;
            if (events & (POLLIN | POLLHUP | POLLERR))
                is_alive = take_input(flood, c);
            if (is_alive && events & POLLOUT)
                is_alive = give_output(c, atomic_load(&flood->frames_a_link));
            if (is_alive)
                continue;
            close(c->fd);
            if (c->sequence > sequence)
                sequence = c->sequence;
            *c = connections[--count];
        }
        if (pollers[0].revents != 0) {
            require(flood, count < CONNECTIONS_MAX, "too many connections are open");
            greet(flood, &connections[count++], accept(flood->listener, NULL, NULL), sequence);
        }
    }
    while (count > 0)
        close(connections[--count].fd);
    return NULL;
}

void flood_start(struct flood *flood)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    memset(flood, 0, sizeof *flood);
    flood->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(flood->listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(listen(flood->listener, CONNECTIONS_MAX) == 0, "listen");
    check(getsockname(flood->listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    snprintf(flood->address, sizeof flood->address, "127.0.0.1:%u", ntohs(address.sin_port));
    check(pthread_create(&flood->thread, NULL, run, flood) == 0, "thread");
}

void flood_stop(struct flood *flood)
{
    atomic_store(&flood->is_over, true);
    check(pthread_join(flood->thread, NULL) == 0, "join");
    close(flood->listener);
    check(flood->wrong == NULL, flood->wrong);
}
