// SPDX-License-Identifier: MIT
// Looks names up in a thread of its own. getaddrinfo() has no time-out and cannot be stopped. With
// a dead name server it takes as long as the resolver's configuration says. A handle has one such
// thread at most. A call that stops waiting leaves the thread to end by itself.
#include "net/client/client.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_BYTES = 512 << 10 };

/** Shared by the handle and the thread; the last one frees it. */
struct client_lookup {
    atomic_uint holders;
    atomic_bool is_done; /**< `found` is the handle's to read */
    int done_fd;         /**< an eventfd, readable from then on */
    char text[sizeof((struct pinhole *)0)->address];
    client_finder *find_id;
    struct client_found found;
};

/** Addresses of the node called `id`, which may have others the next time. */
static void look_for_id(struct client_lookup *lookup, const char *id)
{
    char address[sizeof((struct pinhole_node *)0)->address];
    struct client_found *out = &lookup->found;
    if (lookup->find_id == NULL)
        client_not_found(out, EINVAL, "an id cannot be looked up here");
    else if (lookup->find_id(id, address, sizeof address, out) == 0)
        client_resolve(address, true, out);
    out->address.is_numeric = false;
}

static void release(struct client_lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->holders, 1) != 1)
        return;
    close(lookup->done_fd);
    free(lookup);
}

static void *run(void *argument)
{
    struct client_lookup *lookup = argument;
    const uint64_t one = 1;
    if (strncmp(lookup->text, CLIENT_ID_PREFIX, strlen(CLIENT_ID_PREFIX)) == 0)
        look_for_id(lookup, lookup->text + strlen(CLIENT_ID_PREFIX));
    else
        client_resolve(lookup->text, true, &lookup->found);
    atomic_store(&lookup->is_done, true);
    const ssize_t written = write(lookup->done_fd, &one, sizeof one);
    (void)written; // an eventfd takes its first 1
    release(lookup);
    return NULL;
}

int client_start_detached(void *(*function)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all); // signals are for the program's own threads
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, function, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

int client_lookup_start(struct pinhole *p)
{
    if (p->lookup != NULL)
        return 0;
    struct client_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return -ENOMEM;
    int error = 0;
    atomic_init(&lookup->holders, 2);
    memcpy(lookup->text, p->address, sizeof lookup->text);
    lookup->find_id = p->find_id;
    lookup->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lookup->done_fd < 0)
        error = -errno;
    else
        error = client_start_detached(run, lookup);
    if (error < 0) {
        if (lookup->done_fd >= 0)
            close(lookup->done_fd);
        free(lookup);
        return error;
    }
    p->lookup = lookup;
    return 0;
}

int client_lookup_fd(const struct pinhole *p)
{
    return p->lookup->done_fd;
}

bool client_lookup_take(struct pinhole *p, struct client_found *out)
{
    if (!atomic_load(&p->lookup->is_done))
        return false;
    *out = p->lookup->found;
    client_lookup_drop(p);
    return true;
}

void client_lookup_drop(struct pinhole *p)
{
    if (p->lookup != NULL)
        release(p->lookup);
    p->lookup = NULL;
}
