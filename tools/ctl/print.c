// SPDX-License-Identifier: MIT
// Printing an event: for people, and as JSON.
#include "tools/ctl/ctl.h"

#include "tools/common/text.h"

#include <inttypes.h>

static void print_json_event(const struct pinhole_event *e)
{
    json_t *line = json_object();
    json_put_text(&line, "event", pinhole_event_name(e->kind));
    json_put_id(&line, "boot_id", e->boot_id);
    json_put_u64(&line, "sequence", e->sequence);
    json_put_u64(&line, "monotonic_ns", e->monotonic_ns);
    json_put_u64(&line, "realtime_ns", e->realtime_ns);
    json_put_time(&line, "monotonic", e->monotonic_ns);
    json_put_time(&line, "realtime", e->realtime_ns);
    if (e->kind == PINHOLE_EVENT_GAP || e->kind == PINHOLE_EVENT_TRIGGER) {
        json_put_u64(&line, "first", e->first);
        json_put_u64(&line, "last", e->last);
    }
    if (e->kind == PINHOLE_EVENT_TRIGGER) {
        json_put_text(&line, "source", pinhole_source_name(e->trigger_source));
        json_put_text(&line, "outcome", pinhole_outcome_name(e->outcome));
        json_put_u64(&line, "edge_ns", e->edge_ns);
        json_put_time(&line, "edge", e->edge_ns);
    }
    if (e->kind == PINHOLE_EVENT_CAMERA)
        json_put_text(&line, "camera_state", pinhole_camera_state_name(e->camera_state));
    json_put_text(&line, "text", e->text);
    ctl_print_json(line);
}

/** "3", or "3 to 5". */
static void print_range(FILE *out, const char *one, const char *many, uint64_t first, uint64_t last)
{
    if (first == last)
        fprintf(out, "%s %" PRIu64, one, first);
    else
        fprintf(out, "%s %" PRIu64 " to %" PRIu64, many, first, last);
}

void ctl_print_event(FILE *out, const struct pinhole_event *e, bool wants_json)
{
    if (wants_json) {
        print_json_event(e);
        return;
    }
    switch (e->kind) {
    case PINHOLE_EVENT_GAP:
        print_range(out, "GAP: record", "GAP: records", e->first, e->last);
        fputs(e->first == e->last ? " is lost" : " are lost", out);
        break;
    case PINHOLE_EVENT_TRIGGER:
        print_range(out, "TRIGGER: trigger", "TRIGGER: triggers", e->first, e->last);
        fprintf(out, " %s, source %s", pinhole_outcome_name(e->outcome),
                pinhole_source_name(e->trigger_source));
        break;
    case PINHOLE_EVENT_CAMERA:
        fprintf(out, "CAMERA: %s", pinhole_camera_state_name(e->camera_state));
        break;
    default: fputs(pinhole_event_name(e->kind), out); break;
    }
    if (*e->text != '\0') {
        fputs(": ", out);
        text_print(out, e->text);
    }
    fputc('\n', out);
}
