// SPDX-License-Identifier: MIT
// GET /snapshot: the newest frame, or with ?fresh=1 the first one exposed after the request.
#include "tools/web/colour.h"
#include "tools/web/request.h"

#include <stdlib.h>
#include <string.h>

enum { FRESH_TIMEOUT_MS = 5000, FRESH_TIMEOUT_MAX_MS = 60000 };

static void add_header(void *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

static void free_frame(void *frame)
{
    web_frame_unref(frame);
}

/** Takes over the reference. */
static enum MHD_Result reply_frame(struct web_request *request, struct web_frame *frame)
{
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        frame->meta.jpeg_bytes, (void *)(uintptr_t)frame->meta.jpeg, free_frame, frame);
    if (response == NULL) {
        web_frame_unref(frame);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "image/jpeg");
    web_frame_headers(frame, add_header, response);
    return web_reply(request, MHD_HTTP_OK, response);
}

static bool is_asked(const struct web_request *request, const char *name)
{
    const char *value = web_request_query(request, name);
    return value != NULL && strcmp(value, "0") != 0;
}

static uint64_t timeout_ns(const struct web_request *request)
{
    const char *text = web_request_query(request, "timeout_ms");
    long timeout_ms = text == NULL ? FRESH_TIMEOUT_MS : strtol(text, NULL, 10);
    if (timeout_ms < 1)
        timeout_ms = 1;
    if (timeout_ms > FRESH_TIMEOUT_MAX_MS)
        timeout_ms = FRESH_TIMEOUT_MAX_MS;
    return (uint64_t)timeout_ms * 1000000u;
}

/** Was the whole exposure after the request? Unknown clocks are given the benefit of no doubt. */
static bool is_fresh(const struct web_request *request, const struct web_frame *frame)
{
    int64_t margin_ns = web_clock_margin_ns(&request->web->view.clock);
    return (int64_t)(frame->exposed_ns - request->started_ns) >= margin_ns;
}

enum MHD_Result web_snapshot_answer(struct web_request *request)
{
    struct web *web = request->web;
    bool is_fresh_asked = is_asked(request, "fresh") && request->method == WEB_GET;
    if (request->deadline_ns == 0)
        request->deadline_ns = request->started_ns + timeout_ns(request);

    pthread_mutex_lock(&web->lock);
    char why[sizeof web->view.away];
    memcpy(why, web->view.away, sizeof why);
    bool is_connected = web->view.is_connected, has_any = web->view.newest != NULL;
    struct web_frame *frame = NULL;
    bool is_late = web->is_stopping || clock_now_ns() >= request->deadline_ns;
    bool is_there =
        is_connected && has_any && (!is_fresh_asked || is_fresh(request, web->view.newest));
    if (is_there)
        frame = web_request_wants_colour(request) ? web_frame_in_colour(web->view.newest)
                                                  : web->view.newest;
    else if (is_connected && is_fresh_asked && !is_late)
        web_sleep(&web->http.sleepers, &request->sleeper, true, request->deadline_ns);
    if (frame != NULL)
        web_frame_ref(frame);
    pthread_mutex_unlock(&web->lock);

    if (frame != NULL)
        return reply_frame(request, frame);
    if (is_there)
        return MHD_NO; // no memory
    if (!is_connected)
        return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the node is away: %s", why);
    if (is_fresh_asked && is_late)
        return web_reply_error(request, MHD_HTTP_GATEWAY_TIMEOUT,
                               "no frame was exposed after the request in time");
    if (is_fresh_asked)
        return MHD_YES; // asleep
    return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "the node has not sent a frame yet");
}
