// SPDX-License-Identifier: MIT
#include "tests/host/sim/machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define FD_FIRST    1000
#define FDS_MAX     256
#define EVENTS_MAX  65536
#define PENDING_MAX 64
#define WINDOW_MAX  (128u * 1024u)
#define SIGNALS_MAX 8
#define TURN_MIN_NS (2 * NS_PER_US) /**< what a turn of the loop takes at least */
#define SEED_TEXT   "replay with: make sim SEED=%llu"

struct event {
    uint64_t when_ns, order;
    void (*fn)(void *arg, uint64_t value);
    void *arg;
    uint64_t value;
};

enum fd_kind { FD_FREE, FD_EPOLL, FD_SOCKET, FD_LISTENER, FD_CONN, FD_SIGNAL, FD_EVENT };

/** Lives to the end of the run: events may still name it. */
struct link {
    struct link_manners manners;
    struct link_events events;
    unsigned host;
    int fd;                /**< the node's end; -1 before accept4() and after close() */
    bool is_open;          /**< the client's end */
    bool is_node_closed;   /**< the node has closed or shut down its sending side */
    bool is_client_closed; /**< the client's close has arrived at the node */
    bool is_reset;
    bool is_reading;    /**< a read is scheduled */
    uint8_t *to_client; /**< WINDOW_MAX, a ring */
    size_t head, queued;
    uint8_t to_node[8192]; /**< arrived and not yet received by the node */
    size_t to_node_bytes;
    uint64_t accepted_ns; /**< 0 = not yet */
    uint64_t blocked_ns;  /**< since when the node could send nothing; 0 = it could */
    uint64_t arrival_ns;  /**< of what was sent last: nothing overtakes */
};

struct descriptor {
    enum fd_kind kind;
    struct link *link;
    uint64_t count;  /**< FD_EVENT */
    uint32_t wanted; /**< epoll's events; 0 = not watched */
    bool is_watched;
    uint64_t data;
};

static struct {
    uint64_t seed, now_ns, order, hash;
    uint64_t turn_max_ns;
    int64_t realtime_offset_ns;
    struct chance chance, second_chance;
    bool is_verbose, is_stderr_blocked, is_starved;
    struct event heap[EVENTS_MAX];
    unsigned events;
    struct descriptor fd[FDS_MAX];
    struct link *pending[PENDING_MAX];
    unsigned pending_count;
    int signals[SIGNALS_MAX];
    unsigned signal_count;
} m;

ssize_t __real_read(int fd, void *buffer, size_t bytes);
ssize_t __real_write(int fd, const void *buffer, size_t bytes);
int __real_close(int fd);

// ---- time and chance ----

void machine_init(uint64_t seed, bool is_verbose)
{
    memset(&m, 0, sizeof m);
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

static struct descriptor *find(int fd)
{
    return fd >= FD_FIRST && fd < FD_FIRST + FDS_MAX && m.fd[fd - FD_FIRST].kind != FD_FREE
               ? &m.fd[fd - FD_FIRST]
               : NULL;
}

static int make(enum fd_kind kind)
{
    for (int i = 0; i < FDS_MAX; i++) {
        if (m.fd[i].kind != FD_FREE)
            continue;
        m.fd[i] = (struct descriptor){.kind = kind};
        return FD_FIRST + i;
    }
    errno = EMFILE;
    return -1;
}

static uint32_t ready_events(const struct descriptor *d)
{
    const struct link *link = d->link;
    uint32_t ready = 0;
    switch (d->kind) {
    case FD_LISTENER: return m.pending_count > 0 ? EPOLLIN : 0;
    case FD_SIGNAL: return m.signal_count > 0 ? EPOLLIN : 0;
    case FD_EVENT: return d->count > 0 ? EPOLLIN : 0;
    case FD_CONN:
        if (link->to_node_bytes > 0 || link->is_client_closed || link->is_reset)
            ready |= EPOLLIN;
        if (link->is_reset || link->is_client_closed)
            ready |= EPOLLOUT;
        if (link->queued < link->manners.window_bytes)
            ready |= EPOLLOUT;
        if (link->is_reset)
            ready |= EPOLLERR | EPOLLHUP;
        return ready;
    default: return 0;
    }
}

int __wrap_epoll_create1(int flags)
{
    (void)flags;
    return make(FD_EPOLL);
}

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    (void)epoll_fd;
    struct descriptor *d = find(fd);
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
    for (unsigned i = 0; i < FDS_MAX && count < max; i++) {
        const struct descriptor *d = &m.fd[(first + i) % FDS_MAX];
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
    int fd = make(FD_EVENT);
    if (fd >= 0)
        find(fd)->count = initial;
    return fd;
}

int __wrap_signalfd(int fd, const sigset_t *mask, int flags)
{
    (void)fd;
    (void)mask;
    (void)flags;
    return make(FD_SIGNAL);
}

void machine_signal(int signal_number)
{
    CHECK(m.signal_count < SIGNALS_MAX, "too many signals");
    machine_trace("signal %d", signal_number);
    m.signals[m.signal_count++] = signal_number;
}

ssize_t __wrap_read(int fd, void *buffer, size_t bytes)
{
    struct descriptor *d = find(fd);
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
    struct descriptor *d = find(fd);
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

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    uint64_t ns = m.now_ns + (id == CLOCK_REALTIME ? (uint64_t)m.realtime_offset_ns : 0);
    *out = (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
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

// ---- sockets, the node's side ----

int __wrap_socket(int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    return make(FD_SOCKET);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    (void)fd;
    (void)address;
    (void)size;
    return 0;
}

int __wrap_listen(int fd, int backlog)
{
    (void)backlog;
    find(fd)->kind = FD_LISTENER;
    return 0;
}

static void put_address(struct sockaddr *out, socklen_t *size, uint32_t host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(host == 0 ? INADDR_LOOPBACK : 0x0A000000u + host);
    memcpy(out, &address, sizeof address);
    *size = sizeof address;
}

int __wrap_getsockname(int fd, struct sockaddr *out, socklen_t *size)
{
    (void)fd;
    put_address(out, size, 0, 7447);
    return 0;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    (void)fd;
    (void)level;
    (void)option;
    (void)value;
    (void)size;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    (void)fd;
    (void)level;
    (void)option;
    memset(value, 0, *size);
    return 0;
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    (void)fd;
    (void)flags;
    if (m.is_starved && m.pending_count > 0) {
        errno = EMFILE;
        return -1;
    }
    if (m.pending_count == 0) {
        errno = EAGAIN;
        return -1;
    }
    struct link *link = m.pending[0];
    m.pending_count--;
    memmove(&m.pending[0], &m.pending[1], m.pending_count * sizeof m.pending[0]);
    link->fd = make(FD_CONN);
    CHECK(link->fd >= 0, "the machine has no descriptor left");
    link->accepted_ns = m.now_ns;
    find(link->fd)->link = link;
    put_address(address, size, link->host, 40000);
    machine_trace("accept %d from host %u", link->fd, link->host);
    return link->fd;
}

ssize_t __wrap_recv(int fd, void *buffer, size_t bytes, int flags)
{
    (void)flags;
    struct link *link = find(fd)->link;
    if (link->is_reset) {
        errno = ECONNRESET;
        return -1;
    }
    if (link->to_node_bytes == 0 && link->is_client_closed)
        return 0;
    if (link->to_node_bytes == 0) {
        errno = EAGAIN;
        return -1;
    }
    // Any part of what has arrived.
    size_t count = bytes < link->to_node_bytes ? bytes : link->to_node_bytes;
    count = (size_t)chance_in(&m.chance, 1, count);
    memcpy(buffer, link->to_node, count);
    link->to_node_bytes -= count;
    memmove(link->to_node, link->to_node + count, link->to_node_bytes);
    return (ssize_t)count;
}

static void read_some(void *arg, uint64_t value);

static void schedule_read(struct link *link)
{
    if (link->is_reading || !link->is_open || link->manners.read_bytes == 0 ||
        (link->queued == 0 && !link->is_node_closed))
        return;
    link->is_reading = true;
    machine_at(m.now_ns + link->manners.read_pause_ns, read_some, link, 0);
}

static size_t take_in(struct link *link, const uint8_t *bytes, size_t count)
{
    size_t room =
        link->queued < link->manners.window_bytes ? link->manners.window_bytes - link->queued : 0;
    count = count < room ? count : room;
    for (size_t i = 0; i < count; i++)
        link->to_client[(link->head + link->queued + i) % WINDOW_MAX] = bytes[i];
    link->queued += count;
    return count;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    (void)flags;
    struct descriptor *d = find(fd);
    CHECK(d != NULL && d->kind == FD_CONN, "sendmsg() to descriptor %d, which is no connection",
          fd);
    struct link *link = d->link;
    if (link->is_reset || link->is_client_closed || !link->is_open) {
        errno = EPIPE;
        return -1;
    }
    size_t sent = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        size_t taken = take_in(link, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        sent += taken;
        if (taken < message->msg_iov[i].iov_len)
            break;
    }
    schedule_read(link);
    if (sent > 0) {
        link->blocked_ns = 0;
        return (ssize_t)sent;
    }
    if (link->blocked_ns == 0)
        link->blocked_ns = m.now_ns;
    errno = EAGAIN;
    return -1;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t count, int flags)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return __wrap_sendmsg(fd, &message, flags);
}

int __wrap_ioctl(int fd, unsigned long request, void *out)
{
    struct descriptor *d = find(fd);
    CHECK(d != NULL && d->kind == FD_CONN, "ioctl(%lx) of descriptor %d", request, fd);
    int queued = (int)d->link->queued;
    memcpy(out, &queued, sizeof queued);
    return 0;
}

int __wrap_shutdown(int fd, int how)
{
    (void)how;
    struct link *link = find(fd)->link;
    link->is_node_closed = true;
    schedule_read(link);
    return 0;
}

int __wrap_close(int fd)
{
    struct descriptor *d = find(fd);
    if (d == NULL)
        return __real_close(fd);
    struct link *link = d->link;
    d->kind = FD_FREE;
    if (link == NULL)
        return 0;
    machine_trace("close %d", fd);
    link->fd = -1;
    link->is_node_closed = true;
    schedule_read(link);
    return 0;
}

// ---- sockets, the client's side ----

static void read_some(void *arg, uint64_t value)
{
    (void)value;
    struct link *link = arg;
    link->is_reading = false;
    uint8_t piece[4096];
    size_t left = link->manners.read_bytes;
    while (link->is_open && left > 0 && link->queued > 0) {
        size_t count = left < sizeof piece ? left : sizeof piece;
        count = count < link->queued ? count : link->queued;
        for (size_t i = 0; i < count; i++)
            piece[i] = link->to_client[(link->head + i) % WINDOW_MAX];
        link->head = (link->head + count) % WINDOW_MAX;
        link->queued -= count;
        link->blocked_ns = 0;
        left -= count;
        link->events.received(link->events.user, piece, count);
    }
    if (link->is_open && link->queued == 0 && link->is_node_closed) {
        link->is_open = false;
        link->events.closed(link->events.user);
    }
    schedule_read(link);
}

struct link *link_open(unsigned host, const struct link_manners *manners,
                       const struct link_events *events)
{
    bool is_listening = false;
    for (int i = 0; i < FDS_MAX; i++)
        is_listening |= m.fd[i].kind == FD_LISTENER;
    if (!is_listening || m.pending_count == PENDING_MAX)
        return NULL;
    struct link *link = calloc(1, sizeof *link);
    uint8_t *ring = malloc(WINDOW_MAX);
    CHECK(link != NULL && ring != NULL, "out of memory");
    *link = (struct link){.manners = *manners,
                          .events = *events,
                          .host = host,
                          .fd = -1,
                          .is_open = true,
                          .to_client = ring};
    m.pending[m.pending_count++] = link;
    return link;
}

/** Bytes on their way to the node. */
struct parcel {
    struct link *link;
    size_t count;
    uint8_t bytes[];
};

static void arrive(void *arg, uint64_t value)
{
    (void)value;
    struct parcel *parcel = arg;
    struct link *link = parcel->link;
    size_t room = sizeof link->to_node - link->to_node_bytes;
    size_t count = parcel->count < room ? parcel->count : room;
    memcpy(link->to_node + link->to_node_bytes, parcel->bytes, count);
    link->to_node_bytes += count;
    if (count < parcel->count) { // the node's kernel is full: the rest waits
        parcel->count -= count;
        memmove(parcel->bytes, parcel->bytes + count, parcel->count);
        if (link->fd >= 0 && !link->is_node_closed)
            machine_at(m.now_ns + 5 * NS_PER_MS, arrive, parcel, 0);
        else
            free(parcel);
        return;
    }
    free(parcel);
}

void link_send(struct link *link, const uint8_t *bytes, size_t count)
{
    struct parcel *parcel = malloc(sizeof *parcel + count);
    CHECK(parcel != NULL, "out of memory");
    parcel->link = link;
    parcel->count = count;
    memcpy(parcel->bytes, bytes, count);
    link->arrival_ns = base_max_u64(link->arrival_ns + 1, m.now_ns + link->manners.delay_ns);
    machine_at(link->arrival_ns, arrive, parcel, 0);
}

void link_set_manners(struct link *link, const struct link_manners *manners)
{
    link->manners = *manners;
    schedule_read(link);
}

static void arrive_end(void *arg, uint64_t is_reset)
{
    struct link *link = arg;
    link->is_client_closed = true;
    link->is_reset = is_reset != 0;
}

void link_close(struct link *link, bool is_reset)
{
    for (unsigned i = 0; i < m.pending_count; i++)
        if (m.pending[i] == link) { // never accepted
            m.pending_count--;
            memmove(&m.pending[i], &m.pending[i + 1], (m.pending_count - i) * sizeof m.pending[0]);
            break;
        }
    link->is_open = false;
    link->arrival_ns = base_max_u64(link->arrival_ns + 1, m.now_ns + link->manners.delay_ns);
    machine_at(link->arrival_ns, arrive_end, link, is_reset);
}

bool link_is_dropped(const struct link *link)
{
    return link->is_node_closed;
}

uint64_t link_blocked_ns(const struct link *link)
{
    return link->blocked_ns;
}

uint64_t link_accepted_ns(const struct link *link)
{
    return link->accepted_ns;
}
