// SPDX-License-Identifier: MIT
// GET /fleet: the nodes of the stream as JSON; with ?run=...&since=VERSION only those that have
// changed. /fleet/thumbnail?node=TOKEN, /fleet/prometheus.json.
#include "hal/base.h"
#include "tools/web/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void put_ms(json_t **object, const char *name, uint64_t realtime_ns)
{
    json_put_u64(object, name, realtime_ns / NS_PER_MS);
}

static json_t *describe_triggers(const struct web_fleet_node *node)
{
    json_t *object = json_object();
    json_put_u64(&object, "matched", node->outcomes[WEB_FLEET_MATCHED]);
    json_put_u64(&object, "missed", node->outcomes[WEB_FLEET_MISSED]);
    json_put_u64(&object, "overrun", node->outcomes[WEB_FLEET_OVERRUN]);
    json_put_u64(&object, "failed", node->outcomes[WEB_FLEET_FAILED]);
    return object;
}

static json_t *describe_health(const struct web_fleet_node *node)
{
    json_t *object = json_object();
    put_ms(&object, "told_ms", node->health.told_ns);
    json_put_text(&object, "state", finding_state_name(node->health.state));
    json_put_u64(&object, "findings", node->health.count);
    json_put_text(&object, "text", node->health.text);
    return object;
}

static json_t *describe_node(const struct web_fleet_node *node)
{
    json_t *object = json_object();
    json_put_text(&object, "node", node->level);
    json_put_text(&object, "name", node->name);
    json_put_id(&object, "boot_id", node->boot_id);
    json_put_u64(&object, "restarts", node->restarts);
    put_ms(&object, "seen_ms", node->seen_ns);
    json_put_u64(&object, "frame", node->frame);
    json_put_u64(&object, "frames", node->frames);
    json_put_real(&object, "frames_per_second", web_fleet_rate(node));
    json_put(&object, "triggers", describe_triggers(node));
    json_put_u64(&object, "gaps", node->gaps);
    json_put_u64(&object, "lost", node->lost);
    if (node->gaps > 0) {
        json_put_u64(&object, "gap_first", node->gap_first);
        json_put_u64(&object, "gap_last", node->gap_last);
    }
    json_put_u64(&object, "spool", node->spool);
    if (node->health.told_ns != 0)
        json_put(&object, "health", describe_health(node));
    if (node->page[0] != '\0')
        json_put_text(&object, "page", node->page);
    return object;
}

static json_t *describe_stream(const struct web_fleet *fleet, const char *name)
{
    static const char *const states[] = {"connecting", "away", "no stream", "live"};
    json_t *object = json_object();
    json_put_text(&object, "name", name);
    json_put_text(&object, "state", states[fleet->state]);
    json_put_text(&object, "why", fleet->why);
    json_put_u64(&object, "messages", fleet->extent.messages);
    json_put_u64(&object, "bytes", fleet->extent.bytes);
    put_ms(&object, "since_ms", fleet->since_ns);
    json_put_u64(&object, "since_place", fleet->history);
    json_put_u64(&object, "nodes", fleet->count);
    json_put_flag(&object, "has_more_nodes", fleet->left_out > 0);
    return object;
}

/** What the request has seen already; 0: nothing, or what it has seen is another run's. */
static uint64_t seen_version(const struct web_request *request, uint64_t run)
{
    const char *of = web_request_query(request, "run");
    const char *since = web_request_query(request, "since");
    char own[24];
    snprintf(own, sizeof own, "%016" PRIx64, run);
    return of != NULL && since != NULL && strcmp(of, own) == 0 ? strtoull(since, NULL, 10) : 0;
}

enum MHD_Result web_fleet_answer(struct web_request *request)
{
    struct web *web = request->web;
    struct web_fleet *fleet = &web->fleet;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    json_t *document = json_object(), *nodes = json_array();
    json_put(&document, "gateway", web_state_gateway(request, clock_now_ns()));
    json_put_u64(&document, "now_ms",
                 (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
    pthread_mutex_lock(&fleet->lock);
    const uint64_t seen = seen_version(request, fleet->run);
    for (unsigned i = 0; i < fleet->count; i++)
        if (fleet->nodes[i].changed > seen)
            json_put_item(&nodes, describe_node(&fleet->nodes[i]));
    json_put(&document, "stream", describe_stream(fleet, web->options.fleet.stream));
    json_put_id(&document, "run", fleet->run);
    json_put_u64(&document, "version", fleet->version);
    pthread_mutex_unlock(&fleet->lock);
    json_put_flag(&document, "is_whole", seen == 0);
    json_put(&document, "nodes", nodes);
    return web_reply_json(request, MHD_HTTP_OK, document);
}

/** A URL's host and port are the target, the rest is the scrape's. */
static json_t *describe_target(const struct web_fleet_node *node)
{
    json_t *object = json_object(), *targets = json_array(), *labels = json_object();
    char target[sizeof node->page];
    const char *at = node->page + strlen("http://");
    snprintf(target, sizeof target, "%.*s", (int)strcspn(at, "/"), at);
    json_put_item(&targets, json_from_text(target));
    json_put_text(&labels, "node", node->name);
    json_put(&object, "targets", targets);
    json_put(&object, "labels", labels);
    return object;
}

enum MHD_Result web_fleet_targets_answer(struct web_request *request)
{
    struct web_fleet *fleet = &request->web->fleet;
    json_t *list = json_array();
    pthread_mutex_lock(&fleet->lock);
    for (unsigned i = 0; i < fleet->count; i++)
        if (fleet->nodes[i].page[0] != '\0')
            json_put_item(&list, describe_target(&fleet->nodes[i]));
    pthread_mutex_unlock(&fleet->lock);
    return web_reply_json(request, MHD_HTTP_OK, list);
}

static enum MHD_Result refuse(struct web_request *request, const struct web_call *call)
{
    if (call != NULL && call->is_done && call->result == -ENOENT)
        return web_reply_error(request, MHD_HTTP_NOT_FOUND, "%s", call->error);
    if (call != NULL && call->is_done && call->result == -EBADMSG)
        return web_reply_error(request, MHD_HTTP_BAD_GATEWAY, "%s", call->error);
    return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "%s",
                           call == NULL     ? "too many thumbnails are waiting"
                           : !call->is_done ? "the gateway is ending"
                                            : call->error);
}

enum MHD_Result web_fleet_thumbnail_answer(struct web_request *request)
{
    const char *level = web_request_query(request, "node");
    if (level == NULL)
        return web_reply_error(request, MHD_HTTP_BAD_REQUEST, "which node? Add ?node=TOKEN");
    if (web_request_calls(request, WEB_CALL_THUMBNAIL, level))
        return MHD_YES;
    struct web_call *call = request->call;
    if (call == NULL || !call->is_done || call->result < 0)
        return refuse(request, call);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(call->bytes, call->text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        return MHD_NO;
    call->text = NULL; // it is the response's now
    MHD_add_response_header(response, "Content-Type", "image/jpeg");
    return web_reply(request, MHD_HTTP_OK, response);
}
