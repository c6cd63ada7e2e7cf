// SPDX-License-Identifier: MIT
// GET /state: all that the gateway knows, as JSON. ?brief=1 leaves out the features, and then the
// node is not asked. ?key=... adds how the stream with that key is doing.
#include "tools/web/request.h"
#include "tools/web/stream.h"

#include <string.h>

json_t *web_state_gateway(const struct web_request *request, uint64_t now_ns)
{
    struct web *web = request->web;
    json_t *object = json_object();
    json_put_text(&object, "version", PINHOLE_VERSION);
    json_put_real(&object, "uptime_s", (double)(now_ns - web->started_ns) / 1e9);
    json_put_flag(&object, "read_only",
                  web->options.is_read_only || web_admit_role(request) < WEB_ROLE_CONTROL);
    json_put_flag(&object, "has_users", web->login.users.count > 0);
    if (request->user != NULL)
        json_put_text(&object, "user", request->user->name);
    pthread_mutex_lock(&web->lock);
    json_put_u64(&object, "connections", web->http.connection_count);
    json_put_u64(&object, "connections_max", (uint64_t)web->options.max_clients);
    json_put_u64(&object, "streams", web->http.stream_count);
    pthread_mutex_unlock(&web->lock);
    return object;
}

static json_t *describe_node(const struct web_view *view)
{
    int camera = view->camera_state;
    json_t *object = json_object();
    json_put_flag(&object, "connected", view->is_connected);
    json_put_text(&object, "away", view->away);
    json_put_text(&object, "name", view->name);
    json_put_text(&object, "model", view->model);
    json_put_text(&object, "version", view->version);
    json_put_id(&object, "boot_id", view->boot_id);
    json_put_text(&object, "camera", camera < 0 ? "" : pinhole_camera_state_name((unsigned)camera));
    json_put_u64(&object, "frame_bytes_max", view->frame_bytes_max);
    return object;
}

static json_t *describe_frame(const struct web_frame *frame, uint64_t now_ns)
{
    if (frame == NULL)
        return json_null();
    const struct pinhole_frame *meta = &frame->meta;
    char flags[128];
    web_frame_flags(meta->flags, flags, sizeof flags);
    json_t *object = json_object();
    json_put_u64(&object, "frame_id", meta->frame_id);
    json_put_u64(&object, "sequence", meta->sequence);
    json_put_u64(&object, "sensor_sequence", meta->sensor_sequence);
    json_put_u64(&object, "width", meta->width);
    json_put_u64(&object, "height", meta->height);
    json_put_u64(&object, "bytes", meta->jpeg_bytes);
    json_put_u64(&object, "quality", meta->quality);
    json_put_u64(&object, "realtime_ns", meta->realtime_ns);
    json_put_u64(&object, "timestamp_ns", meta->timestamp_ns);
    json_put_time(&object, "realtime", meta->realtime_ns);
    json_put_time(&object, "monotonic", meta->timestamp_ns);
    json_put_real(&object, "age_s", (double)(now_ns - meta->received_ns) / 1e9);
    json_put_u64(&object, "exposure_us", meta->exposure_us);
    json_put_real(&object, "gain", meta->gain_milli / 1e3);
    json_put_real(&object, "digital_gain", meta->digital_gain_milli / 1e3);
    json_put_u64(&object, "frame_duration_us", meta->frame_duration_us);
    json_put_u64(&object, "colour_temperature_k", meta->colour_temperature_k);
    json_put_real(&object, "lux", meta->lux_milli / 1e3);
    json_put_real(&object, "lens_position_dioptres", meta->lens_position_milli / 1e3);
    json_put_u64(&object, "acquired_us", meta->acquired_us);
    json_put_u64(&object, "encode_start_us", meta->encode_start_us);
    json_put_u64(&object, "encoded_us", meta->encoded_us);
    json_put_u64(&object, "queued_us", meta->queued_us);
    json_put_i64(&object, "latency_us", frame->latency_ns / 1000);
    json_put_u64(&object, "skipped", meta->skipped);
    json_put_u64(&object, "encodes", meta->encodes);
    json_put_text(&object, "flags", flags);
    json_put_u64(&object, "trigger_id", meta->trigger_id);
    json_put_text(&object, "trigger_source", pinhole_source_name(meta->trigger_source));
    json_put_i64(&object, "trigger_delta_ns", meta->exposure_delta_ns);
    json_put_i64(&object, "burst_index", meta->burst_index);
    return object;
}

static json_t *describe_rate(const struct web_view *view, uint64_t now_ns)
{
    struct web_rate rate = web_view_rate(view, now_ns);
    json_t *object = json_object();
    json_put_real(&object, "frames_per_second", rate.frames_per_second);
    json_put_real(&object, "bytes_per_second", rate.bytes_per_second);
    json_put_u64(&object, "frames", view->frames);
    json_put_u64(&object, "skipped", view->skipped);
    return object;
}

static json_t *describe_event(const struct web_event *event, uint64_t number)
{
    json_t *object = json_object();
    json_put_u64(&object, "n", number);
    json_put_text(&object, "kind", pinhole_event_name(event->meta.kind));
    json_put_u64(&object, "sequence", event->meta.sequence);
    json_put_u64(&object, "realtime_ns", event->meta.realtime_ns);
    json_put_time(&object, "realtime", event->meta.realtime_ns);
    if (event->meta.kind == PINHOLE_EVENT_GAP || event->meta.kind == PINHOLE_EVENT_TRIGGER) {
        json_put_u64(&object, "first", event->meta.first);
        json_put_u64(&object, "last", event->meta.last);
    }
    if (event->meta.kind == PINHOLE_EVENT_TRIGGER) {
        json_put_text(&object, "outcome", pinhole_outcome_name(event->meta.outcome));
        json_put_text(&object, "source", pinhole_source_name(event->meta.trigger_source));
    }
    if (event->meta.kind == PINHOLE_EVENT_CAMERA)
        json_put_text(&object, "camera", pinhole_camera_state_name(event->meta.camera_state));
    json_put_text(&object, "text", event->text);
    return object;
}

static json_t *describe_events(const struct web_view *view)
{
    json_t *list = json_array();
    uint64_t n = view->event_count > WEB_EVENTS_KEPT ? view->event_count - WEB_EVENTS_KEPT : 0;
    for (; n < view->event_count; n++)
        json_put_item(&list, describe_event(&view->events[n % WEB_EVENTS_KEPT], n + 1));
    return list;
}

static json_t *describe_trigger(const struct web_trigger *trigger)
{
    json_t *object = json_object();
    json_put_u64(&object, "first", trigger->id);
    json_put_u64(&object, "last", trigger->last_id);
    json_put_text(&object, "outcome", pinhole_outcome_name(trigger->outcome));
    json_put_text(&object, "source", pinhole_source_name(trigger->source));
    if (trigger->frame_id != 0) {
        json_put_u64(&object, "frame_id", trigger->frame_id);
        json_put_i64(&object, "delta_ns", trigger->delta_ns);
    }
    return object;
}

static json_t *describe_triggers(const struct web_view *view)
{
    json_t *list = json_array();
    uint64_t n =
        view->trigger_count > WEB_TRIGGERS_KEPT ? view->trigger_count - WEB_TRIGGERS_KEPT : 0;
    for (; n < view->trigger_count; n++)
        json_put_item(&list, describe_trigger(&view->triggers[n % WEB_TRIGGERS_KEPT]));
    return list;
}

static json_t *describe_choices(const char *choices)
{
    json_t *list = json_array();
    while (*choices != '\0') {
        char choice[sizeof((struct pinhole_feature *)NULL)->choices];
        size_t length = strcspn(choices, "|");
        memcpy(choice, choices, length);
        choice[length] = '\0';
        json_put_item(&list, json_from_text(choice));
        choices += length + (choices[length] == '|');
    }
    return list;
}

static json_t *describe_feature(const struct pinhole_feature *feature)
{
    json_t *object = json_object();
    json_put_text(&object, "name", feature->name);
    json_put_text(&object, "type", feature->type);
    if (strcmp(feature->type, "Boolean") == 0)
        json_put_flag(&object, "value", strcmp(feature->value, "1") == 0);
    else if (strcmp(feature->type, "Integer") == 0 || strcmp(feature->type, "Float") == 0)
        json_put_number(&object, "value", feature->value);
    else
        json_put_text(&object, "value", feature->value);
    json_put_text(&object, "unit", feature->unit);
    json_put_number(&object, "min", feature->min);
    json_put_number(&object, "max", feature->max);
    json_put_number(&object, "increment", feature->increment);
    json_put(&object, "choices", describe_choices(feature->choices));
    json_put_flag(&object, "writable", feature->writable);
    json_put_text(&object, "help", feature->help);
    return object;
}

static json_t *describe_features(const struct web_calls *calls)
{
    json_t *list = json_array();
    for (int i = 0; i < calls->feature_count; i++)
        json_put_item(&list, describe_feature(&calls->features[i]));
    return list;
}

static json_t *describe_stream(const struct web_stream *stream)
{
    json_t *object = json_object();
    json_put_flag(&object, "alive", stream != NULL);
    if (stream != NULL) {
        json_put_u64(&object, "frame_id", stream->frame_id);
        json_put_u64(&object, "frames", stream->frames);
        json_put_u64(&object, "repeated", stream->repeated);
        json_put_u64(&object, "skipped", stream->skipped);
    }
    return object;
}

enum MHD_Result web_state_answer(struct web_request *request)
{
    struct web *web = request->web;
    const char *brief = web_request_query(request, "brief");
    bool is_brief = brief != NULL && strcmp(brief, "0") != 0;
    // A node that is away leaves the features as they were known last.
    if (!is_brief && web_request_calls(request, WEB_CALL_FEATURES, NULL))
        return MHD_YES;

    uint64_t now_ns = clock_now_ns();
    const char *key = web_request_query(request, "key");
    json_t *state = json_object();
    json_put(&state, "gateway", web_state_gateway(request, now_ns));
    pthread_mutex_lock(&web->lock);
    json_put(&state, "node", describe_node(&web->view));
    json_put(&state, "frame", describe_frame(web->view.newest, now_ns));
    json_put(&state, "rate", describe_rate(&web->view, now_ns));
    if (key != NULL)
        json_put(&state, "stream", describe_stream(web_stream_find(web, key)));
    json_put(&state, "triggers", describe_triggers(&web->view));
    json_put(&state, "events", describe_events(&web->view));
    json_put_u64(&state, "features_version", web->calls.features_version);
    if (!is_brief)
        json_put(&state, "features", describe_features(&web->calls));
    pthread_mutex_unlock(&web->lock);
    return web_reply_json(request, MHD_HTTP_OK, state);
}
