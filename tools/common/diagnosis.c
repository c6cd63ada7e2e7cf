// SPDX-License-Identifier: MIT
#include "tools/common/diagnosis.h"

#include "tools/common/stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct diagnosis {
    const char *stats;
    finding_fn *take;
    void *user;
};

const char *finding_state_name(enum finding_state state)
{
    static const char *const words[] = {"ok", "warning", "fault"};
    return words[state];
}

json_t *finding_json(const struct finding *finding)
{
    json_t *object = json_object();
    json_put_text(&object, "check", finding->check);
    json_put_text(&object, "state", finding_state_name(finding->state));
    json_put_text(&object, "text", finding->text);
    json_put_text(&object, "advice", finding->advice);
    return object;
}

__attribute__((format(printf, 5, 6))) static void tell(const struct diagnosis *d,
                                                       enum finding_state state, const char *check,
                                                       const char *advice, const char *format, ...)
{
    struct finding finding = {.state = state, .check = check, .advice = advice};
    va_list list;
    va_start(list, format);
    vsnprintf(finding.text, sizeof finding.text, format, list);
    va_end(list);
    d->take(d->user, &finding);
}

static void check_camera(const struct diagnosis *d, struct pinhole *p)
{
    char width[16] = "?", height[16] = "?";
    const char *model = pinhole_info(p)->model;
    if (stats_sample(d->stats, "pinhole_camera_streaming") == 0) {
        tell(d, FINDING_FAULT, "camera", "see the lines on devices; `pinhole --list-cameras`",
             "%s delivers no frames", *model != '\0' ? model : "the camera");
        return;
    }
    pinhole_get(p, "Width", width, sizeof width);
    pinhole_get(p, "Height", height, sizeof height);
    if (strstr(model, "fake") != NULL)
        tell(d, FINDING_WARNING, "camera",
             "set camera = libcamera in pinhole.ini, which waits for a real camera",
             "the pictures are drawn, not taken (%s)", model);
    else
        tell(d, FINDING_OK, "camera", "", "%s delivers frames of %sx%s", model, width, height);
}

/** A frame lost now and then is no fault; this share of all frames is. */
#define FRAMES_LOST_SHARE 0.001

/** Counters that mean a loss, and what to do. */
static const struct loss {
    const char *name, *check, *what, *advice;
} losses[] = {
    {"pinhole_frames_dropped_total{reason=\"sensor\"}", "frames", "lost before the node got them",
     "raise camera.buffers; look for other programs that load the machine"},
    {"pinhole_frames_dropped_total{reason=\"busy\"}", "frames", "came while one was encoded",
     "lower framerate, size or quality"},
    {"pinhole_frames_dropped_total{reason=\"size\"}", "frames", "did not fit into frame_bytes_max",
     "raise jpeg.frame_bytes_max or lower jpeg.quality_min"},
    {"pinhole_frames_dropped_total{reason=\"invalid\"}", "frames", "were damaged",
     "check the camera's cable and its supply"},
    {"pinhole_frames_dropped_total{reason=\"error\"}", "frames", "could not be encoded",
     "read the node's log: journalctl -u pinhole"},
    {"pinhole_camera_restarts_total{how=\"restart\"}", "camera", "restarts after a stall",
     "check the camera's cable and its supply"},
    {"pinhole_camera_restarts_total{how=\"reopen\"}", "camera", "times the camera was gone",
     "check the camera's cable and its supply"},
    {"pinhole_line_edges_ignored_total{reason=\"kernel_lost\"}", "trigger",
     "edges were lost by the kernel", "look for bounce at the line: debounce_us or hold_off_us"},
    {"pinhole_triggers_total{source=\"line\",outcome=\"missed\"}", "trigger",
     "triggers of the line got no frame in time", "raise framerate, or trigger.timeout_ms"},
    {"pinhole_triggers_total{source=\"line\",outcome=\"overrun\"}", "trigger",
     "triggers of the line came before the previous one had its frame",
     "raise framerate, or look for bounce: hold_off_us"},
    {"pinhole_triggers_total{source=\"line\",outcome=\"failed\"}", "trigger",
     "triggers of the line failed", "read the node's log: journalctl -u pinhole"},
    {"pinhole_clients_dropped_total{reason=\"full\"}", "clients", "connections found no place",
     "raise server.clients_max"},
    {"pinhole_clients_dropped_total{reason=\"slow\"}", "clients", "clients took no data in time",
     "check their network, or lower jpeg.bit_rate"},
};

static void check_losses(const struct diagnosis *d)
{
    double hours = stats_sample(d->stats, "pinhole_uptime_seconds") / 3600;
    double few = stats_sample(d->stats, "pinhole_frames_acquired_total") * FRAMES_LOST_SHARE;
    bool is_clean = true;
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        double count = stats_sample(d->stats, losses[i].name);
        if (count == 0)
            continue;
        is_clean = false;
        bool is_few = strcmp(losses[i].check, "frames") == 0 && count <= few;
        tell(d, is_few ? FINDING_OK : FINDING_WARNING, losses[i].check,
             is_few ? "" : losses[i].advice, "%.0f %s in %.1f hours", count, losses[i].what, hours);
    }
    if (is_clean)
        tell(d, FINDING_OK, "frames", "", "nothing was lost in %.1f hours, %.0f frames", hours,
             stats_sample(d->stats, "pinhole_frames_captured_total"));
}

void diagnose(struct pinhole *p, const char *stats, finding_fn *take, void *user)
{
    const struct diagnosis d = {.stats = stats, .take = take, .user = user};
    check_camera(&d, p);
    check_losses(&d);
}
