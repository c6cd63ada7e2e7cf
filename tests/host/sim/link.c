// SPDX-License-Identifier: MIT
// The machine's sockets: the calls of the node, and the client's end of each connection.
#include "tests/host/sim/descriptor.h"
#include "tests/host/sim/machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PENDING_MAX 64
#define WINDOW_MAX  (128u * 1024u)

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

static struct link *pending[PENDING_MAX]; /**< not accepted yet, oldest first */
static unsigned pending_count;

int __real_close(int fd);

static int find_pending(bool is_unix)
{
    for (unsigned i = 0; i < pending_count; i++)
        if ((pending[i]->host == LINK_UNIX) == is_unix)
            return (int)i;
    return -1;
}

static struct link *take_pending(unsigned i)
{
    struct link *link = pending[i];
    pending_count--;
    memmove(&pending[i], &pending[i + 1], (pending_count - i) * sizeof pending[0]);
    return link;
}

bool link_is_pending(bool is_unix)
{
    return find_pending(is_unix) >= 0;
}

uint32_t link_ready(const struct link *link)
{
    uint32_t ready = 0;
    if (link->to_node_bytes > 0 || link->is_client_closed || link->is_reset)
        ready |= EPOLLIN;
    if (link->is_reset || link->is_client_closed)
        ready |= EPOLLOUT;
    if (link->queued < link->manners.window_bytes)
        ready |= EPOLLOUT;
    if (link->is_reset)
        ready |= EPOLLERR | EPOLLHUP;
    return ready;
}

// ---- the node's side ----

int __wrap_socket(int domain, int type, int protocol)
{
    (void)type;
    (void)protocol;
    if (machine_is_starved()) {
        if (domain != AF_UNIX)
            dial_fail();
        errno = EMFILE;
        return -1;
    }
    int fd = descriptor_make(FD_SOCKET);
    if (fd >= 0)
        descriptor_find(fd)->is_unix = domain == AF_UNIX;
    return fd;
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    (void)size;
    struct descriptor *d = descriptor_find(fd);
    if (!d->is_unix)
        return 0;
    d->inode = socket_file_bind(((const struct sockaddr_un *)address)->sun_path);
    return d->inode != 0 ? 0 : -1;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    (void)size;
    if (address->sa_family != AF_UNIX)
        return dial_connect(fd);
    errno = socket_file_connect();
    return errno == 0 ? 0 : -1;
}

int __wrap_listen(int fd, int backlog)
{
    (void)backlog;
    descriptor_find(fd)->kind = FD_LISTENER;
    return 0;
}

static void put_address(struct sockaddr *out, socklen_t *size, uint32_t host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (host == LINK_UNIX) {
        out->sa_family = AF_UNIX;
        *size = sizeof out->sa_family;
        return;
    }
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
    const struct descriptor *d = descriptor_find(fd);
    memset(value, 0, *size);
    if (level != SOL_SOCKET || option != SO_ERROR)
        return 0;
    const int error = d->kind == FD_CONN && link_is_reset(d->link) ? ECONNRESET : d->error;
    memcpy(value, &error, sizeof error);
    return 0;
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    (void)flags;
    const int first = find_pending(descriptor_find(fd)->is_unix);
    if (first < 0 || machine_is_starved()) {
        errno = first < 0 ? EAGAIN : EMFILE;
        return -1;
    }
    struct link *link = take_pending((unsigned)first);
    link->fd = descriptor_make(FD_CONN);
    CHECK(link->fd >= 0, "the machine has no descriptor left");
    link->accepted_ns = machine_now();
    descriptor_find(link->fd)->link = link;
    put_address(address, size, link->host, 40000);
    machine_trace("accept %d from host %u", link->fd, link->host);
    return link->fd;
}

ssize_t __wrap_recv(int fd, void *buffer, size_t bytes, int flags)
{
    (void)flags;
    struct link *link = descriptor_find(fd)->link;
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
    count = (size_t)chance_in(machine_chance(), 1, count);
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
    machine_at(machine_now() + link->manners.read_pause_ns, read_some, link, 0);
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
    struct descriptor *d = descriptor_find(fd);
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
        link->blocked_ns = machine_now();
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
    struct descriptor *d = descriptor_find(fd);
    CHECK(d != NULL && d->kind == FD_CONN, "ioctl(%lx) of descriptor %d", request, fd);
    int queued = (int)d->link->queued;
    memcpy(out, &queued, sizeof queued);
    return 0;
}

int __wrap_shutdown(int fd, int how)
{
    (void)how;
    struct link *link = descriptor_find(fd)->link;
    link->is_node_closed = true;
    schedule_read(link);
    return 0;
}

/** The listener of the Unix socket is gone, and who waited there with it. */
static void refuse_pending(void)
{
    for (int i = find_pending(true); i >= 0; i = find_pending(true)) {
        struct link *link = take_pending((unsigned)i);
        link->is_node_closed = true;
        schedule_read(link);
    }
}

int __wrap_close(int fd)
{
    struct descriptor *d = descriptor_find(fd);
    if (d == NULL)
        return __real_close(fd);
    struct link *link = d->link;
    if (d->kind == FD_LISTENER && d->is_unix)
        refuse_pending();
    d->kind = FD_FREE;
    if (link == NULL)
        return 0;
    machine_trace("close %d", fd);
    link->fd = -1;
    link->is_node_closed = true;
    schedule_read(link);
    if (link->events.ended != NULL)
        link->events.ended(link->events.user);
    return 0;
}

// ---- the client's side ----

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

struct link *link_make(unsigned host, int fd, const struct link_manners *manners,
                       const struct link_events *events)
{
    struct link *link = calloc(1, sizeof *link);
    uint8_t *ring = malloc(WINDOW_MAX);
    CHECK(link != NULL && ring != NULL, "out of memory");
    *link = (struct link){
        .manners = *manners, .events = *events, .host = host, .fd = fd, .to_client = ring};
    return link;
}

struct link *link_open(unsigned host, const struct link_manners *manners,
                       const struct link_events *events)
{
    const ino_t inode = host == LINK_UNIX ? socket_file_inode() : 0;
    if ((host == LINK_UNIX && inode == 0) || !descriptor_is_listening(inode) ||
        pending_count == PENDING_MAX)
        return NULL;
    struct link *link = link_make(host, -1, manners, events);
    link->is_open = true;
    pending[pending_count++] = link;
    return link;
}

void link_establish(struct link *link)
{
    link->is_open = true;
    link->accepted_ns = machine_now();
}

int link_descriptor(const struct link *link)
{
    return link->fd;
}

bool link_is_reset(const struct link *link)
{
    return link->is_reset;
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
            machine_at(machine_now() + 5 * NS_PER_MS, arrive, parcel, 0);
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
    link->arrival_ns = base_max_u64(link->arrival_ns + 1, machine_now() + link->manners.delay_ns);
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
    for (unsigned i = 0; i < pending_count; i++)
        if (pending[i] == link) { // never accepted
            take_pending(i);
            break;
        }
    link->is_open = false;
    link->arrival_ns = base_max_u64(link->arrival_ns + 1, machine_now() + link->manners.delay_ns);
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
