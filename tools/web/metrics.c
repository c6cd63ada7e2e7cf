// SPDX-License-Identifier: MIT
// GET /metrics: the node's own numbers as it gives them, then the gateway's. /healthz.
#include "net/wire.h"
#include "tools/web/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEALTHY_SILENCE_S 5.0

/** Ends an open_memstream(). Its text, or NULL: memory ran out. */
static char *finish(FILE *out, char **text)
{
    bool has_failed = ferror(out) != 0;
    if (fclose(out) == 0 && !has_failed)
        return *text;
    free(*text);
    return NULL;
}

static void add_head(FILE *text, const char *name, const char *type, const char *help)
{
    fprintf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_fleet(FILE *text, struct web_fleet *fleet)
{
    pthread_mutex_lock(&fleet->lock);
#define METRIC(type, name, help, value)                                                            \
    add_head(text, name, #type, help);                                                             \
    fprintf(text, "%s %" PRIu64 "\n", name, (uint64_t)(value));
#include "tools/web/fleet.def"
#undef METRIC
    pthread_mutex_unlock(&fleet->lock);
}

static void add_own(FILE *text, struct web *web)
{
    unsigned live, live_max;
    web_frame_pool_count(&web->frames, &live, &live_max);
#define METRIC(type, name, help, value)                                                            \
    add_head(text, name, #type, help);                                                             \
    fprintf(text, "%s %" PRIu64 "\n", name, (uint64_t)(value));
#include "tools/web/metrics.def"
#undef METRIC
    const char *requests = "pinhole_web_requests_total";
    add_head(text, requests, "counter", "HTTP requests answered, by hundreds of their status");
    for (unsigned i = 2; i < 6; i++)
        fprintf(text, "%s{code=\"%uxx\"} %" PRIu64 "\n", requests, i, web->http.requests[i]);
    if (web->view.newest != NULL) {
        const char *age = "pinhole_web_frame_age_seconds";
        add_head(text, age, "gauge", "Time since the newest frame arrived");
        fprintf(text, "%s %.6f\n", age,
                (double)(clock_now_ns() - web->view.newest->meta.received_ns) / 1e9);
    }
    add_head(text, "pinhole_web_build_info", "gauge", "1, with the gateway's version");
    fprintf(text, "pinhole_web_build_info{version=\"%s\"} 1\n", PINHOLE_VERSION);
}

enum MHD_Result web_metrics_answer(struct web_request *request)
{
    struct web *web = request->web;
    const bool has_fleet = web->fleet.ops != NULL;
    if (!has_fleet && web_request_calls(request, WEB_CALL_STATS, NULL))
        return MHD_YES;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return MHD_NO;
    const struct web_call *call = request->call;
    bool has_node = call != NULL && call->is_done && call->result == 0;
    if (has_node && *call->text != '\0') {
        fputs(call->text, out);
        if (call->text[strlen(call->text) - 1] != '\n')
            fputc('\n', out);
    }
    add_head(out, "pinhole_web_node_scraped", "gauge",
             "1 when the node's own numbers are part of this answer");
    fprintf(out, "pinhole_web_node_scraped %d\n", has_node);
    if (has_fleet)
        add_fleet(out, &web->fleet);
    pthread_mutex_lock(&web->lock);
    add_own(out, web);
    pthread_mutex_unlock(&web->lock);
    return web_reply_text(request, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                          finish(out, &text));
}

/** The lock is held. A slow camera is not an ill one: silence is measured by its own frame rate. */
static double patience_s(const struct web *web)
{
    const struct pinhole_feature *rate = web_calls_feature(&web->calls, "AcquisitionFrameRate");
    double fps = rate == NULL ? 0 : strtod(rate->value, NULL);
    return fps > 0 && 3 / fps > HEALTHY_SILENCE_S ? 3 / fps : HEALTHY_SILENCE_S;
}

static bool is_on(const struct web *web, const char *name)
{
    const struct pinhole_feature *feature = web_calls_feature(&web->calls, name);
    return feature != NULL && strcmp(feature->value, "On") == 0;
}

/** Writes why the gateway is ill, or "ok". The lock is held. True: it is well. */
static bool describe_health(const struct web *web, char *out, size_t size)
{
    const struct web_view *view = &web->view;
    double silence_s =
        view->newest == NULL ? -1 : (double)(clock_now_ns() - view->newest->meta.received_ns) / 1e9;
    bool is_camera_down =
        view->camera_state == WIRE_CAMERA_ABSENT || view->camera_state == WIRE_CAMERA_STALLED;
    bool is_well = false;
    if (!view->is_connected) {
        snprintf(out, size, "the node is away: %s\n", view->away);
    } else if (is_camera_down) {
        snprintf(out, size, "the camera is %s\n",
                 pinhole_camera_state_name((unsigned)view->camera_state));
    } else if (is_on(web, "TriggerMode") || (silence_s >= 0 && silence_s <= patience_s(web))) {
        is_well = true;
        snprintf(out, size, "ok\n");
    } else if (silence_s < 0) {
        snprintf(out, size, "the node has not sent a frame yet\n");
    } else {
        snprintf(out, size, "no frame for %.1f s\n", silence_s);
    }
    return is_well;
}

static bool describe_fleet_health(struct web_fleet *fleet, char *out, size_t size)
{
    pthread_mutex_lock(&fleet->lock);
    const bool is_well = fleet->state == WEB_FLEET_LIVE;
    snprintf(out, size, "%s\n", is_well ? "ok" : fleet->why);
    pthread_mutex_unlock(&fleet->lock);
    return is_well;
}

enum MHD_Result web_health_answer(struct web_request *request)
{
    struct web *web = request->web;
    char text[WEB_FLEET_WHY_BYTES + 2];
    bool is_well;
    if (web->fleet.ops != NULL) {
        is_well = describe_fleet_health(&web->fleet, text, sizeof text);
    } else {
        pthread_mutex_lock(&web->lock);
        is_well = describe_health(web, text, sizeof text);
        pthread_mutex_unlock(&web->lock);
    }
    return web_reply_text(request, is_well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                          "text/plain; charset=utf-8", strdup(text));
}
