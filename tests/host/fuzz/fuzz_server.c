// SPDX-License-Identifier: MIT
// Reaches: net/server/conn.c net/server/listen.c net/server/place.c net/server/receive.c
// net/server/send.c net/server/serve.c net/server/server.c net/server/store.c net/server/uplink.c
// Arbitrary bytes from a client, in arbitrary pieces, while frames are published, the client reads
// or does not, and time passes. Whatever comes back is well-formed, nothing is left behind when the
// client has gone, and the server takes the next one.
//
// The input is a list of steps, two bytes each: what, and how much.
//   0  the next so many bytes of input are sent   1  a frame is published   2  an event is
//   published 3  the client reads                           4  time passes            5  the client
//   hangs up
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/host/support/server_bench.h"
#include "tests/host/support/virtual_clock.h"

#define STEPS_MAX 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct bench b;
static struct bench_client c;
static bool is_ended; /**< the node has closed */

static void require(bool is_met)
{
    if (!is_met)
        abort();
}

static void clean_up(void)
{
    char folder[sizeof b.path];
    strcpy(folder, b.path);
    server_close(&b.server);
    *strrchr(folder, '/') = '\0';
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static char path[] = "/tmp/pinhole-fuzz-XXXXXX/socket";
    *strrchr(path, '/') = '\0';
    require(mkdtemp(path) != NULL);
    path[strlen(path)] = '/';
    bench_open(&b, 24,
               &(struct server_config){
                   .clients_max = 1, .command_rate = 100, .send_deadline_ns = 2 * NS_PER_S},
               path);
    atexit(clean_up);
    return 0;
}

static void read_some(size_t most)
{
    static struct bench_message message;
    if (!is_ended && bench_read(&c, most) < 0)
        is_ended = true;
    while (bench_take(&c, &message))
        continue;
}

static void send_some(const uint8_t *data, size_t bytes)
{
    if (!is_ended && bytes > 0)
        (void)!send(c.fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/** One step. Returns how many bytes of input it used beyond its own two; SIZE_MAX: the end. */
static size_t step(uint8_t what, uint8_t much, const uint8_t *rest, size_t left)
{
    size_t count = much < left ? much : left;
    switch (what % 6) {
    case 0: send_some(rest, count); return count;
    case 1: bench_publish(&b, much * 300u, much % 3 == 0); return 0;
    case 2: bench_publish_event(&b, "event"); return 0;
    case 3: read_some((size_t)much * much + 1); return 0;
    case 4: virtual_now_ns += (uint64_t)much * 10 * NS_PER_MS; return 0;
    default: return much < 250 ? 0 : SIZE_MAX;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    require(store_init(&b.store, b.memory, b.bytes) == 0);
    bench_publish(&b, 20000, 0);
    bench_connect_unix(&b, &c);
    is_ended = false;
    bench_turn(&b);
    size_t at = 0;
    for (unsigned steps = 0; at + 2 <= bytes && steps < STEPS_MAX; steps++) {
        size_t used = step(data[at], data[at + 1], data + at + 2, bytes - at - 2);
        bench_turn(&b);
        if (used == SIZE_MAX)
            break;
        at += 2 + used;
    }
    bench_hang_up(&c);
    for (int i = 0; i < 5 && b.server.stats.clients > 0; i++) {
        virtual_now_ns += 2 * NS_PER_S; // replies that nobody reads, a farewell that lingers
        bench_turn(&b);
    }
    require(b.server.stats.clients == 0);
    for (uint64_t s = b.store.oldest; s < b.store.next_sequence; s++) {
        const struct store_record *record = store_at(&b.store, s);
        require(record->references == (record == b.store.newest ? 2u : 1u));
    }
    return 0;
}
