// SPDX-License-Identifier: MIT
#include "tools/web/fleet_picture.h"
#include "tools/web/gateway.h"
#include "tools/web/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_TIMEOUT_MS = 2000,
    REQUEST_TIMEOUT_MS = 3000,
    CALL_AGE_MAX_S = 6,
    STATS_BYTES_MAX = 262144,
};

void web_calls_refresh(struct web_calls *calls)
{
    calls->wants_refresh = true;
    pthread_cond_signal(&calls->wanted);
}

struct web_call *web_call_start(struct web_calls *calls, enum web_call_kind kind, const char *lines,
                                struct web_sleeper *sleeper)
{
    if (calls->count >= WEB_CALLS_MAX)
        return NULL;
    size_t length = lines == NULL ? 0 : strlen(lines);
    struct web_call *call = calloc(1, sizeof *call + length + 1);
    if (call == NULL)
        return NULL;
    if (lines != NULL)
        memcpy(call->lines, lines, length + 1);
    call->kind = kind;
    call->sleeper = sleeper;
    call->asked_ns = clock_now_ns();
    if (calls->first == NULL)
        calls->first = call;
    else
        calls->last->next = call;
    calls->last = call;
    calls->count++;
    pthread_cond_signal(&calls->wanted);
    return call;
}

static void free_call(struct web_call *call)
{
    free(call->text);
    free(call);
}

void web_call_end(struct web_call *call)
{
    if (call == NULL)
        return;
    if (call->is_done)
        free_call(call);
    else
        call->sleeper = NULL;
}

const struct pinhole_feature *web_calls_feature(const struct web_calls *calls, const char *name)
{
    for (int i = 0; i < calls->feature_count; i++)
        if (strcmp(calls->features[i].name, name) == 0)
            return &calls->features[i];
    return NULL;
}

// --- the thread; none of these holds the lock when it is called ------------------------------

struct caller {
    struct web *web;
    struct pinhole *node;        /**< NULL: not connected */
    struct web_fleet_link *link; /**< the same */
    struct pinhole_feature features[WEB_FEATURES_MAX];
    char stats[STATS_BYTES_MAX];
};

/** Takes what the link itself has to say, so that a broken one is noticed before a request is
 * sent. */
static void drain(struct pinhole *node)
{
    struct pinhole_record *record;
    while (pinhole_next(node, 0, &record) > 0)
        pinhole_release(node, record);
}

static int connect_node(struct caller *caller, struct web_call *call)
{
    pthread_mutex_lock(&caller->web->lock);
    bool is_away = !caller->web->view.is_connected;
    if (is_away)
        snprintf(call->error, sizeof call->error, "%s", caller->web->view.away);
    pthread_mutex_unlock(&caller->web->lock);
    if (is_away)
        return -ENOTCONN;
    if (caller->node != NULL) {
        drain(caller->node);
        return 0;
    }
    const struct pinhole_options options = {.size = sizeof options,
                                            .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                            .key_file = caller->web->options.key_file,
                                            .request_timeout_ms = REQUEST_TIMEOUT_MS};
    int error = pinhole_open(&caller->node, caller->web->options.node, &options);
    if (error < 0) {
        snprintf(call->error, sizeof call->error, "%s", pinhole_error(caller->node));
        pinhole_close(caller->node);
        caller->node = NULL;
    }
    return error;
}

static int fetch_features(struct caller *caller)
{
    struct web *web = caller->web;
    uint64_t asked_ns = clock_now_ns();
    memset(caller->features, 0, sizeof caller->features);
    int count = pinhole_features(caller->node, caller->features, WEB_FEATURES_MAX);
    if (count < 0)
        return count;
    if (count > WEB_FEATURES_MAX)
        count = WEB_FEATURES_MAX;
    pthread_mutex_lock(&web->lock);
    struct web_calls *calls = &web->calls;
    size_t bytes = (size_t)count * sizeof *calls->features;
    if (count != calls->feature_count || memcmp(calls->features, caller->features, bytes) != 0) {
        memcpy(calls->features, caller->features, bytes);
        calls->feature_count = count;
        calls->features_version++;
    }
    calls->features_asked_ns = asked_ns;
    pthread_mutex_unlock(&web->lock);
    return 0;
}

/** One fetch answers all who asked before it began. */
static int features_since(struct caller *caller, uint64_t asked_ns)
{
    pthread_mutex_lock(&caller->web->lock);
    bool is_new = caller->web->calls.features_asked_ns >= asked_ns;
    pthread_mutex_unlock(&caller->web->lock);
    return is_new ? 0 : fetch_features(caller);
}

static int fetch_stats(struct caller *caller, struct web_call *call)
{
    int length = pinhole_stats(caller->node, caller->stats, sizeof caller->stats);
    if (length < 0)
        return length;
    // What did not fit is cut after its last whole line.
    if ((size_t)length >= sizeof caller->stats) {
        char *end = strrchr(caller->stats, '\n');
        if (end != NULL)
            end[1] = '\0';
    }
    call->text = strdup(caller->stats);
    return call->text == NULL ? -ENOMEM : 0;
}

/** The library puts the node's address in front; who asks this gateway knows the node. */
static void keep_error(struct caller *caller, struct web_call *call)
{
    const char *error = pinhole_error(caller->node);
    const char *address = pinhole_info(caller->node)->address;
    size_t length = strlen(address);
    if (strncmp(error, address, length) == 0 && strncmp(error + length, ": ", 2) == 0)
        error += length + 2;
    snprintf(call->error, sizeof call->error, "%s", error);
}

static int fetch_thumbnail(struct caller *caller, struct web_call *call)
{
    struct web *web = caller->web;
    char why[WEB_FLEET_WHY_BYTES] = "";
    uint8_t *jpeg = NULL;
    const int result = web_fleet_fetch(&web->fleet, &caller->link, &web->options.fleet, call->lines,
                                       &jpeg, &call->bytes, why);
    call->text = (char *)jpeg;
    snprintf(call->error, sizeof call->error, "%.*s", (int)sizeof call->error - 1, why);
    return result;
}

static int ask(struct caller *caller, struct web_call *call)
{
    if (call->kind == WEB_CALL_THUMBNAIL)
        return fetch_thumbnail(caller, call);
    int result = connect_node(caller, call);
    if (result < 0)
        return result;
    switch (call->kind) {
    case WEB_CALL_FEATURES: result = features_since(caller, call->asked_ns); break;
    case WEB_CALL_SET: result = pinhole_set_lines(caller->node, call->lines); break;
    case WEB_CALL_TRIGGER: result = pinhole_trigger(caller->node, &call->trigger_id); break;
    case WEB_CALL_STATS: result = fetch_stats(caller, call); break;
    case WEB_CALL_THUMBNAIL: break;
    }
    if (result < 0)
        keep_error(caller, call);
    else if (call->kind == WEB_CALL_SET)
        (void)fetch_features(caller); // the values are set; a stale list mends itself
    return result < 0 ? result : 0;
}

static void carry_out(struct caller *caller, struct web_call *call)
{
    if (clock_now_ns() - call->asked_ns > CALL_AGE_MAX_S * UINT64_C(1000000000)) {
        call->result = -ETIMEDOUT;
        snprintf(call->error, sizeof call->error, "the %s answers too slowly",
                 call->kind == WEB_CALL_THUMBNAIL ? "stream" : "node");
    } else {
        call->result = ask(caller, call);
    }
}

static void finish(struct web *web, struct web_call *call)
{
    call->is_done = true;
    if (call->sleeper == NULL)
        free_call(call);
    else
        web_sleep_wake(&web->http.sleepers, call->sleeper);
}

static struct web_call *take_call(struct web_calls *calls)
{
    struct web_call *call = calls->first;
    calls->first = call->next;
    calls->count--;
    return call;
}

static void refresh(struct caller *caller)
{
    struct web_call call = {.kind = WEB_CALL_FEATURES, .asked_ns = clock_now_ns()};
    int error = ask(caller, &call);
    if (error < 0)
        web_log(WEB_DEBUG, "features could not be fetched: %s", call.error);
}

static void *run(void *argument)
{
    struct caller *caller = argument;
    struct web *web = caller->web;
    struct web_calls *calls = &web->calls;
    pthread_mutex_lock(&web->lock);
    while (!web->is_stopping) {
        if (calls->first != NULL) {
            struct web_call *call = take_call(calls);
            pthread_mutex_unlock(&web->lock);
            carry_out(caller, call);
            pthread_mutex_lock(&web->lock);
            finish(web, call);
        } else if (calls->wants_refresh) {
            calls->wants_refresh = false;
            pthread_mutex_unlock(&web->lock);
            refresh(caller);
            pthread_mutex_lock(&web->lock);
        } else {
            pthread_cond_wait(&calls->wanted, &web->lock);
        }
    }
    // Who still waits is woken by the main thread and sees that the gateway ends.
    while (calls->first != NULL)
        finish(web, take_call(calls));
    pthread_mutex_unlock(&web->lock);
    pinhole_close(caller->node);
    if (caller->link != NULL)
        web->fleet.ops->close(caller->link);
    free(caller);
    return NULL;
}

int web_calls_start(struct web *web, pthread_t *thread)
{
    struct caller *caller = calloc(1, sizeof *caller);
    if (caller == NULL)
        return -ENOMEM;
    caller->web = web;
    int error = pthread_create(thread, NULL, run, caller);
    if (error != 0)
        free(caller);
    return -error;
}
