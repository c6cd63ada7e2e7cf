// SPDX-License-Identifier: MIT
// Each link has a thread. In listen mode nodes are told apart by the name that they give
// themselves. One connection at a time records a camera. A new one of the same node takes over,
// because the old one may be dead without a word from the router between.
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

enum { SLICE_MS = 100, RETRY_MS = 1000, CONNECTIONS_MAX = 2 * REC_CAMERAS_MAX, ALIVE_S = 5 };

/** Subscribes where the recording stands. */
static int subscribe(struct rec_camera *camera, struct pinhole *p)
{
    struct pinhole_subscription wish = {.size = sizeof wish, .policy = PINHOLE_EVERY};
    pthread_mutex_lock(&camera->lock);
    if (camera->position.is_known) {
        wish.boot_id = camera->position.boot_id;
        wish.from_sequence = camera->position.last + 1;
    }
    pthread_mutex_unlock(&camera->lock);
    return pinhole_subscribe(p, &wish);
}

/** Takes records until the link is broken for good, *is_over is set or the program ends. */
static int take_records(struct rec_camera *camera, struct pinhole *p, const atomic_bool *is_over)
{
    atomic_store(&camera->was_reached, true);
    atomic_store(&camera->is_linked, true);
    int result = 0;
    while (!atomic_load(&rec_is_stopping) && (is_over == NULL || !atomic_load(is_over))) {
        struct pinhole_record *record;
        result = pinhole_next(p, SLICE_MS, &record);
        if (result < 0)
            break;
        if (result == 0)
            continue;
        rec_camera_take(camera, record);
        pinhole_release(p, record);
    }
    atomic_store(&camera->is_linked, false);
    return result < 0 ? result : 0;
}

void *rec_link_thread(void *user)
{
    struct rec_camera *camera = user;
    bool is_said = false;
    while (!atomic_load(&rec_is_stopping)) {
        struct pinhole *p = NULL;
        int error = pinhole_open(&p, camera->source.address, NULL);
        if (error == 0)
            error = subscribe(camera, p);
        if (error == 0) {
            rec_say("%s: connected to %s, %s", camera->source.name, pinhole_info(p)->name,
                    camera->position.is_known ? "going on where the recording stands"
                                              : "starting a recording");
            is_said = false;
            error = take_records(camera, p, NULL);
        }
        // A node may be switched on later than its recorder: said once, tried for ever.
        if (error < 0 && !is_said && !atomic_load(&rec_is_stopping))
            rec_say("%s: %s; trying on", camera->source.name, pinhole_error(p));
        is_said = is_said || error < 0;
        pinhole_close(p);
        if (error < 0)
            rec_sleep_ms(RETRY_MS);
    }
    return NULL;
}

struct guest {
    struct rec_camera camera; /**< first member */
    bool is_busy;             /**< a connection records it */
    uint64_t boot_id;         /**< of that connection's node */
    atomic_bool is_over;      /**< that connection must end */
};

struct rec_listener {
    const struct rec_options *options;
    struct rec_keeper *keeper;
    int fd;
    pthread_t thread;
    pthread_mutex_t lock; /**< of what follows */
    pthread_cond_t changed;
    unsigned connections;
    unsigned count;
    struct guest *guests[REC_CAMERAS_MAX];
};

struct connection {
    struct rec_listener *listener;
    int fd;
    char peer[80];
};

static struct guest *find_guest(struct rec_listener *listener, const char *name)
{
    for (unsigned i = 0; i < listener->count; i++)
        if (strcmp(listener->guests[i]->camera.source.name, name) == 0)
            return listener->guests[i];
    struct guest *guest = listener->count < REC_CAMERAS_MAX ? calloc(1, sizeof *guest) : NULL;
    if (guest == NULL) {
        rec_say("%s: not recorded: there are %u cameras already", name, listener->count);
        return NULL;
    }
    if (rec_camera_init(&guest->camera, name, NULL, listener->options, listener->keeper) < 0) {
        rec_camera_free(&guest->camera);
        free(guest);
        return NULL;
    }
    listener->guests[listener->count++] = guest;
    return guest;
}

static bool is_alive(const struct guest *guest)
{
    uint64_t last_ns = atomic_load(&guest->camera.last_record_ns);
    return clock_now_ns() - last_ns < ALIVE_S * REC_NS_PER_S;
}

/** Waits until this connection may record the camera. NULL: it may not. Holds the lock. */
static struct guest *enter(struct rec_listener *listener, const struct pinhole_info *info,
                           const char *peer)
{
    char name[REC_NAME_SIZE];
    rec_name_clean(name, info->name);
    struct guest *guest = find_guest(listener, name);
    if (guest == NULL)
        return NULL;
    if (guest->is_busy && guest->boot_id != info->boot_id && is_alive(guest)) {
        rec_say("%s: refused %s: another node of that name is being recorded; give each node its "
                "own DeviceUserID",
                name, peer);
        return NULL;
    }
    while (guest->is_busy && !atomic_load(&rec_is_stopping)) {
        atomic_store(&guest->is_over, true);
        pthread_cond_wait(&listener->changed, &listener->lock);
    }
    if (atomic_load(&rec_is_stopping))
        return NULL;
    atomic_store(&guest->is_over, false);
    guest->is_busy = true;
    guest->boot_id = info->boot_id;
    return guest;
}

static void leave(struct rec_listener *listener, struct guest *guest)
{
    pthread_mutex_lock(&listener->lock);
    guest->is_busy = false;
    pthread_cond_broadcast(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
}

static void record(struct rec_listener *listener, struct pinhole *p, const char *peer)
{
    pthread_mutex_lock(&listener->lock);
    struct guest *guest = enter(listener, pinhole_info(p), peer);
    pthread_mutex_unlock(&listener->lock);
    if (guest == NULL)
        return;
    int error = subscribe(&guest->camera, p);
    if (error == 0) {
        rec_say("%s: dialled in from %s", guest->camera.source.name, peer);
        error = take_records(&guest->camera, p, &guest->is_over);
    }
    if (error < 0)
        rec_say("%s: link lost: %s", guest->camera.source.name, pinhole_error(p));
    leave(listener, guest);
}

static void *connection_thread(void *user)
{
    struct connection *connection = user;
    struct rec_listener *listener = connection->listener;
    struct pinhole *p;
    int error = pinhole_adopt(&p, connection->fd, connection->peer, NULL);
    if (p == NULL)
        close(connection->fd);
    if (error < 0)
        rec_say("%s", pinhole_error(p));
    else
        record(listener, p, connection->peer);
    pinhole_close(p);
    free(connection);
    pthread_mutex_lock(&listener->lock);
    listener->connections--;
    pthread_cond_broadcast(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
    return NULL;
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
    pthread_mutex_lock(&listener->lock);
    bool is_taken = connection != NULL && listener->connections < CONNECTIONS_MAX;
    listener->connections += is_taken;
    pthread_mutex_unlock(&listener->lock);
    pthread_t thread;
    if (is_taken) {
        connection->listener = listener;
        connection->fd = fd;
        name_peer(connection->peer, sizeof connection->peer, (struct sockaddr *)&address, length);
        if (pthread_create(&thread, NULL, connection_thread, connection) == 0) {
            pthread_detach(thread);
            return;
        }
        pthread_mutex_lock(&listener->lock);
        listener->connections--;
        pthread_mutex_unlock(&listener->lock);
    }
    free(connection);
    close(fd);
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
        rec_say("--listen %s: not a numeric ADDRESS:PORT: %s", text, why);
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
    rec_say("cannot listen on %s: %s", text, strerror(-error));
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
    getsockname(fd, (struct sockaddr *)&address, &length);
    name_peer(name, sizeof name, (struct sockaddr *)&address, length);
    int error = pthread_create(&listener->thread, NULL, accept_thread, listener);
    if (error != 0) {
        rec_say("cannot start a thread: %s", strerror(error));
        close(fd);
        free(listener);
        return -error;
    }
    rec_say("listening on %s", name);
    *out = listener;
    return 0;
}

void rec_listen_each(struct rec_listener *listener,
                     void (*visit)(struct rec_camera *camera, void *user), void *user)
{
    pthread_mutex_lock(&listener->lock);
    const unsigned count = listener->count;
    pthread_mutex_unlock(&listener->lock);
    for (unsigned i = 0; i < count; i++)
        visit(&listener->guests[i]->camera, user);
}

void rec_listen_stop(struct rec_listener *listener)
{
    pthread_join(listener->thread, NULL);
    close(listener->fd);
    pthread_mutex_lock(&listener->lock);
    pthread_cond_broadcast(&listener->changed);
    while (listener->connections > 0)
        pthread_cond_wait(&listener->changed, &listener->lock);
    pthread_mutex_unlock(&listener->lock);
}

void rec_listen_free(struct rec_listener *listener)
{
    for (unsigned i = 0; i < listener->count; i++) {
        rec_camera_free(&listener->guests[i]->camera);
        free(listener->guests[i]);
    }
    pthread_cond_destroy(&listener->changed);
    pthread_mutex_destroy(&listener->lock);
    free(listener);
}
