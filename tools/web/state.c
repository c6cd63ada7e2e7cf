// SPDX-License-Identifier: MIT
// GET /state: all that the gateway knows, as JSON. ?brief=1 leaves out the features, and then the
// node is not asked. ?key=... adds how the stream with that key is doing.
#include "tools/web/headers.h"
#include "tools/web/request.h"
#include "tools/web/stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void add_u64(struct web_text *text, const char *name, uint64_t value)
{
    web_text_add_name(text, name);
    web_text_add(text, "%" PRIu64, value);
}

static void add_i64(struct web_text *text, const char *name, int64_t value)
{
    web_text_add_name(text, name);
    web_text_add(text, "%" PRId64, value);
}

static void add_real(struct web_text *text, const char *name, double value)
{
    web_text_add_name(text, name);
    web_text_add(text, "%.3f", value);
}

static void add_flag(struct web_text *text, const char *name, bool value)
{
    web_text_add_name(text, name);
    web_text_add(text, value ? "true" : "false");
}

/** Numbers of 64 random bits do not survive in JavaScript: they are written in hexadecimal. */
static void add_id(struct web_text *text, const char *name, uint64_t value)
{
    web_text_add_name(text, name);
    web_text_add(text, "\"%016" PRIx64 "\"", value);
}

static void add_gateway(struct web_text *text, const struct web *web, uint64_t now_ns)
{
    web_text_add_name(text, "gateway");
    web_text_add(text, "{");
    web_text_add_member(text, "version", PINHOLE_VERSION);
    add_real(text, "uptime_s", (double)(now_ns - web->started_ns) / 1e9);
    add_flag(text, "read_only", web->options.read_only);
    add_u64(text, "connections", web->http.connection_count);
    add_u64(text, "connections_max", (uint64_t)web->options.max_clients);
    add_u64(text, "streams", web->http.stream_count);
    web_text_add(text, "}");
}

static void add_node(struct web_text *text, const struct web *web)
{
    const struct web_view *view = &web->view;
    int camera = view->camera_state;
    web_text_add_name(text, "node");
    web_text_add(text, "{");
    add_flag(text, "connected", view->connected);
    web_text_add_member(text, "away", view->away);
    web_text_add_member(text, "name", view->name);
    web_text_add_member(text, "model", view->model);
    web_text_add_member(text, "version", view->version);
    add_id(text, "boot_id", view->boot_id);
    web_text_add_member(text, "camera",
                        camera < 0 ? "" : pinhole_camera_state_name((unsigned)camera));
    add_u64(text, "frame_bytes_max", view->frame_bytes_max);
    web_text_add(text, "}");
}

static void add_frame(struct web_text *text, const struct web_frame *frame, uint64_t now_ns)
{
    web_text_add_name(text, "frame");
    if (frame == NULL) {
        web_text_add(text, "null");
        return;
    }
    const struct pinhole_frame *meta = &frame->meta;
    char flags[128];
    web_headers_flags(meta->flags, flags, sizeof flags);
    web_text_add(text, "{");
    add_u64(text, "frame_id", meta->frame_id);
    add_u64(text, "sequence", meta->sequence);
    add_u64(text, "sensor_sequence", meta->sensor_sequence);
    add_u64(text, "width", meta->width);
    add_u64(text, "height", meta->height);
    add_u64(text, "bytes", meta->jpeg_bytes);
    add_u64(text, "quality", meta->quality);
    add_u64(text, "realtime_ns", meta->realtime_ns);
    add_u64(text, "timestamp_ns", meta->timestamp_ns);
    add_real(text, "age_s", (double)(now_ns - meta->received_ns) / 1e9);
    add_u64(text, "exposure_us", meta->exposure_us);
    add_real(text, "gain", meta->gain_milli / 1e3);
    add_real(text, "digital_gain", meta->digital_gain_milli / 1e3);
    add_u64(text, "frame_duration_us", meta->frame_duration_us);
    add_u64(text, "colour_temperature_k", meta->colour_temperature_k);
    add_real(text, "lux", meta->lux_milli / 1e3);
    add_real(text, "lens_position_dioptres", meta->lens_position_milli / 1e3);
    add_u64(text, "acquired_us", meta->acquired_us);
    add_u64(text, "encode_start_us", meta->encode_start_us);
    add_u64(text, "encoded_us", meta->encoded_us);
    add_u64(text, "queued_us", meta->queued_us);
    add_i64(text, "latency_us", frame->latency_ns / 1000);
    add_u64(text, "skipped", meta->skipped);
    add_u64(text, "encodes", meta->encodes);
    web_text_add_member(text, "flags", flags);
    add_u64(text, "trigger_id", meta->trigger_id);
    web_text_add_member(text, "trigger_source", pinhole_source_name(meta->trigger_source));
    add_i64(text, "trigger_delta_ns", meta->exposure_delta_ns);
    add_i64(text, "burst_index", meta->burst_index);
    web_text_add(text, "}");
}

static void add_rate(struct web_text *text, const struct web *web, uint64_t now_ns)
{
    struct web_rate rate = web_view_rate(&web->view, now_ns);
    web_text_add_name(text, "rate");
    web_text_add(text, "{");
    add_real(text, "frames_per_second", rate.frames_per_second);
    add_real(text, "bytes_per_second", rate.bytes_per_second);
    add_u64(text, "frames", web->view.frames);
    add_u64(text, "skipped", web->view.skipped);
    web_text_add(text, "}");
}

static void add_events(struct web_text *text, const struct web_view *view)
{
    web_text_add_name(text, "events");
    web_text_add(text, "[");
    uint64_t n = view->event_count > WEB_EVENTS_KEPT ? view->event_count - WEB_EVENTS_KEPT : 0;
    for (; n < view->event_count; n++) {
        const struct web_event *event = &view->events[n % WEB_EVENTS_KEPT];
        web_text_add_comma(text);
        web_text_add(text, "{");
        add_u64(text, "n", n + 1);
        web_text_add_member(text, "kind", pinhole_event_name(event->meta.kind));
        add_u64(text, "sequence", event->meta.sequence);
        add_u64(text, "realtime_ns", event->meta.realtime_ns);
        if (event->meta.kind == PINHOLE_EVENT_GAP || event->meta.kind == PINHOLE_EVENT_TRIGGER) {
            add_u64(text, "first", event->meta.first);
            add_u64(text, "last", event->meta.last);
        }
        if (event->meta.kind == PINHOLE_EVENT_TRIGGER) {
            web_text_add_member(text, "outcome", pinhole_outcome_name(event->meta.outcome));
            web_text_add_member(text, "source", pinhole_source_name(event->meta.trigger_source));
        }
        if (event->meta.kind == PINHOLE_EVENT_CAMERA)
            web_text_add_member(text, "camera",
                                pinhole_camera_state_name(event->meta.camera_state));
        web_text_add_member(text, "text", event->text);
        web_text_add(text, "}");
    }
    web_text_add(text, "]");
}

static void add_triggers(struct web_text *text, const struct web_view *view)
{
    web_text_add_name(text, "triggers");
    web_text_add(text, "[");
    uint64_t n =
        view->trigger_count > WEB_TRIGGERS_KEPT ? view->trigger_count - WEB_TRIGGERS_KEPT : 0;
    for (; n < view->trigger_count; n++) {
        const struct web_trigger *trigger = &view->triggers[n % WEB_TRIGGERS_KEPT];
        web_text_add_comma(text);
        web_text_add(text, "{");
        add_u64(text, "first", trigger->id);
        add_u64(text, "last", trigger->last_id);
        web_text_add_member(text, "outcome", pinhole_outcome_name(trigger->outcome));
        web_text_add_member(text, "source", pinhole_source_name(trigger->source));
        if (trigger->frame_id != 0) {
            add_u64(text, "frame_id", trigger->frame_id);
            add_i64(text, "delta_ns", trigger->delta_ns);
        }
        web_text_add(text, "}");
    }
    web_text_add(text, "]");
}

static void add_choices(struct web_text *text, const char *choices)
{
    web_text_add_name(text, "choices");
    web_text_add(text, "[");
    while (*choices != '\0') {
        char choice[192];
        size_t length = strcspn(choices, "|");
        memcpy(choice, choices, length);
        choice[length] = '\0';
        web_text_add_comma(text);
        web_text_add_json(text, choice);
        choices += length + (choices[length] == '|');
    }
    web_text_add(text, "]");
}

static void add_number(struct web_text *text, const char *name, const char *value)
{
    web_text_add_name(text, name);
    if (web_text_is_number(value))
        web_text_add(text, "%s", value);
    else if (*value == '\0')
        web_text_add(text, "null");
    else
        web_text_add_json(text, value);
}

static void add_feature(struct web_text *text, const struct pinhole_feature *feature)
{
    web_text_add_comma(text);
    web_text_add(text, "{");
    web_text_add_member(text, "name", feature->name);
    web_text_add_member(text, "type", feature->type);
    if (strcmp(feature->type, "Boolean") == 0)
        add_flag(text, "value", strcmp(feature->value, "1") == 0);
    else if (strcmp(feature->type, "Integer") == 0 || strcmp(feature->type, "Float") == 0)
        add_number(text, "value", feature->value);
    else
        web_text_add_member(text, "value", feature->value);
    web_text_add_member(text, "unit", feature->unit);
    add_number(text, "min", feature->min);
    add_number(text, "max", feature->max);
    add_number(text, "increment", feature->increment);
    add_choices(text, feature->choices);
    add_flag(text, "writable", feature->writable);
    web_text_add_member(text, "help", feature->help);
    web_text_add(text, "}");
}

static void add_stream(struct web_text *text, const struct web *web, const char *key)
{
    const struct web_stream *stream = web_stream_find(web, key);
    web_text_add_name(text, "stream");
    web_text_add(text, "{");
    add_flag(text, "alive", stream != NULL);
    if (stream != NULL) {
        add_u64(text, "frame_id", stream->frame_id);
        add_u64(text, "frames", stream->frames);
        add_u64(text, "repeated", stream->repeated);
        add_u64(text, "skipped", stream->skipped);
    }
    web_text_add(text, "}");
}

enum MHD_Result web_state_answer(struct web_request *request)
{
    struct web *web = request->web;
    const char *brief = web_request_query(request, "brief");
    bool is_brief = brief != NULL && strcmp(brief, "0") != 0;
    // A node that is away leaves the features as they were known last.
    if (!is_brief && web_request_calls(request, WEB_CALL_FEATURES, NULL))
        return MHD_YES;

    struct web_text text = {0};
    uint64_t now_ns = clock_now_ns();
    const char *key = web_request_query(request, "key");
    web_text_add(&text, "{");
    pthread_mutex_lock(&web->lock);
    add_gateway(&text, web, now_ns);
    add_node(&text, web);
    add_frame(&text, web->view.newest, now_ns);
    add_rate(&text, web, now_ns);
    if (key != NULL)
        add_stream(&text, web, key);
    add_triggers(&text, &web->view);
    add_events(&text, &web->view);
    add_u64(&text, "features_version", web->calls.features_version);
    if (!is_brief) {
        web_text_add_name(&text, "features");
        web_text_add(&text, "[");
        for (int i = 0; i < web->calls.feature_count; i++)
            add_feature(&text, &web->calls.features[i]);
        web_text_add(&text, "]");
    }
    pthread_mutex_unlock(&web->lock);
    web_text_add(&text, "}\n");
    return web_reply_text(request, MHD_HTTP_OK, "application/json", &text);
}
