// SPDX-License-Identifier: MIT
#include "tests/host/support/server_bench.h"

#include "hal/os/clock.h"
#include "net/server/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S   60 /**< real time that any one message may take */
#define SETTLE_TURNS 40

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("not so: %s (%s)", #condition, strerror(errno));                              \
        }                                                                                          \
    } while (0)

/** Answers TRIGGER with a count, FEATURES with nothing, unless it is busy, GET with its own text,
 * STATS with much text, SET with a refusal.
 */
static int answer(void *user, uint8_t type, char *text, size_t bytes, char *reply,
                  size_t reply_size, uint64_t now_ns)
{
    struct bench *bench = user;
    (void)now_ns;
    switch (type) {
    case WIRE_TYPE_TRIGGER: wire_store_u64((uint8_t *)reply, ++bench->triggers); return 8;
    case WIRE_TYPE_GET:
        REQUIRE(text[bytes] == '\0');
        memcpy(reply, text, bytes);
        return (int)bytes;
    case WIRE_TYPE_FEATURES: bench->asked++; return bench->is_busy ? SERVER_REQUEST_LATER : 0;
    case WIRE_TYPE_STATS:
        REQUIRE(reply_size >= 8000);
        memset(reply, 's', 8000);
        return 8000;
    case WIRE_TYPE_SET:
        snprintf(reply, reply_size, "%s is refused", text);
        return -WIRE_ERROR_BAD_VALUE;
    default: return 0;
    }
}

static unsigned bound_port(const struct server *server)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    REQUIRE(getsockname(server->listeners[0].fd, (struct sockaddr *)&address, &size) == 0);
    return ntohs(address.sin_port);
}

static void release(struct bench *bench)
{
    server_close(&bench->server);
    loop_close(&bench->loop);
    munmap(bench->memory, bench->bytes);
    bench->memory = NULL;
}

void bench_open(struct bench *bench, uint32_t blocks, const struct server_config *wish,
                const char *path)
{
    if (bench->memory != NULL) // the case before failed and left it open
        release(bench);
    memset(bench, 0, sizeof *bench);
    log_set_level(LOG_LEVEL_ERROR);
    bench->bytes = (STORE_RECORDS_MAX + STORE_PINNED_MAX) * sizeof(struct store_record) +
                   (size_t)blocks * (STORE_BLOCK_BYTES + sizeof(uint32_t));
    bench->memory =
        mmap(NULL, bench->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(bench->memory != MAP_FAILED);
    REQUIRE(store_init(&bench->store, bench->memory, bench->bytes) == 0);
    REQUIRE(loop_init(&bench->loop) == 0);
    struct server_config config = *wish;
    config.local = wish->local != 0 ? wish->local : WIRE_ROLE_CONTROL;
    config.anonymous = wish->anonymous != 0 ? wish->anonymous : WIRE_ROLE_CONTROL;
    config.clients_max = wish->clients_max != 0 ? wish->clients_max : 8;
    config.frame_bytes_max = wish->frame_bytes_max != 0 ? wish->frame_bytes_max : 1 << 20;
    config.send_deadline_ns = wish->send_deadline_ns != 0 ? wish->send_deadline_ns : 5 * NS_PER_S;
    config.command_rate = wish->command_rate != 0 ? wish->command_rate : 10000;
    config.boot_id = BENCH_BOOT_ID;
    config.request = answer;
    config.user = bench;
    REQUIRE(server_init(&bench->server, &bench->loop, &bench->store, &config) == 0);
    snprintf(bench->server.identity, sizeof bench->server.identity, "DeviceUserID=bench\n");
    REQUIRE(server_listen_tcp(&bench->server, "127.0.0.1:0") == 0);
    bench->port = bound_port(&bench->server);
    if (path != NULL) {
        snprintf(bench->path, sizeof bench->path, "%s", path);
        REQUIRE(server_listen_unix(&bench->server, path) == 0);
    }
}

void bench_close(struct bench *bench)
{
    server_close(&bench->server);
    // No connection may keep a record: only the log and `newest` do now.
    for (uint64_t s = bench->store.oldest; s < bench->store.next_sequence; s++) {
        struct store_record *record = store_at(&bench->store, s);
        REQUIRE(record->references == (record == bench->store.newest ? 2u : 1u));
    }
    release(bench);
}

void bench_turn(struct bench *bench)
{
    bench->now_ns = loop_turn(&bench->loop, true);
    server_flush(&bench->server, bench->now_ns);
}

void bench_settle(struct bench *bench)
{
    for (int i = 0; i < SETTLE_TURNS; i++)
        bench_turn(bench);
}

unsigned bench_watched_fds(const struct bench *bench)
{
    unsigned count = 0;
    for (unsigned i = 0; i < LOOP_FDS_MAX; i++)
        count += bench->loop.fds[i].fd >= 0;
    return count;
}

static uint8_t content(uint64_t frame_id, uint32_t at)
{
    return (uint8_t)(frame_id * 131 + at * 7 + at / 251);
}

uint64_t bench_publish(struct bench *bench, uint32_t bytes, uint64_t trigger_id)
{
    struct store *store = &bench->store;
    struct store_record *record = store_begin(store);
    for (uint32_t at = 0; at < bytes;) {
        uint8_t *block = store_add_block(store, record);
        REQUIRE(block != NULL);
        for (uint32_t i = 0; i < STORE_BLOCK_BYTES && at < bytes; i++, at++)
            block[i] = content(store->next_frame_id, at);
    }
    struct wire_frame fields = {.format = 1,
                                .quality = 80,
                                .boot_id = BENCH_BOOT_ID,
                                .timestamp_ns = store->next_frame_id * 10 * NS_PER_MS,
                                .trigger_id = trigger_id};
    store_publish_frame(store, record, &fields, bytes);
    return fields.frame_id;
}

uint64_t bench_publish_event(struct bench *bench, const char *text)
{
    struct wire_event event = {.kind = WIRE_EVENT_CAMERA, .boot_id = BENCH_BOOT_ID};
    store_publish_event(&bench->store, &event, text);
    return event.sequence;
}

static void use_socket(struct bench *bench, struct bench_client *client, int fd)
{
    memset(client, 0, sizeof *client);
    client->bench = bench;
    client->fd = fd;
    REQUIRE(fd >= 0);
}

void bench_connect(struct bench *bench, struct bench_client *client, int receive_buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)bench->port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    use_socket(bench, client, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (receive_buffer > 0)
        REQUIRE(setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer,
                           sizeof receive_buffer) == 0);
    REQUIRE(connect(client->fd, (struct sockaddr *)&address, sizeof address) == 0);
}

void bench_connect_unix(struct bench *bench, struct bench_client *client)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", bench->path);
    use_socket(bench, client, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(client->fd, (struct sockaddr *)&address, sizeof address) == 0);
}

struct sockaddr_storage bench_address(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;
    const bool is_v6 = strchr(text, ':') != NULL;
    out.ss_family = is_v6 ? AF_INET6 : AF_INET;
    REQUIRE(inet_pton(out.ss_family, text, is_v6 ? (void *)&v6->sin6_addr : &v4->sin_addr) == 1);
    return out;
}

void bench_connect_from(struct bench *bench, struct bench_client *client, const char *address)
{
    const struct sockaddr_storage from = bench_address(address != NULL ? address : "0.0.0.0");
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    *client = (struct bench_client){.bench = bench, .fd = fds[0]};
    server_conn_open(&bench->server, fds[1], address != NULL ? address : "uplink",
                     address != NULL ? &from : NULL, clock_now_ns());
}

void bench_greet(struct bench *bench, struct bench_client *client, int receive_buffer)
{
    static struct bench_message hello;
    bench_connect(bench, client, receive_buffer);
    bench_expect(client, WIRE_TYPE_HELLO, &hello);
}

void bench_hang_up(struct bench_client *client)
{
    close(client->fd);
    free(client->data);
    client->fd = -1;
    client->data = NULL;
}

void bench_send_raw(struct bench_client *client, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    time_t start = time(NULL);
    while (count > 0) {
        ssize_t sent = send(client->fd, at, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        REQUIRE(sent >= 0 || errno == EAGAIN);
        REQUIRE(time(NULL) - start < PATIENCE_S);
        if (sent < 0) {
            bench_turn(client->bench);
            continue;
        }
        at += sent;
        count -= (size_t)sent;
    }
}

void bench_send(struct bench_client *client, uint8_t type, uint32_t tag, const void *payload,
                size_t bytes)
{
    uint8_t message[WIRE_HEADER_BYTES + WIRE_REQUEST_BYTES_MAX];
    struct wire_header header = {
        .version = WIRE_VERSION, .type = type, .length = (uint32_t)bytes, .tag = tag};
    REQUIRE(bytes <= WIRE_REQUEST_BYTES_MAX);
    wire_put_header(message, &header);
    if (bytes > 0)
        memcpy(message + WIRE_HEADER_BYTES, payload, bytes);
    bench_send_raw(client, message, WIRE_HEADER_BYTES + bytes);
}

void bench_send_subscribe(struct bench_client *client, uint32_t tag,
                          const struct wire_subscribe *wish)
{
    uint8_t payload[WIRE_SUBSCRIBE_FIXED];
    bench_send(client, WIRE_TYPE_SUBSCRIBE, tag, payload, wire_put_subscribe(payload, wish));
}

void bench_subscribe(struct bench_client *client, const struct wire_subscribe *wish)
{
    static struct bench_message reply;
    bench_send_subscribe(client, 77, wish);
    bench_expect(client, WIRE_TYPE_SUBSCRIBE, &reply);
    REQUIRE(reply.header.tag == 77 && reply.header.flags == WIRE_FLAG_REPLY);
}

ssize_t bench_read(struct bench_client *client, size_t most)
{
    if (client->size - client->used < most) {
        client->size = client->used + most;
        client->data = realloc(client->data, client->size);
        REQUIRE(client->data != NULL);
    }
    ssize_t got = recv(client->fd, client->data + client->used, most, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return -1;
    REQUIRE(got > 0 || errno == EAGAIN);
    if (got < 0)
        return 0;
    client->used += (size_t)got;
    return got;
}

static void parse(const uint8_t *payload, struct bench_message *m)
{
    size_t bytes = m->header.length;
    int fixed = 0;
    switch (m->header.type) {
    case WIRE_TYPE_HELLO: fixed = wire_get_hello(payload, bytes, &m->hello); break;
    case WIRE_TYPE_FRAME: fixed = wire_get_frame(payload, bytes, &m->frame); break;
    case WIRE_TYPE_EVENT: fixed = wire_get_event(payload, bytes, &m->event); break;
    case WIRE_TYPE_ERROR: fixed = wire_get_error(payload, bytes, &m->error); break;
    default: break;
    }
    REQUIRE(fixed >= 0);
    if (m->header.type == WIRE_TYPE_FRAME) {
        m->jpeg_bytes = (uint32_t)bytes - (uint32_t)fixed;
        for (uint32_t i = 0; i < m->jpeg_bytes; i++)
            REQUIRE(payload[(uint32_t)fixed + i] == content(m->frame.frame_id, i));
        return;
    }
    m->text_bytes = bytes - (size_t)fixed;
    REQUIRE(m->text_bytes < sizeof m->text);
    memcpy(m->text, payload + fixed, m->text_bytes);
    m->text[m->text_bytes] = '\0';
}

bool bench_take(struct bench_client *client, struct bench_message *message)
{
    if (client->used < WIRE_HEADER_BYTES)
        return false;
    memset(message, 0, sizeof *message);
    REQUIRE(wire_get_header(client->data, &message->header) == 0);
    size_t whole = WIRE_HEADER_BYTES + (size_t)message->header.length;
    if (client->used < whole)
        return false;
    parse(client->data + WIRE_HEADER_BYTES, message);
    client->used -= whole;
    memmove(client->data, client->data + whole, client->used);
    return true;
}

void bench_expect(struct bench_client *client, uint8_t type, struct bench_message *message)
{
    time_t start = time(NULL);
    while (!bench_take(client, message)) {
        bench_turn(client->bench);
        REQUIRE(bench_read(client, 65536) >= 0);
        REQUIRE(time(NULL) - start < PATIENCE_S);
    }
    if (message->header.type != type)
        fprintf(stderr, "type %u came, event kind %u, frame_id %llu, text %s\n",
                message->header.type, message->event.kind,
                (unsigned long long)message->frame.frame_id, message->text);
    REQUIRE(message->header.type == type);
}

void bench_expect_frame(struct bench_client *client, uint64_t frame_id, uint32_t skipped)
{
    static struct bench_message m;
    bench_expect(client, WIRE_TYPE_FRAME, &m);
    if (m.frame.frame_id != frame_id || m.frame.skipped != skipped)
        fprintf(stderr, "frame %llu, skipped %u\n", (unsigned long long)m.frame.frame_id,
                m.frame.skipped);
    REQUIRE(m.frame.frame_id == frame_id);
    REQUIRE(m.frame.skipped == skipped);
}

void bench_expect_error(struct bench_client *client, unsigned code, uint32_t tag, bool is_closing)
{
    static struct bench_message m;
    bench_expect(client, WIRE_TYPE_ERROR, &m);
    REQUIRE(m.error.code == code);
    REQUIRE(m.header.tag == tag);
    REQUIRE((m.error.flags == WIRE_ERROR_CLOSING) == is_closing);
    REQUIRE(m.text_bytes > 0);
}

void bench_expect_nothing(struct bench_client *client)
{
    static struct bench_message m;
    for (int i = 0; i < SETTLE_TURNS; i++) {
        bench_turn(client->bench);
        REQUIRE(bench_read(client, 65536) >= 0);
    }
    REQUIRE(!bench_take(client, &m));
    REQUIRE(client->used == 0);
}

void bench_expect_end(struct bench_client *client)
{
    time_t start = time(NULL);
    while (bench_read(client, 65536) >= 0) {
        bench_turn(client->bench);
        REQUIRE(time(NULL) - start < PATIENCE_S);
    }
    REQUIRE(client->used == 0);
}
