// SPDX-License-Identifier: MIT
// Finding nodes: every address is asked in a thread of its own, so that one that does not answer,
// or whose name takes long to look up, delays none. Threads that are still at it when the time is
// over are left to end by themselves.
#include "net/client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_MS = 1000, PROBES_MAX = 256 };

struct search;

struct probe {
    struct search *search;
    struct pinhole_node node;
    bool has_answered;
};

/** Shared by the caller and the probes' threads; the last one frees it. */
struct search {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned holders;
    unsigned running;
    uint64_t deadline_ns;
    unsigned count;
    struct probe *probes[PROBES_MAX];
};

static void release_search(struct search *search)
{
    pthread_mutex_lock(&search->lock);
    const bool is_last = --search->holders == 0;
    pthread_mutex_unlock(&search->lock);
    if (!is_last)
        return;
    for (unsigned i = 0; i < search->count; i++)
        free(search->probes[i]);
    pthread_cond_destroy(&search->ended);
    pthread_mutex_destroy(&search->lock);
    free(search);
}

static int left_ms(const struct search *search)
{
    const uint64_t now_ns = clock_now_ns();
    if (now_ns >= search->deadline_ns)
        return 1;
    return (int)((search->deadline_ns - now_ns) / NS_PER_MS) + 1;
}

static bool ask(struct search *search, struct pinhole_node *node)
{
    const struct pinhole_options options = {.size = sizeof options,
                                            .connect_timeout_ms = left_ms(search),
                                            .request_timeout_ms = left_ms(search),
                                            .reconnect = -1};
    struct pinhole *p;
    int error = client_open(&p, node->address, &options, NULL);
    if (error == 0) {
        const struct pinhole_info *info = pinhole_info(p);
        node->boot_id = info->boot_id;
        snprintf(node->id, sizeof node->id, "%s", info->name);
        snprintf(node->model, sizeof node->model, "%s", info->model);
        snprintf(node->version, sizeof node->version, "%s", info->version);
        if (pinhole_get(p, "DeviceSerialNumber", node->serial, sizeof node->serial) < 0)
            node->serial[0] = '\0';
    }
    node->is_full = error == -EBUSY;
    pinhole_close(p);
    return error == 0 || node->is_full;
}

static void *run(void *argument)
{
    struct probe *probe = argument;
    struct search *search = probe->search;
    struct pinhole_node node = probe->node;
    const bool has_answered = ask(search, &node);
    pthread_mutex_lock(&search->lock);
    probe->node = node;
    probe->has_answered = has_answered;
    search->running--;
    pthread_cond_signal(&search->ended);
    pthread_mutex_unlock(&search->lock);
    release_search(search);
    return NULL;
}

static void add_address(struct search *search, const char *address, bool is_announced)
{
    // An "id:" would search in turn.
    if (*address == '\0' || strlen(address) >= sizeof((struct pinhole_node *)0)->address ||
        strncmp(address, CLIENT_ID_PREFIX, strlen(CLIENT_ID_PREFIX)) == 0)
        return;
    pthread_mutex_lock(&search->lock);
    bool is_known = search->count == PROBES_MAX;
    for (unsigned i = 0; !is_known && i < search->count; i++)
        is_known = strcmp(search->probes[i]->node.address, address) == 0;
    struct probe *probe = is_known ? NULL : calloc(1, sizeof *probe);
    if (probe != NULL) {
        probe->search = search;
        probe->node.is_announced = is_announced;
        snprintf(probe->node.address, sizeof probe->node.address, "%s", address);
        if (client_start_detached(run, probe) == 0) {
            search->probes[search->count++] = probe;
            search->holders++;
            search->running++;
        } else {
            free(probe);
        }
    }
    pthread_mutex_unlock(&search->lock);
}

static void add_announced(void *user, const char *address)
{
    add_address(user, address, true);
}

static void add_environment(struct search *search)
{
    const char *list = getenv("PINHOLE_NODES");
    char address[256];
    for (size_t length; list != NULL && *list != '\0'; list += length) {
        list += strspn(list, ", \t\n");
        length = strcspn(list, ", \t\n");
        if (length < sizeof address) {
            memcpy(address, list, length);
            address[length] = '\0';
            add_address(search, address, false);
        }
    }
}

/** Waits for the probes. */
static void await(struct search *search)
{
    const struct timespec until = {.tv_sec = (time_t)(search->deadline_ns / NS_PER_S),
                                   .tv_nsec = (long)(search->deadline_ns % NS_PER_S)};
    int error = 0;
    while (search->running > 0 && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&search->ended, &search->lock, &until);
}

/** Whether an earlier entry is the same node under another address. */
static bool is_repeated(const struct search *search, unsigned index)
{
    const struct probe *probe = search->probes[index];
    for (unsigned i = 0; i < index; i++)
        if (search->probes[i]->has_answered && probe->node.boot_id != 0 &&
            search->probes[i]->node.boot_id == probe->node.boot_id)
            return true;
    return false;
}

static struct search *make_search(int timeout_ms)
{
    struct search *search = calloc(1, sizeof *search);
    pthread_condattr_t attributes;
    if (search == NULL)
        return NULL;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&search->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&search->lock, NULL);
    search->holders = 1;
    search->deadline_ns = client_deadline_ns(timeout_ms > 0 ? timeout_ms : TIMEOUT_MS);
    return search;
}

int pinhole_enumerate_sized(void *out, size_t each_bytes, int max, const char *const *addresses,
                            int timeout_ms)
{
    struct search *search = make_search(timeout_ms);
    if (search == NULL)
        return -ENOMEM;
    for (; addresses != NULL && *addresses != NULL; addresses++)
        add_address(search, *addresses, false);
    add_environment(search);
    // What is announced late has some time left to answer.
    client_browse(left_ms(search) * 2 / 3, add_announced, search);

    pthread_mutex_lock(&search->lock);
    await(search);
    int count = 0;
    for (unsigned i = 0; i < search->count; i++) {
        if (!search->probes[i]->has_answered || is_repeated(search, i))
            continue;
        if (count < max)
            client_copy_out((char *)out + (size_t)count * each_bytes, each_bytes,
                            &search->probes[i]->node, sizeof search->probes[i]->node);
        count++;
    }
    pthread_mutex_unlock(&search->lock);
    release_search(search);
    return count;
}

/** How many of the nodes have this id; *which is the last of them. */
static int count_matches(const struct pinhole_node *nodes, int count, const char *id,
                         bool is_serial, int *which)
{
    int matches = 0;
    for (int i = 0; i < count; i++)
        if (strcmp(is_serial ? nodes[i].serial : nodes[i].id, id) == 0) {
            *which = i;
            matches++;
        }
    return matches;
}

int client_find_id(const char *id, char *address, size_t address_size, struct client_found *out)
{
    struct pinhole_node *nodes = calloc(PROBES_MAX, sizeof *nodes);
    if (nodes == NULL)
        return client_not_found(out, ENOMEM, "out of memory");
    const int count = pinhole_enumerate(nodes, PROBES_MAX, NULL, TIMEOUT_MS);
    int which = 0;
    int matches = count_matches(nodes, count, id, false, &which);
    if (matches == 0)
        matches = count_matches(nodes, count, id, true, &which);
    int result = 0;
    if (matches == 1)
        snprintf(address, address_size, "%s", nodes[which].address);
    else if (matches == 0)
        result = client_not_found(out, ENODEV, "no node is called '%.64s' among the %d that answer",
                                  id, count < 0 ? 0 : count);
    else
        result = client_not_found(out, ENOTUNIQ, "%d nodes are called '%.64s'", matches, id);
    free(nodes);
    return result;
}
