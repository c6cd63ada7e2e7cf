// SPDX-License-Identifier: MIT
// The handle: made, opened, freed, and what it knows of its node.
#include "net/client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PINHOLE_VERSION
#define PINHOLE_VERSION "0"
#endif

enum {
    CONNECT_TIMEOUT_MS = 3000,
    REQUEST_TIMEOUT_MS = 3000,
    SILENCE_TIMEOUT_MS = 10000,
    RECORDS_MAX = 8,
};

static int take_options(struct pinhole *p, const struct pinhole_options *options)
{
    struct pinhole_options *mine = &p->options;
    if (options != NULL) {
        int error = client_copy_sized(mine, sizeof *mine, options, options->size);
        if (error < 0)
            return client_fail(p, -error,
                               "pinhole_options.size is %zu: set it to sizeof(struct "
                               "pinhole_options); this library knows %zu bytes of it",
                               options->size, sizeof *mine);
    }
    if (mine->connect_timeout_ms <= 0)
        mine->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (mine->request_timeout_ms <= 0)
        mine->request_timeout_ms = REQUEST_TIMEOUT_MS;
    if (mine->silence_timeout_ms == 0)
        mine->silence_timeout_ms = SILENCE_TIMEOUT_MS;
    if (mine->records_max == 0)
        mine->records_max = RECORDS_MAX;
    return client_auth_read_key(p);
}

static int open_link(struct pinhole *p, const char *address)
{
    if (address == NULL)
        address = getenv("PINHOLE_NODE");
    if (address == NULL || *address == '\0')
        address = "127.0.0.1";
    if (strlen(address) >= sizeof p->address)
        return client_fail(p, EINVAL, "address is longer than %zu bytes", sizeof p->address - 1);
    memcpy(p->address, address, strlen(address) + 1);

    struct client_found found;
    if (client_resolve(p->address, false, &found) < 0)
        return client_fail(p, -found.error, "%s", found.why);
    p->peer = found.address; // none yet when it has to be looked up
    client_link_start(p);
    return client_wait_up(p);
}

int client_make(struct pinhole **out, const struct pinhole_options *options)
{
    struct pinhole *p = calloc(1, sizeof *p);
    *out = p;
    if (p == NULL)
        return -ENOMEM;
    pthread_mutex_init(&p->turn, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->error_lock, NULL);
    pthread_cond_init(&p->acquirer.moved, NULL);
    p->acquirer.wake_fd = -1;
    p->fd = -1;
    p->state = CLIENT_BROKEN;
    p->broken_error = ENOTCONN;
    p->info.name = p->name;
    p->info.model = p->model;
    p->info.version = p->version;
    p->info.address = p->address;
    return take_options(p, options);
}

int client_open(struct pinhole **out, const char *address, const struct pinhole_options *options,
                client_finder *find_id)
{
    int error = client_make(out, options);
    if (*out == NULL)
        return error;
    client_enter(*out);
    (*out)->find_id = find_id;
    if (error == 0)
        error = open_link(*out, address);
    return client_leave(*out, error);
}

void client_free(struct pinhole *p)
{
    client_link_close(p);
    client_lookup_drop(p);
    client_list_free(&p->queue);
    client_list_free(&p->borrowed);
    client_list_free(&p->called);
    client_list_free(&p->free);
    if (p->acquirer.wake_fd >= 0)
        close(p->acquirer.wake_fd);
    pthread_cond_destroy(&p->acquirer.moved);
    pthread_mutex_destroy(&p->error_lock);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->turn);
    free(p->features);
    free(p->message);
    free(p);
}

const char *pinhole_error(const struct pinhole *p)
{
    static _Thread_local char text[sizeof p->shown_error];
    if (p == NULL)
        return "out of memory";
    // The lock is no part of what the caller sees as constant.
    pthread_mutex_t *lock = &((struct pinhole *)(uintptr_t)p)->error_lock;
    pthread_mutex_lock(lock);
    memcpy(text, p->shown_error, sizeof text);
    pthread_mutex_unlock(lock);
    return text;
}

const struct pinhole_info *pinhole_info(const struct pinhole *p)
{
    return &p->info;
}

int pinhole_fd(const struct pinhole *p)
{
    return p->state == CLIENT_UP ? p->fd : -1;
}

const char *pinhole_version(void)
{
    return PINHOLE_VERSION;
}

const char *pinhole_outcome_name(unsigned outcome)
{
    return wire_outcome_name(outcome);
}

const char *pinhole_source_name(unsigned source)
{
    return wire_source_name(source);
}

const char *pinhole_event_name(unsigned kind)
{
    if (kind == PINHOLE_EVENT_DISCONNECTED)
        return "DISCONNECTED";
    if (kind == PINHOLE_EVENT_RECONNECTED)
        return "RECONNECTED";
    return wire_event_name(kind);
}

const char *pinhole_camera_state_name(unsigned state)
{
    return wire_camera_state_name(state);
}
