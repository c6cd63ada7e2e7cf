// SPDX-License-Identifier: MIT
#include "tests/host/sim/machine.h"

#include "tests/host/sim/descriptor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define FD_FIRST    1000
#define FDS_MAX     256
#define EVENTS_MAX  65536
#define SIGNALS_MAX 8
#define TURN_MIN_NS (2 * NS_PER_US) /**< what a turn of the loop takes at least */
#define SEED_TEXT   "replay with: make sim SEED=%llu"

struct event {
    uint64_t when_ns, order;
    void (*fn)(void *arg, uint64_t value);
    void *arg;
    uint64_t value;
};

static struct {
    uint64_t seed, now_ns, order, hash;
    uint64_t turn_max_ns, stop_ns, awake_ns;
    int64_t realtime_offset_ns;
    struct chance chance, second_chance;
    bool is_verbose, is_stderr_blocked, is_starved;
    struct event heap[EVENTS_MAX];
    unsigned events;
    struct descriptor fd[FDS_MAX];
    unsigned fds; /**< places that were ever taken; the others are free */
    int signals[SIGNALS_MAX];
    unsigned signal_count;
} m;

ssize_t __real_read(int fd, void *buffer, size_t bytes);
ssize_t __real_write(int fd, const void *buffer, size_t bytes);

// ---- time and chance ----

void machine_init(uint64_t seed, bool is_verbose)
{
    m.seed = seed;
    m.is_verbose = is_verbose;
    m.hash = UINT64_C(14695981039346656037);
    m.chance.state = seed * UINT64_C(0x2545F4914F6CDD1D) + 1;
    m.second_chance.state = ~m.chance.state;
    m.now_ns = chance_in(&m.chance, 1, 1000000) * NS_PER_MS;
    m.realtime_offset_ns = (int64_t)(UINT64_C(1800000000) * NS_PER_S);
    // One machine in four is so slow that pictures wait for the encoder.
    m.turn_max_ns = chance_one_in(&m.chance, 4) ? 15 * NS_PER_MS : 120 * NS_PER_US;
}

uint64_t machine_now(void)
{
    return m.now_ns;
}

struct chance *machine_chance(void)
{
    return &m.chance;
}

struct chance *machine_second_chance(void)
{
    return &m.second_chance;
}

void machine_step_realtime(int64_t step_ns)
{
    machine_trace("realtime steps by %lld ns", (long long)step_ns);
    m.realtime_offset_ns += step_ns;
}

void machine_block_stderr(bool is_blocked)
{
    m.is_stderr_blocked = is_blocked;
}

void machine_starve_descriptors(bool is_starved)
{
    m.is_starved = is_starved;
}

bool machine_is_starved(void)
{
    return m.is_starved;
}

static bool is_before(const struct event *a, const struct event *b)
{
    return a->when_ns != b->when_ns ? a->when_ns < b->when_ns : a->order < b->order;
}

void machine_at(uint64_t when_ns, void (*fn)(void *arg, uint64_t value), void *arg, uint64_t value)
{
    CHECK(m.events < EVENTS_MAX, "the simulation has too many events");
    struct event event = {when_ns < m.now_ns ? m.now_ns : when_ns, m.order++, fn, arg, value};
    unsigned i = m.events++;
    for (; i > 0 && is_before(&event, &m.heap[(i - 1) / 2]); i = (i - 1) / 2)
        m.heap[i] = m.heap[(i - 1) / 2];
    m.heap[i] = event;
}

static struct event take_event(void)
{
    struct event first = m.heap[0], last = m.heap[--m.events];
    unsigned i = 0;
    for (;;) {
        unsigned child = 2 * i + 1;
        if (child >= m.events)
            break;
        if (child + 1 < m.events && is_before(&m.heap[child + 1], &m.heap[child]))
            child++;
        if (!is_before(&m.heap[child], &last))
            break;
        m.heap[i] = m.heap[child];
        i = child;
    }
    m.heap[i] = last;
    return first;
}

/** Runs what is due up to `until_ns`, and moves the time there. */
static void run_until(uint64_t until_ns)
{
    while (m.events > 0 && m.heap[0].when_ns <= until_ns) {
        struct event event = take_event();
        if (event.when_ns > m.now_ns)
            m.now_ns = event.when_ns;
        event.fn(event.arg, event.value);
    }
    if (until_ns > m.now_ns)
        m.now_ns = until_ns;
}

// ---- the trace ----

static void hash_bytes(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        m.hash = (m.hash ^ (uint8_t)bytes[i]) * UINT64_C(1099511628211);
}

void machine_trace(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int used = snprintf(line, sizeof line, "%llu ", (unsigned long long)m.now_ns);
    vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
    va_end(arguments);
    hash_bytes(line, strlen(line));
    if (m.is_verbose)
        fprintf(stderr, "%s\n", line);
}

uint64_t machine_trace_hash(void)
{
    return m.hash;
}

void machine_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "FAILED seed %llu at %llu ns, %s:%d: ", (unsigned long long)m.seed,
            (unsigned long long)m.now_ns, file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n" SEED_TEXT "\n", (unsigned long long)m.seed);
    _exit(1);
}

// ---- descriptors ----

struct descriptor *descriptor_find(int fd)
{
    return fd >= FD_FIRST && fd < FD_FIRST + FDS_MAX && m.fd[fd - FD_FIRST].kind != FD_FREE
               ? &m.fd[fd - FD_FIRST]
               : NULL;
}

int descriptor_make(enum fd_kind kind)
{
    for (int i = 0; i < FDS_MAX; i++) {
        if (m.fd[i].kind != FD_FREE)
            continue;
        m.fd[i] = (struct descriptor){.kind = kind};
        m.fds = base_max_u32(m.fds, (uint32_t)i + 1);
        return FD_FIRST + i;
    }
    errno = EMFILE;
    return -1;
}

bool descriptor_is_listening(ino_t inode)
{
    for (int i = 0; i < FDS_MAX; i++)
        if (m.fd[i].kind == FD_LISTENER && m.fd[i].inode == inode)
            return true;
    return false;
}

static uint32_t ready_events(const struct descriptor *d)
{
    switch (d->kind) {
    case FD_LISTENER: return link_is_pending(d->is_unix) ? EPOLLIN : 0;
    case FD_SIGNAL: return m.signal_count > 0 ? EPOLLIN : 0;
    case FD_EVENT: return d->count > 0 ? EPOLLIN : 0;
    case FD_DIALLING: return d->error != 0 ? EPOLLOUT | EPOLLERR | EPOLLHUP : 0;
    case FD_CONN: return link_ready(d->link);
    default: return 0;
    }
}

int __wrap_epoll_create1(int flags)
{
    (void)flags;
    return descriptor_make(FD_EPOLL);
}

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    (void)epoll_fd;
    struct descriptor *d = descriptor_find(fd);
    CHECK(d != NULL, "epoll_ctl on descriptor %d, which is not open", fd);
    d->is_watched = operation != EPOLL_CTL_DEL;
    d->wanted = event != NULL ? event->events : 0;
    if (operation != EPOLL_CTL_DEL)
        d->data = event->data.u64;
    return 0;
}

static int collect(struct epoll_event *events, int max)
{
    int count = 0;
    // Begins anywhere: no order of descriptors may be relied on.
    unsigned first = (unsigned)chance_in(&m.chance, 0, FDS_MAX - 1);
    for (unsigned i = 0; i < m.fds && count < max; i++) {
        const struct descriptor *d = &m.fd[(first + i) % m.fds];
        if (d->kind == FD_FREE || !d->is_watched)
            continue;
        uint32_t ready = ready_events(d) & (d->wanted | EPOLLERR | EPOLLHUP);
        if (ready != 0)
            events[count++] = (struct epoll_event){.events = ready, .data.u64 = d->data};
    }
    return count;
}

int __wrap_epoll_pwait2(int epoll_fd, struct epoll_event *events, int max,
                        const struct timespec *timeout, const sigset_t *mask)
{
    (void)epoll_fd;
    (void)mask;
    run_until(m.now_ns + chance_in(&m.chance, TURN_MIN_NS, m.turn_max_ns)); // the turn before
    uint64_t end_ns = timeout == NULL ? NS_NEVER
                                      : m.now_ns + (uint64_t)timeout->tv_sec * NS_PER_S +
                                            (uint64_t)timeout->tv_nsec;
    for (;;) {
        int count = collect(events, max);
        if (count > 0 || m.now_ns >= end_ns)
            return count;
        CHECK(m.events > 0 || end_ns != NS_NEVER, "the node waits for nothing");
        uint64_t next_ns = m.events > 0 ? m.heap[0].when_ns : NS_NEVER;
        run_until(base_min_u64(next_ns, end_ns));
    }
}

int __wrap_eventfd(unsigned initial, int flags)
{
    (void)flags;
    int fd = descriptor_make(FD_EVENT);
    if (fd >= 0)
        descriptor_find(fd)->count = initial;
    return fd;
}

int __wrap_signalfd(int fd, const sigset_t *mask, int flags)
{
    (void)fd;
    (void)mask;
    (void)flags;
    return descriptor_make(FD_SIGNAL);
}

void machine_signal(int signal_number)
{
    for (unsigned i = 0; i < m.signal_count; i++)
        if (m.signals[i] == signal_number)
            return; // it is pending already
    CHECK(m.signal_count < SIGNALS_MAX, "too many signals");
    machine_trace("signal %d", signal_number);
    m.signals[m.signal_count++] = signal_number;
}

ssize_t __wrap_read(int fd, void *buffer, size_t bytes)
{
    struct descriptor *d = descriptor_find(fd);
    if (d == NULL)
        return __real_read(fd, buffer, bytes);
    if (ready_events(d) == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (d->kind == FD_EVENT) {
        memcpy(buffer, &d->count, sizeof d->count);
        d->count = 0;
        return sizeof d->count;
    }
    CHECK(d->kind == FD_SIGNAL, "read() of a descriptor of kind %d", (int)d->kind);
    struct signalfd_siginfo info = {.ssi_signo = (uint32_t)m.signals[0]};
    m.signal_count--;
    memmove(&m.signals[0], &m.signals[1], m.signal_count * sizeof m.signals[0]);
    memcpy(buffer, &info, sizeof info);
    return sizeof info;
}

ssize_t __wrap_write(int fd, const void *buffer, size_t bytes)
{
    struct descriptor *d = descriptor_find(fd);
    if (d != NULL) {
        CHECK(d->kind == FD_EVENT, "write() to a descriptor of kind %d", (int)d->kind);
        uint64_t value;
        memcpy(&value, buffer, sizeof value);
        d->count += value;
        return sizeof value;
    }
    if (fd != STDERR_FILENO)
        return __real_write(fd, buffer, bytes);
    hash_bytes(buffer, bytes); // the node's log belongs to the trace
    return m.is_verbose ? __real_write(fd, buffer, bytes) : (ssize_t)bytes;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    (void)timeout;
    CHECK(count == 1 && fds->fd == STDERR_FILENO, "poll() of something that is not stderr");
    fds->revents = m.is_stderr_blocked ? 0 : POLLOUT;
    return m.is_stderr_blocked ? 0 : 1;
}

int __wrap_isatty(int fd)
{
    (void)fd;
    return 0;
}

/** The process is stopped and goes on, between two of its instructions. */
static void stop_here(void)
{
    uint64_t stop_ns = m.stop_ns;
    m.stop_ns = 0;
    machine_trace("stopped for %llu ns", (unsigned long long)stop_ns);
    m.awake_ns = m.now_ns + stop_ns;
    run_until(m.awake_ns);
    machine_signal(SIGCONT);
}

uint64_t machine_turn_max_ns(void)
{
    return m.turn_max_ns;
}

bool machine_is_awake_for(uint64_t least_ns)
{
    return m.now_ns >= m.awake_ns + least_ns;
}

void machine_stop(uint64_t stop_ns)
{
    m.stop_ns = stop_ns;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    uint64_t ns = m.now_ns + (id == CLOCK_REALTIME ? (uint64_t)m.realtime_offset_ns : 0);
    *out = (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    if (m.stop_ns != 0)
        stop_here(); // what was read is old now
    return 0;
}

int __wrap_adjtimex(struct timex *query)
{
    query->status = m.now_ns / NS_PER_S % 2 == 0 ? STA_UNSYNC : 0;
    return TIME_OK;
}

ssize_t __wrap_getrandom(void *buffer, size_t bytes, unsigned flags)
{
    (void)flags;
    if (bytes <= sizeof(uint64_t)) {
        uint64_t value = chance_next(&m.chance);
        memcpy(buffer, &value, bytes);
        return (ssize_t)bytes;
    }
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)buffer)[i] = (uint8_t)chance_next(&m.second_chance);
    return (ssize_t)bytes;
}
