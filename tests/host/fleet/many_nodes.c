// SPDX-License-Identifier: MIT
// Simulated nodes for `make check-fleet`, many in one process. Each has a port, one subscriber at a
// time with policy every, and the records that a node's memory holds. A GAP tells the others.
//     many_nodes NODES FILE
// prints their ports on one line. FILE is the JPEG of all frames. It answers each line of its input
// with one line:
//     run N MS   from now on each of the first N nodes has one trigger in so many milliseconds
//     count      frames of all nodes so far
//     each       the last sequence of each node
#include "hal/base.h"
#include "hal/os/clock.h"
#include "net/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    NODES_MAX = 2000,
    RETAINED = 1600, /**< records of 40 KB in 64 MB, the default of store.memory */
    JPEG_MAX = 1 << 20,
    HEAD_MAX = 256,
    EVENTS_MAX = 64,
    WIDTH = 32, /**< of tests/host/support/fake_node.py's picture */
    HEIGHT = 16,
};
#define COMMANDS UINT32_MAX /**< what epoll says of the standard input */

struct node {
    int listener, client; /**< -1: nobody */
    unsigned number;
    uint64_t newest, position;   /**< the next record for the subscriber; 0: there is none */
    uint64_t times_ns[RETAINED]; /**< of the records that it retains */
    uint8_t head[HEAD_MAX];      /**< the message that is being sent; the JPEG follows a frame's */
    size_t head_bytes, body_bytes, sent;
    uint8_t input[WIRE_HEADER_BYTES + WIRE_REQUEST_BYTES_MAX];
    size_t got;
    bool is_blocked;
};

struct fleet {
    struct node nodes[NODES_MAX];
    unsigned count, active;
    int epoll;
    uint8_t jpeg[JPEG_MAX];
    size_t jpeg_bytes;
    uint64_t published;
    uint64_t start_ns, ticks; /**< of the command `run`. A tick is one trigger of one node */
    uint64_t period_ns;
};

static uint64_t oldest(const struct node *node)
{
    return node->newest > RETAINED ? node->newest - RETAINED + 1 : 1;
}

// --- messages ------------------------------------------------------------------------------------

/** Puts the header before a payload that is in the head already. */
static void begin(struct node *node, enum wire_type type, uint32_t tag, size_t bytes, size_t body)
{
    const struct wire_header header = {.version = WIRE_VERSION,
                                       .type = (uint8_t)type,
                                       .flags = tag != 0 ? WIRE_FLAG_REPLY : 0,
                                       .length = (uint32_t)(bytes + body),
                                       .tag = tag};
    wire_put_header(node->head, &header);
    node->head_bytes = WIRE_HEADER_BYTES + bytes;
    node->body_bytes = body;
    node->sent = 0;
}

static void put_hello(const struct fleet *fleet, struct node *node)
{
    uint8_t *payload = node->head + WIRE_HEADER_BYTES;
    const uint64_t now_ns = clock_now_ns();
    const struct wire_hello hello = {.version_min = WIRE_VERSION,
                                     .version_max = WIRE_VERSION,
                                     .message_bytes_max = WIRE_REQUEST_BYTES_MAX,
                                     .boot_id = node->number + 1,
                                     .frame_bytes_max = (uint32_t)fleet->jpeg_bytes,
                                     .clients_max = 1,
                                     .command_rate_max = 200,
                                     .sequence_oldest = oldest(node),
                                     .sequence_next = node->newest + 1,
                                     .monotonic_ns = now_ns,
                                     .realtime_ns = clock_realtime_at(now_ns),
                                     .flags = 1,
                                     .send_deadline_ms = 20000,
                                     .role = WIRE_ROLE_CONTROL};
    size_t bytes = wire_put_hello(payload, &hello);
    bytes += (size_t)snprintf((char *)payload + bytes, HEAD_MAX - WIRE_HEADER_BYTES - bytes,
                              "DeviceUserID=node%u\nDeviceModelName=simulated\n", node->number);
    begin(node, WIRE_TYPE_HELLO, 0, bytes, 0);
}

static void put_frame(const struct fleet *fleet, struct node *node)
{
    const uint64_t sequence = node->position++, at_ns = node->times_ns[sequence % RETAINED];
    const struct wire_frame frame = {.format = 1,
                                     .quality = 80,
                                     .flags = WIRE_FRAME_CLOCK_SYNCHRONIZED,
                                     .boot_id = node->number + 1,
                                     .sequence = sequence,
                                     .frame_id = sequence,
                                     .sensor_sequence = (uint32_t)sequence,
                                     .width = WIDTH,
                                     .height = HEIGHT,
                                     .timestamp_ns = at_ns,
                                     .realtime_ns = clock_realtime_at(at_ns),
                                     .exposure_us = 1000,
                                     .trigger_id = sequence,
                                     .edge_ns = at_ns,
                                     .trigger_source = WIRE_SOURCE_TIMER,
                                     .encodes = 1};
    begin(node, WIRE_TYPE_FRAME, 0, wire_put_frame(node->head + WIRE_HEADER_BYTES, &frame),
          fleet->jpeg_bytes);
}

static void put_gap(struct node *node)
{
    const uint64_t now_ns = clock_now_ns(), last = oldest(node) - 1;
    const struct wire_event event = {.kind = WIRE_EVENT_GAP,
                                     .boot_id = node->number + 1,
                                     .sequence = last,
                                     .monotonic_ns = now_ns,
                                     .realtime_ns = clock_realtime_at(now_ns),
                                     .first = node->position,
                                     .last = last};
    begin(node, WIRE_TYPE_EVENT, 0, wire_put_event(node->head + WIRE_HEADER_BYTES, &event), 0);
    node->position = last + 1;
}

static void put_refusal(struct node *node, uint16_t code, uint32_t tag)
{
    const struct wire_error error = {.code = code};
    begin(node, WIRE_TYPE_ERROR, tag, wire_put_error(node->head + WIRE_HEADER_BYTES, &error), 0);
}

static void put_subscribed(struct node *node, const uint8_t *payload, size_t bytes, uint32_t tag)
{
    struct wire_subscribe wish;
    const uint64_t boot_id = node->number + 1;
    if (wire_get_subscribe(payload, bytes, &wish) < 0 || wish.policy == WIRE_POLICY_LATEST ||
        (wish.boot_id != 0 && wish.boot_id != boot_id)) {
        put_refusal(node, WIRE_ERROR_BAD_VALUE, tag);
        return;
    }
    node->position = wish.from_sequence == WIRE_FROM_NEWEST ? base_max_u64(node->newest, 1)
                     : wish.from_sequence == WIRE_FROM_NEXT ? node->newest + 1
                                                            : wish.from_sequence;
    wire_store_u64(node->head + WIRE_HEADER_BYTES, node->position);
    begin(node, WIRE_TYPE_SUBSCRIBE, tag, sizeof node->position, 0);
    if (wish.policy == WIRE_POLICY_NONE)
        node->position = 0;
}

/** Answers one request. False: there is none; *is_wrong: none ever will be. */
static bool answer(struct node *node, bool *is_wrong)
{
    struct wire_header header;
    uint8_t *payload = node->input + WIRE_HEADER_BYTES;
    if (node->got < WIRE_HEADER_BYTES)
        return false;
    *is_wrong = wire_get_header(node->input, &header) < 0 || header.length > WIRE_REQUEST_BYTES_MAX;
    const size_t bytes = WIRE_HEADER_BYTES + (size_t)header.length;
    if (*is_wrong || node->got < bytes)
        return false;
    if (header.type == WIRE_TYPE_SUBSCRIBE) {
        put_subscribed(node, payload, header.length, header.tag);
    } else if (header.type == WIRE_TYPE_PING && header.length <= 64) {
        memcpy(node->head + WIRE_HEADER_BYTES, payload, header.length);
        begin(node, WIRE_TYPE_PING, header.tag, header.length, 0);
    } else {
        put_refusal(node, WIRE_ERROR_UNKNOWN_TYPE, header.tag);
    }
    node->got -= bytes;
    memmove(node->input, node->input + bytes, node->got);
    return true;
}

// --- connections ---------------------------------------------------------------------------------

static void watch(const struct fleet *fleet, const struct node *node, int how, uint32_t events)
{
    const bool is_client = node->client >= 0;
    struct epoll_event event = {.events = events, .data.u32 = node->number << 1 | is_client};
    epoll_ctl(fleet->epoll, how, is_client ? node->client : node->listener, &event);
}

static void hang_up(struct node *node)
{
    close(node->client);
    node->client = -1;
    node->position = 0;
}

/** Sends what is begun. False: the socket takes no more, or is broken. */
static bool flush(const struct fleet *fleet, struct node *node)
{
    while (node->sent < node->head_bytes + node->body_bytes) {
        const size_t head = node->sent < node->head_bytes ? node->head_bytes - node->sent : 0;
        const size_t body = head > 0 ? 0 : node->sent - node->head_bytes;
        struct iovec parts[] = {{node->head + node->head_bytes - head, head},
                                {(uint8_t *)fleet->jpeg + body, node->body_bytes - body}};
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        const ssize_t sent = sendmsg(node->client, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            hang_up(node);
        if (sent < 0)
            return false;
        node->sent += (size_t)sent;
    }
    return true;
}

/** Sends all that there is to send, answers first. */
static void serve(const struct fleet *fleet, struct node *node)
{
    bool is_wrong = false;
    while (node->client >= 0 && flush(fleet, node)) {
        if (answer(node, &is_wrong))
            continue;
        if (is_wrong) {
            hang_up(node);
            return;
        }
        if (node->position == 0 || node->position > node->newest)
            break;
        if (node->position < oldest(node))
            put_gap(node);
        else
            put_frame(fleet, node);
    }
    const bool is_blocked = node->sent < node->head_bytes + node->body_bytes;
    if (node->client >= 0 && is_blocked != node->is_blocked) {
        watch(fleet, node, EPOLL_CTL_MOD, is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
        node->is_blocked = is_blocked;
    }
}

static void accept_client(const struct fleet *fleet, struct node *node)
{
    const int client = accept4(node->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    if (node->client >= 0)
        hang_up(node);
    node->client = client;
    node->got = 0;
    node->is_blocked = false;
    watch(fleet, node, EPOLL_CTL_ADD, EPOLLIN);
    put_hello(fleet, node);
    serve(fleet, node);
}

static void receive(const struct fleet *fleet, struct node *node)
{
    const ssize_t got = read(node->client, node->input + node->got, sizeof node->input - node->got);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        hang_up(node);
        return;
    }
    node->got += got > 0 ? (size_t)got : 0;
    serve(fleet, node);
}

// --- the fleet -----------------------------------------------------------------------------------

/** Triggers what is due. Returns the time to the next in milliseconds. */
static int trigger(struct fleet *fleet)
{
    if (fleet->active == 0)
        return -1;
    const uint64_t now_ns = clock_now_ns();
    for (;;) {
        const uint64_t due_ns = fleet->start_ns + fleet->ticks * fleet->period_ns / fleet->active;
        if (due_ns > now_ns)
            return (int)((due_ns - now_ns) / NS_PER_MS) + 1;
        struct node *node = &fleet->nodes[fleet->ticks++ % fleet->active];
        node->newest++;
        node->times_ns[node->newest % RETAINED] = due_ns;
        fleet->published++;
        if (!node->is_blocked)
            serve(fleet, node);
    }
}

/** Carries a command out. False: the input has ended. */
static bool obey(struct fleet *fleet)
{
    char line[64], *end = line;
    if (fgets(line, sizeof line, stdin) == NULL)
        return false;
    if (strncmp(line, "run ", 4) == 0) {
        fleet->active = base_min_u32((uint32_t)strtoul(line + 4, &end, 10), fleet->count);
        fleet->period_ns = strtoul(end, NULL, 10) * NS_PER_MS;
        fleet->start_ns = clock_now_ns();
        fleet->ticks = 0;
    }
    if (strcmp(line, "each\n") != 0)
        printf("%" PRIu64, fleet->published);
    else
        for (unsigned i = 0; i < fleet->count; i++)
            printf("%" PRIu64 " ", fleet->nodes[i].newest);
    printf("\n");
    return fflush(stdout) == 0;
}

static bool open_node(const struct fleet *fleet, struct node *node)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    node->client = -1;
    node->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(node->listener, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(node->listener, 1) < 0 ||
        getsockname(node->listener, (struct sockaddr *)&at, &bytes) < 0)
        return false;
    watch(fleet, node, EPOLL_CTL_ADD, EPOLLIN);
    printf("%u ", (unsigned)ntohs(at.sin_port));
    return true;
}

static bool open_fleet(struct fleet *fleet, const char *count, const char *path)
{
    struct epoll_event input = {.events = EPOLLIN, .data.u32 = COMMANDS};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    fleet->jpeg_bytes = fread(fleet->jpeg, 1, sizeof fleet->jpeg, file);
    fclose(file);
    fleet->count = base_min_u32((uint32_t)strtoul(count, NULL, 10), NODES_MAX);
    fleet->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < fleet->count; i++) {
        fleet->nodes[i].number = i;
        if (!open_node(fleet, &fleet->nodes[i]))
            return false;
    }
    printf("\n");
    return fflush(stdout) == 0 && epoll_ctl(fleet->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) == 0;
}

int main(int argc, char **argv)
{
    static struct fleet fleet;
    struct epoll_event events[EVENTS_MAX];
    if (argc != 3 || !open_fleet(&fleet, argv[1], argv[2])) {
        perror("many_nodes");
        return 1;
    }
    for (;;) {
        const int ready = epoll_wait(fleet.epoll, events, EVENTS_MAX, trigger(&fleet));
        for (int i = 0; i < ready; i++) {
            const uint32_t what = events[i].data.u32;
            if (what == COMMANDS && !obey(&fleet))
                return 0;
            if (what == COMMANDS)
                continue;
            struct node *node = &fleet.nodes[what >> 1];
            if ((what & 1) == 0)
                accept_client(&fleet, node);
            else if (node->client >= 0 && (events[i].events & EPOLLOUT) != 0)
                serve(&fleet, node);
            else if (node->client >= 0)
                receive(&fleet, node);
        }
    }
}
