// SPDX-License-Identifier: MIT
// Subscribers for `make bench`: receives frames and looks at the node from outside, at the moment a
// frame's last byte is there.
//   bench_client ADDRESS PID SUBSCRIBERS WARMUP FRAMES [HEAP_FILE]
//   bench_client ADDRESS slow BYTES_PER_SECOND     a bad reader, until killed; 0: reads nothing
// One process holds all subscribers. Prints one line of JSON: CPU time, context switches and heap
// calls of process PID between two frames, sizes, and for every subscriber's frames the latency
// from "the node has the frame" to the last byte here, whole and less the frame's own encode time.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/base.h"
#include "net/client/pinhole.h"
#include "tests/host/support/latency.h"

#define SUBSCRIBERS_MAX 16u

/** What the kernel and the heap counter say of the node. */
struct view {
    uint64_t cpu_ns, switches, heap_calls, frame_id;
};

static struct pinhole *subscriber[SUBSCRIBERS_MAX];
static struct latency latency;
static uint64_t bytes_total;
static const char *heap_file;
static long node_pid;

static void read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    text[got > 0 ? got : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static uint64_t number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static struct view look(uint64_t frame_id)
{
    char path[64], text[4096];
    struct view view = {.frame_id = frame_id};
    snprintf(path, sizeof path, "/proc/%ld/schedstat", node_pid);
    read_file(path, text, sizeof text);
    view.cpu_ns = strtoull(text, NULL, 10);
    snprintf(path, sizeof path, "/proc/%ld/status", node_pid);
    read_file(path, text, sizeof text);
    view.switches = number_after(text, "\nvoluntary_ctxt_switches:\t") +
                    number_after(text, "nonvoluntary_ctxt_switches:\t");
    if (heap_file != NULL) {
        int fd = open(heap_file, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, &view.heap_calls, 8) != 8)
            abort();
        close(fd);
    }
    return view;
}

static void measure(const struct pinhole_frame *f)
{
    latency_add(&latency, f->timestamp_ns + f->acquired_us * NS_PER_US,
                (f->encoded_us - f->encode_start_us) * NS_PER_US, f->received_ns);
}

/** The next frame of the subscriber, 0 when nothing whole is there. Its frame id, else. */
static uint64_t take(struct pinhole *p, bool is_counted)
{
    struct pinhole_record *record;
    uint64_t id = 0;
    int status;
    while ((status = pinhole_next(p, 0, &record)) > 0) {
        if (record->kind == PINHOLE_FRAME) {
            id = record->frame.frame_id;
            if (is_counted) {
                measure(&record->frame);
                bytes_total += record->frame.jpeg_bytes;
            }
        }
        pinhole_release(p, record);
    }
    if (status < 0) {
        fprintf(stderr, "bench_client: %s\n", pinhole_error(p));
        exit(1);
    }
    return id;
}

/** Runs until the last subscriber has seen frame `until`. Returns that subscriber's frame id. */
static uint64_t receive(unsigned count, uint64_t until, bool is_counted)
{
    struct pollfd wait[SUBSCRIBERS_MAX];
    uint64_t seen[SUBSCRIBERS_MAX] = {0};
    for (unsigned waiting = count; waiting;) {
        for (unsigned i = 0; i < count; i++)
            wait[i] = (struct pollfd){.fd = pinhole_fd(subscriber[i]), .events = POLLIN};
        if (poll(wait, count, 20000) <= 0) {
            fprintf(stderr, "bench_client: no frames\n");
            exit(1);
        }
        waiting = 0;
        for (unsigned i = 0; i < count; i++) {
            uint64_t id = wait[i].revents ? take(subscriber[i], is_counted) : 0;
            seen[i] = id ? id : seen[i];
            waiting += seen[i] < until;
        }
    }
    return seen[count - 1];
}

static void report(const struct view *a, const struct view *b)
{
    double frames = (double)(b->frame_id - a->frame_id);
    printf("{\"frames\": %.0f, \"received\": %u, \"cpu_ns\": %llu, \"switches\": %.2f, "
           "\"heap_calls\": %llu, \"bytes\": %.0f, \"last_id\": %llu, ",
           frames, latency.count, (unsigned long long)(b->cpu_ns - a->cpu_ns),
           (double)(b->switches - a->switches) / frames,
           (unsigned long long)(b->heap_calls - a->heap_calls),
           latency.count ? (double)bytes_total / latency.count : 0,
           (unsigned long long)b->frame_id);
    latency_print(&latency);
    printf("}\n");
}

static const struct pinhole_subscription wish = {
    .size = sizeof wish, .policy = PINHOLE_LATEST, .no_events = 1, .from_sequence = UINT64_MAX};

static void subscribe(struct pinhole **p, const char *address)
{
    if (pinhole_open(p, address, NULL) == 0 && pinhole_subscribe(*p, &wish) == 0)
        return;
    fprintf(stderr, "bench_client: %s\n", pinhole_error(*p));
    exit(1);
}

/** Past the library, straight from its socket, a tenth of the rate at a time. */
static int read_slowly(const char *address, size_t bytes_per_second)
{
    static char buffer[65536];
    struct pinhole *p;
    subscribe(&p, address);
    size_t bytes = bytes_per_second / 10 < sizeof buffer ? bytes_per_second / 10 : sizeof buffer;
    for (;;) {
        usleep(100000);
        if (bytes && read(pinhole_fd(p), buffer, bytes) == 0)
            return 0;
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[2], "slow"))
        return read_slowly(argv[1], (size_t)atoi(argv[3]));
    if (argc < 6) {
        fprintf(stderr, "usage: bench_client ADDRESS PID SUBSCRIBERS WARMUP FRAMES [HEAP_FILE]\n");
        return 2;
    }
    node_pid = atol(argv[2]);
    unsigned count = (unsigned)atoi(argv[3]), warmup = (unsigned)atoi(argv[4]);
    unsigned frames = (unsigned)atoi(argv[5]);
    heap_file = argc > 6 ? argv[6] : NULL;
    if (count < 1 || count > SUBSCRIBERS_MAX)
        return 2;
    for (unsigned i = 0; i < count; i++)
        subscribe(&subscriber[i], argv[1]);
    uint64_t first = receive(count, 1, false);
    struct view before = look(receive(count, first + warmup, false));
    struct view after = look(receive(count, before.frame_id + frames, true));
    report(&before, &after);
    for (unsigned i = 0; i < count; i++)
        pinhole_close(subscriber[i]);
    return 0;
}
