// SPDX-License-Identifier: MIT
#include "tools/web/view.h"

#include "net/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE_WINDOW_NS UINT64_C(2000000000)

// --- the node's clock ------------------------------------------------------------------------

/** An address of this host may be one end of a tunnel to another: only clocks that also agree are
 * taken for the same one. */
#define SAME_WITHIN_NS INT64_C(100000000)

bool web_clock_is_local(const char *address)
{
    static const char *const prefixes[] = {"unix:", "127.", "localhost", "[::1]"};
    if (address == NULL)
        address = getenv("PINHOLE_NODE");
    if (address == NULL || *address == '\0')
        return true;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(address, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return strcmp(address, "::1") == 0;
}

void web_clock_add(struct web_clock *clock, const struct pinhole_frame *frame)
{
    if (clock->boot_id != frame->boot_id) {
        clock->boot_id = frame->boot_id;
        clock->count = 0;
    }
    uint64_t left_ns = frame->timestamp_ns + (uint64_t)frame->queued_us * 1000u;
    clock->samples[clock->count++ % WEB_CLOCK_SAMPLES] = (int64_t)(frame->received_ns - left_ns);
}

static int64_t least_sample(const struct web_clock *clock)
{
    unsigned used = clock->count < WEB_CLOCK_SAMPLES ? clock->count : WEB_CLOCK_SAMPLES;
    int64_t least = used == 0 ? 0 : clock->samples[0];
    for (unsigned i = 1; i < used; i++)
        if (clock->samples[i] < least)
            least = clock->samples[i];
    return least;
}

static bool is_same(const struct web_clock *clock, int64_t least)
{
    return clock->may_be_same && least >= -SAME_WITHIN_NS && least <= SAME_WITHIN_NS;
}

int64_t web_clock_offset_ns(const struct web_clock *clock)
{
    int64_t least = least_sample(clock);
    return is_same(clock, least) ? 0 : least;
}

int64_t web_clock_margin_ns(const struct web_clock *clock)
{
    return is_same(clock, least_sample(clock)) ? 0 : WEB_CLOCK_MARGIN_NS;
}

// --- the view --------------------------------------------------------------------------------

static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text == NULL ? "" : text);
}

void web_view_connect(struct web_view *view, const struct pinhole_info *info)
{
    view->is_connected = true;
    view->away[0] = '\0';
    view->links++;
    copy_text(view->name, sizeof view->name, info->name);
    copy_text(view->model, sizeof view->model, info->model);
    copy_text(view->version, sizeof view->version, info->version);
    if (view->boot_id != info->boot_id)
        view->camera_state = -1;
    view->boot_id = info->boot_id;
    view->frame_bytes_max = info->frame_bytes_max;
}

void web_view_disconnect(struct web_view *view, const char *why)
{
    view->is_connected = false;
    copy_text(view->away, sizeof view->away, why);
}

static void add_trigger(struct web_view *view, const struct web_trigger *trigger)
{
    view->triggers[view->trigger_count++ % WEB_TRIGGERS_KEPT] = *trigger;
}

/** The frames of a burst share their trigger: the first one seen stands for it. */
static void note_match(struct web_view *view, const struct pinhole_frame *meta)
{
    if (meta->trigger_id == 0)
        return;
    if (view->trigger_count > 0 &&
        view->triggers[(view->trigger_count - 1) % WEB_TRIGGERS_KEPT].id == meta->trigger_id)
        return;
    add_trigger(view, &(struct web_trigger){.id = meta->trigger_id,
                                            .last_id = meta->trigger_id,
                                            .frame_id = meta->frame_id,
                                            .delta_ns = meta->exposure_delta_ns,
                                            .outcome = WIRE_OUTCOME_MATCHED,
                                            .source = meta->trigger_source});
}

struct web_frame *web_view_add_frame(struct web_view *view, struct web_frame *frame)
{
    const struct pinhole_frame *meta = &frame->meta;
    web_clock_add(&view->clock, meta);
    uint64_t taken_ns = meta->timestamp_ns + (uint64_t)web_clock_offset_ns(&view->clock);
    frame->latency_ns = (int64_t)(meta->received_ns - taken_ns);
    frame->exposed_ns = taken_ns - (uint64_t)meta->exposure_us * 1000u;

    struct web_frame *former = view->newest;
    view->newest = frame;
    view->arrivals[view->frames % WEB_ARRIVALS_KEPT].at_ns = meta->received_ns;
    view->arrivals[view->frames % WEB_ARRIVALS_KEPT].bytes = meta->jpeg_bytes;
    frame->serial = ++view->frames;
    view->bytes += meta->jpeg_bytes;
    view->skipped += meta->skipped;
    note_match(view, meta);
    return former;
}

void web_view_add_event(struct web_view *view, const struct pinhole_event *event)
{
    struct web_event *kept = &view->events[view->event_count++ % WEB_EVENTS_KEPT];
    kept->meta = *event;
    kept->meta.text = NULL;
    copy_text(kept->text, sizeof kept->text, event->text);
    if (event->kind == PINHOLE_EVENT_CAMERA)
        view->camera_state = event->camera_state;
    if (event->kind == PINHOLE_EVENT_TRIGGER)
        add_trigger(view, &(struct web_trigger){.id = event->first,
                                                .last_id = event->last,
                                                .outcome = event->outcome,
                                                .source = event->trigger_source});
}

struct web_rate web_view_rate(const struct web_view *view, uint64_t now_ns)
{
    struct web_rate rate = {0, 0};
    if (view->frames < 2)
        return rate;
    uint64_t newest = view->frames - 1, oldest = newest;
    uint64_t last_ns = view->arrivals[newest % WEB_ARRIVALS_KEPT].at_ns;
    size_t bytes = 0;
    // At least two frames, so that a slow camera has a rate too.
    while (oldest > 0 && newest - oldest + 1 < WEB_ARRIVALS_KEPT) {
        uint64_t at_ns = view->arrivals[(oldest - 1) % WEB_ARRIVALS_KEPT].at_ns;
        if (newest != oldest && last_ns - at_ns > RATE_WINDOW_NS)
            break;
        bytes += view->arrivals[oldest % WEB_ARRIVALS_KEPT].bytes;
        oldest--;
    }
    uint64_t span_ns = last_ns - view->arrivals[oldest % WEB_ARRIVALS_KEPT].at_ns;
    uint64_t frames = newest - oldest;
    // Silence of three times the usual distance (and a second at least) is no rate any more.
    uint64_t silence_ns = now_ns > last_ns ? now_ns - last_ns : 0;
    if (span_ns == 0 || (silence_ns > 1000000000u && silence_ns > 3 * span_ns / frames))
        return rate;
    rate.frames_per_second = (double)frames * 1e9 / (double)span_ns;
    rate.bytes_per_second = (double)bytes * 1e9 / (double)span_ns;
    return rate;
}
