// SPDX-License-Identifier: MIT
// The threads of the fleet page: one follows the stream, one looks for nodes by discovery.
#include "tools/web/fleet_run.h"

#include "hal/base.h"
#include "tools/web/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    NEXT_MS = 100,
    AGAIN_MS = 500, /**< between two tries to connect */
    LOOK_MS = 500,
    EMPTY_MS = 200, /**< the same while the stream has had no message */
    BEHIND_S = 10,  /**< the stream goes on and nothing comes: its consumer is gone */
    DISCOVER_MS = 60000,
    ENUMERATE_MS = 1000,
    STEP_MS = 50,
};

/** How the link stands; of the thread that follows. */
struct follower {
    struct web *web;
    struct web_fleet_link *link;
    bool is_following;
    uint64_t place_ns; /**< when the newest record came, or it was not behind */
    char why[WEB_FLEET_WHY_BYTES];
};

static bool is_stopping(struct web *web)
{
    pthread_mutex_lock(&web->lock);
    const bool is_over = web->is_stopping;
    pthread_mutex_unlock(&web->lock);
    return is_over;
}

static void pause_ms(struct web *web, int ms)
{
    for (int waited_ms = 0; waited_ms < ms && !is_stopping(web); waited_ms += STEP_MS)
        usleep(STEP_MS * 1000);
}

static uint64_t realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void set_state(struct web *web, int result, const char *why)
{
    const enum web_fleet_state state = result == 0                     ? WEB_FLEET_LIVE
                                       : result == WEB_FLEET_NO_STREAM ? WEB_FLEET_WITHOUT_STREAM
                                                                       : WEB_FLEET_AWAY;
    pthread_mutex_lock(&web->fleet.lock);
    const bool is_news = web_fleet_set_state(&web->fleet, state, why);
    pthread_mutex_unlock(&web->fleet.lock);
    if (is_news && result == 0)
        web_log(WEB_INFO, "following stream %s", web->options.fleet.stream);
    else if (is_news)
        web_log(WEB_WARNING, "%s; trying on", why);
}

/** What is known beside the records. With the lock. */
static void take_news(struct follower *f)
{
    struct web_fleet *fleet = &f->web->fleet;
    struct web_fleet_source source;
    struct web_fleet_health health;
    for (unsigned i = 0; fleet->ops->source(f->link, i, &source); i++)
        web_fleet_take_source(fleet, &source);
    for (unsigned i = 0; i < WEB_FLEET_NODES_MAX && fleet->ops->health(f->link, &health); i++)
        web_fleet_take_health(fleet, &health, realtime_ns());
}

/** Looks how far the stream is, and begins to follow where that is needed. A stream without
 * messages is not asked for one: nats-server 2.9.10 has ended there. */
static int look(struct follower *f)
{
    struct web_fleet *fleet = &f->web->fleet;
    struct web_fleet_extent extent;
    const int result = fleet->ops->look(f->link, &extent, f->why);
    if (result < 0)
        return result;
    const uint64_t now_ns = clock_now_ns();
    pthread_mutex_lock(&fleet->lock);
    const uint64_t run = fleet->run;
    web_fleet_look(fleet, &extent, realtime_ns());
    const uint64_t place = fleet->place;
    // What came since it was empty is counted, else the newest of each subject begins.
    const uint64_t from = place == 0 && fleet->history != 0 ? 0 : place + 1;
    f->is_following = f->is_following && fleet->run == run;
    take_news(f);
    pthread_mutex_unlock(&fleet->lock);
    if (extent.last <= place)
        f->place_ns = now_ns;
    const bool is_behind = now_ns - f->place_ns > BEHIND_S * NS_PER_S;
    if (extent.last == 0 || (f->is_following && !is_behind))
        return 0;
    f->is_following = true;
    f->place_ns = now_ns;
    return fleet->ops->follow(f->link, from, f->why);
}

/** Until the link is of no use any more. */
static int follow(struct follower *f)
{
    struct web_fleet *fleet = &f->web->fleet;
    struct web_fleet_record record;
    uint64_t looked_ns = 0;
    int result = 0;
    while (result >= 0 && !is_stopping(f->web)) {
        const unsigned distance_ms = f->is_following ? LOOK_MS : EMPTY_MS;
        if (looked_ns == 0 || clock_now_ns() - looked_ns > distance_ms * NS_PER_MS) {
            looked_ns = clock_now_ns();
            result = look(f);
            if (result == 0)
                set_state(f->web, 0, "");
        } else if (!f->is_following) {
            pause_ms(f->web, NEXT_MS);
        } else {
            result = fleet->ops->next(f->link, &record, NEXT_MS, f->why);
            if (result > 0) {
                f->place_ns = clock_now_ns();
                pthread_mutex_lock(&fleet->lock);
                web_fleet_take(fleet, &record);
                pthread_mutex_unlock(&fleet->lock);
            }
        }
    }
    return result;
}

static void *run(void *argument)
{
    struct web *web = argument;
    while (!is_stopping(web)) {
        struct follower f = {.web = web, .place_ns = clock_now_ns()};
        int result = web->fleet.ops->open(&f.link, &web->options.fleet, f.why);
        if (result == 0)
            result = follow(&f);
        web->fleet.ops->close(f.link);
        if (result < 0)
            set_state(web, result, f.why);
        pause_ms(web, AGAIN_MS);
    }
    return NULL;
}

static void *discover(void *argument)
{
    struct web *web = argument;
    while (!is_stopping(web)) {
        struct pinhole_node *found = calloc(WEB_FLEET_NODES_MAX, sizeof *found);
        const int count =
            found == NULL ? 0
                          : pinhole_enumerate(found, (int)WEB_FLEET_NODES_MAX, NULL, ENUMERATE_MS);
        if (count >= 0 && found != NULL) {
            pthread_mutex_lock(&web->fleet.lock);
            web_fleet_set_found(&web->fleet, found, (unsigned)count);
            pthread_mutex_unlock(&web->fleet.lock);
        }
        free(found);
        pause_ms(web, DISCOVER_MS);
    }
    return NULL;
}

int web_fleet_start(struct web *web, struct web_fleet_threads *threads)
{
    int error = pthread_create(&threads->follower, NULL, run, web);
    if (error == 0)
        error = pthread_create(&threads->discoverer, NULL, discover, web);
    return -error;
}

void web_fleet_join(const struct web_fleet_threads *threads)
{
    pthread_join(threads->follower, NULL);
    pthread_join(threads->discoverer, NULL);
}
