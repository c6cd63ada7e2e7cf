// SPDX-License-Identifier: MIT
// The thread that takes frames and events from the node.
#include "tools/web/gateway.h"
#include "tools/web/log.h"
#include "tools/web/stream.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
    NEXT_TIMEOUT_MS = 200,
    CONNECT_TIMEOUT_MS = 2000,
    RETRY_MS = 500,
    SILENCE_TIMEOUT_MS = 5000
};

static bool is_stopping(struct web *web)
{
    pthread_mutex_lock(&web->lock);
    bool is_over = web->is_stopping;
    pthread_mutex_unlock(&web->lock);
    return is_over;
}

static void take_frame(struct web *web, struct web_lender *lender, struct pinhole_record *record)
{
    struct web_frame *frame = web_frame_borrow(lender, record);
    if (frame == NULL) {
        web_log(WEB_ERROR, "no memory for a frame");
        pinhole_release(lender->node, record);
        return;
    }
    pthread_mutex_lock(&web->lock);
    struct web_frame *former = web_view_add_frame(&web->view, frame);
    web_frame_drop_colour(former); // nobody begins to write it any more
    web_sleep_wake_for_frame(&web->http.sleepers);
    pthread_mutex_unlock(&web->lock);
    web_frame_unref(former);
    web_stream_send_newest(web);
}

static void take_event(struct web *web, struct pinhole *node, const struct pinhole_event *event)
{
    pthread_mutex_lock(&web->lock);
    web_view_add_event(&web->view, event);
    if (event->kind == PINHOLE_EVENT_DISCONNECTED)
        web_view_disconnect(&web->view, event->text);
    if (event->kind == PINHOLE_EVENT_RECONNECTED)
        web_view_connect(&web->view, pinhole_info(node));
    if (event->kind == PINHOLE_EVENT_RECONNECTED || event->kind == PINHOLE_EVENT_FEATURES ||
        event->kind == PINHOLE_EVENT_CAMERA)
        web_calls_refresh(&web->calls);
    pthread_mutex_unlock(&web->lock);

    if (event->kind == PINHOLE_EVENT_DISCONNECTED)
        web_log(WEB_WARNING, "the node is away: %s", event->text);
    else if (event->kind == PINHOLE_EVENT_RECONNECTED)
        web_log(WEB_INFO, "the node is back");
    else
        web_log(WEB_DEBUG, "event %s %s", pinhole_event_name(event->kind), event->text);
}

static void say_away(struct web *web, const char *why)
{
    pthread_mutex_lock(&web->lock);
    // The same failure again is no news.
    bool is_news = web->view.is_connected || strcmp(web->view.away, why) != 0;
    web_view_disconnect(&web->view, why);
    pthread_mutex_unlock(&web->lock);
    if (is_news)
        web_log(WEB_WARNING, "no connection to the node, trying on: %s", why);
}

static void say_connected(struct web *web, const struct pinhole_info *info)
{
    pthread_mutex_lock(&web->lock);
    web_view_connect(&web->view, info);
    web_calls_refresh(&web->calls);
    pthread_mutex_unlock(&web->lock);
    web_log(WEB_INFO, "connected to %s, camera %s, version %s, at %s", info->name, info->model,
            info->version, info->address);
}

static void receive(struct web *web, struct web_lender *lender)
{
    struct pinhole *node = lender->node;
    while (!is_stopping(web)) {
        struct pinhole_record *record;
        web_lender_settle(lender);
        int got = pinhole_next(node, NEXT_TIMEOUT_MS, &record);
        if (got < 0) {
            say_away(web, pinhole_error(node));
            return;
        }
        if (got == 0)
            continue;
        if (record->kind == PINHOLE_FRAME) {
            take_frame(web, lender, record);
            continue;
        }
        take_event(web, node, &record->event);
        pinhole_release(node, record);
    }
}

/** A wrong address will not become right by waiting. */
static void give_up(struct web *web, const char *why)
{
    web_log(WEB_ERROR, "--node: %s", why);
    pthread_mutex_lock(&web->lock);
    web->fatal = 2;
    pthread_mutex_unlock(&web->lock);
    kill(getpid(), SIGTERM);
}

/** Takes frames until the connection fails for good. False: trying again is of no use. */
static bool connect_and_receive(struct web *web, const struct pinhole_options *options)
{
    struct pinhole *node;
    struct web_lender *lender = NULL;
    int error = pinhole_open(&node, web->options.node, options);
    if (error == 0)
        error = pinhole_subscribe(node, NULL);
    if (error == 0)
        lender = web_lender_open(&web->frames, node);
    if (lender != NULL) {
        say_connected(web, pinhole_info(node));
        receive(web, lender);
        web_lender_close(lender);
        return true;
    }
    if (error == -EINVAL)
        give_up(web, pinhole_error(node));
    else
        say_away(web, error == 0 ? "out of memory" : pinhole_error(node));
    pinhole_close(node);
    return error != -EINVAL;
}

static void *run(void *argument)
{
    struct web *web = argument;
    const struct pinhole_options options = {.size = sizeof options,
                                            .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                            .key_file = web->options.key_file,
                                            .records_max = web_http_connections_max(&web->options) +
                                                           WEB_FRAMES_OWN,
                                            .silence_timeout_ms = SILENCE_TIMEOUT_MS};
    while (!is_stopping(web) && connect_and_receive(web, &options))
        for (int waited_ms = 0; waited_ms < RETRY_MS && !is_stopping(web); waited_ms += 50)
            usleep(50000);
    return NULL;
}

int web_receiver_start(struct web *web, pthread_t *thread)
{
    return -pthread_create(thread, NULL, run, web);
}
