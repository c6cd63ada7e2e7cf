// SPDX-License-Identifier: MIT
// Listen mode. A node is known by the name that it gives itself, and by its serial number. Each
// connection has a thread, and one connection at a time records a camera. When another comes, the
// first one's node is asked whether it is alive: a router between may have forgotten the connection
// without a word.
#include "tools/rec/link.h"

#include "net/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/** A node closes a connection that says nothing for 5 s. A rival waits for less. */
enum { SLICE_MS = 100, CONNECTIONS_MAX = 2 * REC_CAMERAS_MAX, ANSWER_MS = 2000 };

struct guest {
    struct rec_camera camera; /**< first member */
    struct rec_link link;     /**< of the connection that records it */
    bool is_busy;             /**< there is one */
    unsigned rivals;          /**< connections that wait for its end */
    uint64_t boot_id;         /**< of its node */
    uint8_t address[16];      /**< where it dials in from */
    uint64_t left_ns;         /**< when the last one ended */
};

struct rec_listener {
    const struct rec_options *options;
    struct rec_keeper *keeper;
    int fd;
    pthread_t thread;
    uint64_t refused_said_ns; /**< of the accepting thread */
    pthread_mutex_t lock;     /**< of what follows */
    pthread_cond_t changed;
    unsigned connection_count;
    struct connection *connections[CONNECTIONS_MAX];
    unsigned count, forgotten;
    struct guest *guests[REC_CAMERAS_MAX];
    struct rec_camera former; /**< counts what cameras that made room had recorded */
};

struct connection {
    struct rec_listener *listener;
    int fd;
    char peer[80];
    uint8_t address[16]; /**< IPv6; IPv4 as ::ffff:A.B.C.D */
};

/** Is the peer in one of the networks that may dial in? With a camera: under that name. */
static bool is_allowed(const struct rec_options *options, const uint8_t address[16],
                       const char *camera)
{
    for (unsigned i = 0; i < options->allowed_count; i++) {
        const struct rec_allowed *allowed = &options->allowed[i];
        unsigned same = 0;
        while (same < allowed->bits &&
               ((address[same / 8] ^ allowed->network[same / 8]) >> (7 - same % 8) & 1) == 0)
            same++;
        if (same == allowed->bits &&
            (camera == NULL || allowed->camera[0] == '\0' || strcmp(allowed->camera, camera) == 0))
            return true;
    }
    return options->allowed_count == 0;
}

/** Whether two addresses are one, or of one IPv6 network of 64 bits. */
static bool is_same_place(const uint8_t a[16], const uint8_t b[16])
{
    static const uint8_t none[8]; // begins ::1 and IPv4
    return memcmp(a, b, memcmp(a, none, sizeof none) == 0 ? 16 : 8) == 0;
}

/** How many cameras an address records under other names than this one. */
static unsigned count_cameras_of(const struct rec_listener *listener, const uint8_t address[16],
                                 const char *name)
{
    unsigned count = 0;
    for (unsigned i = 0; i < listener->count; i++) {
        const struct guest *guest = listener->guests[i];
        count += guest->is_busy && is_same_place(guest->address, address) &&
                 strcmp(guest->camera.source.camera, name) != 0;
    }
    return count;
}

static unsigned count_connections_of(const struct rec_listener *listener, const uint8_t address[16])
{
    unsigned count = 0;
    for (unsigned i = 0; i < listener->connection_count; i++)
        count += is_same_place(listener->connections[i]->address, address);
    return count;
}
/** Makes room for another camera: forgets the one that has been away for longest. */
static bool forget_one(struct rec_listener *listener)
{
    unsigned oldest = listener->count;
    for (unsigned i = 0; i < listener->count; i++)
        if (!listener->guests[i]->is_busy && listener->guests[i]->rivals == 0 &&
            (oldest == listener->count ||
             listener->guests[i]->left_ns < listener->guests[oldest]->left_ns))
            oldest = i;
    if (oldest == listener->count)
        return false;
    struct guest *guest = listener->guests[oldest];
    rec_camera_close_segment(&guest->camera, "end", listener->options->should_discard_unfinished);
    rec_camera_move_counts(&listener->former, &guest->camera);
    rec_camera_free(&guest->camera);
    free(guest);
    listener->guests[oldest] = listener->guests[--listener->count];
    listener->forgotten++;
    return true;
}

static struct guest *add_guest(struct rec_listener *listener, const char *name)
{
    char file[REC_NAME_SIZE];
    if (!rec_name_to_file(file, name)) {
        say("%s: not recorded: the name is too long for a folder", name);
        return NULL;
    }
    if (listener->count == REC_CAMERAS_MAX && !forget_one(listener)) {
        say("%s: not recorded: there are %u cameras already", name, listener->count);
        return NULL;
    }
    struct guest *guest = calloc(1, sizeof *guest);
    if (guest == NULL)
        return NULL;
    if (rec_camera_init(&guest->camera, name, NULL, listener->options, listener->keeper) < 0) {
        rec_camera_free(&guest->camera);
        free(guest);
        return NULL;
    }
    listener->guests[listener->count++] = guest;
    return guest;
}

static struct guest *find_guest(struct rec_listener *listener, const char *name)
{
    for (unsigned i = 0; i < listener->count; i++)
        if (strcmp(listener->guests[i]->camera.source.camera, name) == 0)
            return listener->guests[i];
    return add_guest(listener, name);
}

/** The camera of that name, unless it is another node's: then NAME@SERIAL. */
static struct guest *choose_guest(struct rec_listener *listener, const char *name,
                                  const char *serial)
{
    struct guest *guest = find_guest(listener, name);
    if (guest == NULL)
        return NULL;
    const char *known = guest->camera.source.device_serial;
    if (serial[0] != '\0' && known[0] != '\0' && strcmp(serial, known) != 0) {
        char with_serial[REC_NAME_SIZE];
        snprintf(with_serial, sizeof with_serial, "%.*s@%.126s", REC_NAME_SIZE - 128, name, serial);
        say("%s is the node with serial number %s; the one with %s is recorded as %s", name, known,
            serial, with_serial);
        guest = find_guest(listener, with_serial);
    }
    if (guest != NULL && guest->camera.source.device_serial[0] == '\0')
        snprintf(guest->camera.source.device_serial, sizeof guest->camera.source.device_serial,
                 "%s", serial);
    return guest;
}

/** Asks the node of the connection that there is. False: it does not answer, and has ended. */
static bool has_living_link(struct rec_listener *listener, struct guest *guest)
{
    if (guest->is_busy)
        atomic_store(&guest->link.is_asked, true);
    guest->rivals++;
    while (guest->is_busy && atomic_load(&guest->link.is_asked) && !atomic_load(&rec_is_stopping)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += SLICE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / (long)NS_PER_S;
        until.tv_nsec %= (long)NS_PER_S;
        pthread_cond_timedwait(&listener->changed, &listener->lock, &until);
    }
    guest->rivals--;
    return guest->is_busy;
}

/** Waits until this connection may record the camera. NULL: it may not. Holds the lock. */
static struct guest *enter(struct rec_listener *listener, const struct connection *connection,
                           const struct pinhole_info *info, const char *serial)
{
    const char *peer = connection->peer;
    if (!is_allowed(listener->options, connection->address, info->name)) {
        say("%s: refused %s: --allow does not name it for this camera", info->name, peer);
        return NULL;
    }
    if (count_cameras_of(listener, connection->address, info->name) >=
        listener->options->of_one_max) {
        say("%s: refused %s: %u cameras dial in from that address; --max-cameras-of-one allows "
            "more",
            info->name, peer, listener->options->of_one_max);
        return NULL;
    }
    struct guest *guest = choose_guest(listener, info->name, serial);
    if (guest == NULL)
        return NULL;
    if (has_living_link(listener, guest)) {
        if (guest->boot_id != info->boot_id)
            say("%s: refused %s: another node of that name is being recorded; give each node "
                "its own DeviceUserID",
                info->name, peer);
        else
            say("%s: refused %s: the node answers on the connection that it has", info->name, peer);
        return NULL;
    }
    if (atomic_load(&rec_is_stopping))
        return NULL;
    guest->is_busy = true;
    guest->boot_id = info->boot_id;
    memcpy(guest->address, connection->address, sizeof guest->address);
    return guest;
}

static void leave(struct rec_listener *listener, struct guest *guest)
{
    pthread_mutex_lock(&listener->lock);
    guest->is_busy = false;
    guest->left_ns = clock_now_ns();
    pthread_cond_broadcast(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
}

static void record(struct connection *connection, struct pinhole *p)
{
    struct rec_listener *listener = connection->listener;
    const struct net_secret *secret = &listener->options->secret;
    char serial[128] = "";
    if (secret->length > 0 && pinhole_check_secret(p, secret->bytes, secret->length) < 0) {
        say("%s: refused %s", pinhole_info(p)->name, pinhole_error(p));
        return;
    }
    if (pinhole_get(p, "DeviceSerialNumber", serial, sizeof serial) < 0)
        serial[0] = '\0';
    pthread_mutex_lock(&listener->lock);
    struct guest *guest = enter(listener, connection, pinhole_info(p), serial);
    pthread_mutex_unlock(&listener->lock);
    if (guest == NULL)
        return;
    const char *name = guest->camera.source.camera;
    int error = rec_link_begin(&guest->link, &guest->camera, p);
    if (error == 0) {
        say("%s: dialled in from %s", name, connection->peer);
        error = rec_link_run(&guest->link);
    }
    if (error == -ETIMEDOUT && atomic_load(&guest->link.is_asked))
        say("%s: the connection does not answer any more; the node has dialled again", name);
    else if (error < 0)
        say("%s: link lost: %s", name, pinhole_error(p));
    leave(listener, guest);
}

static void end_connection(struct connection *connection)
{
    struct rec_listener *listener = connection->listener;
    unsigned i = 0;
    pthread_mutex_lock(&listener->lock);
    while (listener->connections[i] != connection)
        i++;
    listener->connections[i] = listener->connections[--listener->connection_count];
    pthread_cond_broadcast(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
    free(connection);
}

static void *connection_thread(void *user)
{
    struct connection *connection = user;
    const struct pinhole_options options = {.size = sizeof options,
                                            .request_timeout_ms = ANSWER_MS};
    struct pinhole *p;
    int error = pinhole_adopt(&p, connection->fd, connection->peer, &options);
    if (p == NULL)
        close(connection->fd);
    if (error < 0)
        say("%s", p != NULL ? pinhole_error(p) : "out of memory");
    else
        record(connection, p);
    pinhole_close(p);
    end_connection(connection);
    return NULL;
}

static void take_address(uint8_t out[16], const struct sockaddr_storage *address)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    if (address->ss_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
        return;
    }
    memcpy(out, mapped, sizeof mapped);
    memcpy(out + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
}

static void name_peer(char *out, size_t size, const struct sockaddr *address, socklen_t length)
{
    char host[60], port[8];
    if (getnameinfo(address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, size, "?");
    else
        snprintf(out, size, "%s port %s", host, port);
}

/** Whether one more connection from there may be taken. A stranger is told nothing; here it is said
 * at most once a second. */
static bool admit(struct rec_listener *listener, const struct connection *connection)
{
    const char *why = NULL;
    pthread_mutex_lock(&listener->lock);
    if (!is_allowed(listener->options, connection->address, NULL))
        why = "not in --allow";
    else if (count_connections_of(listener, connection->address) >=
             2 * listener->options->of_one_max)
        why = "too many connections from that address";
    else if (listener->connection_count == CONNECTIONS_MAX)
        why = "too many connections";
    pthread_mutex_unlock(&listener->lock);
    const uint64_t now_ns = clock_now_ns();
    if (why != NULL && now_ns - listener->refused_said_ns > NS_PER_S) {
        say("refused %s: %s", connection->peer, why);
        listener->refused_said_ns = now_ns;
    }
    return why == NULL;
}

static void start_connection(struct connection *connection)
{
    struct rec_listener *listener = connection->listener;
    pthread_t thread;
    pthread_mutex_lock(&listener->lock);
    listener->connections[listener->connection_count++] = connection;
    pthread_mutex_unlock(&listener->lock);
    if (pthread_create(&thread, NULL, connection_thread, connection) == 0) {
        pthread_detach(thread);
        return;
    }
    close(connection->fd);
    end_connection(connection);
}

static void accept_one(struct rec_listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    int fd = accept4(listener->fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            rec_sleep_ms(SLICE_MS);
        return;
    }
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        close(fd);
        return;
    }
    connection->listener = listener;
    connection->fd = fd;
    take_address(connection->address, &address);
    name_peer(connection->peer, sizeof connection->peer, (struct sockaddr *)&address, length);
    if (admit(listener, connection)) {
        start_connection(connection);
        return;
    }
    close(fd);
    free(connection);
}

static void *accept_thread(void *user)
{
    struct rec_listener *listener = user;
    while (!atomic_load(&rec_is_stopping)) {
        struct pollfd poller = {.fd = listener->fd, .events = POLLIN};
        if (poll(&poller, 1, SLICE_MS) > 0)
            accept_one(listener);
    }
    return NULL;
}

/** "ADDRESS:PORT" or "[v6]:PORT" to a listening socket; -errno after saying what was wrong. */
static int open_socket(const char *text)
{
    char port[8];
    struct net_address at;
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    const char *why = net_address_split(text, -1, &at);
    snprintf(port, sizeof port, "%u", at.port);
    if (why == NULL && getaddrinfo(at.host[0] != '\0' ? at.host : NULL, port, &hints, &found) != 0)
        why = "the address is not a number of this host";
    if (why != NULL) {
        say("--listen %s: not a numeric ADDRESS:PORT: %s", text, why);
        return -EINVAL;
    }
    const int on = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int error = 0;
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
        error = -errno;
    freeaddrinfo(found);
    if (error == 0)
        return fd;
    say("cannot listen on %s: %s", text, strerror(-error));
    if (fd >= 0)
        close(fd);
    return error;
}

int rec_listen_start(struct rec_listener **out, const struct rec_options *options,
                     struct rec_keeper *keeper)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char name[80];
    int fd = open_socket(options->listen);
    if (fd < 0)
        return fd;
    struct rec_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        close(fd);
        return -ENOMEM;
    }
    listener->options = options;
    listener->keeper = keeper;
    listener->fd = fd;
    pthread_mutex_init(&listener->lock, NULL);
    pthread_cond_init(&listener->changed, NULL);
    pthread_mutex_init(&listener->former.lock, NULL);
    getsockname(fd, (struct sockaddr *)&address, &length);
    name_peer(name, sizeof name, (struct sockaddr *)&address, length);
    int error = pthread_create(&listener->thread, NULL, accept_thread, listener);
    if (error != 0) {
        say("cannot start a thread: %s", strerror(error));
        close(fd);
        free(listener);
        return -error;
    }
    say("listening on %s", name);
    *out = listener;
    return 0;
}

void rec_listen_each(struct rec_listener *listener,
                     void (*visit)(struct rec_camera *camera, void *user), void *user)
{
    pthread_mutex_lock(&listener->lock);
    for (unsigned i = 0; i < listener->count; i++)
        visit(&listener->guests[i]->camera, user);
    if (listener->forgotten > 0)
        visit(&listener->former, user);
    pthread_mutex_unlock(&listener->lock);
}

void rec_listen_stop(struct rec_listener *listener)
{
    pthread_join(listener->thread, NULL);
    close(listener->fd);
    pthread_mutex_lock(&listener->lock);
    pthread_cond_broadcast(&listener->changed);
    while (listener->connection_count > 0)
        pthread_cond_wait(&listener->changed, &listener->lock);
    pthread_mutex_unlock(&listener->lock);
}

void rec_listen_free(struct rec_listener *listener)
{
    for (unsigned i = 0; i < listener->count; i++) {
        rec_camera_free(&listener->guests[i]->camera);
        free(listener->guests[i]);
    }
    rec_camera_free(&listener->former);
    pthread_cond_destroy(&listener->changed);
    pthread_mutex_destroy(&listener->lock);
    free(listener);
}
