// SPDX-License-Identifier: MIT
// The camera's life as the node drives it: open, configure, start, recover.
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "app/node_private.h"
#include "hal/os/clock.h"

#define STALL_MIN_NS    NS_PER_S
#define STALL_PERIODS   5
#define MATCH_PERIODS   4 /**< a frame is delivered about two periods after its exposure began */
#define MATCH_MARGIN_NS (200 * NS_PER_MS)

static uint64_t frame_period_ns(const struct node *node)
{
    double framerate = node->got.framerate > 0 ? node->got.framerate : node->config.framerate;
    uint64_t period_ns = (uint64_t)((double)NS_PER_S / framerate);
    return base_max_u64(period_ns, node->config.shutter_us * NS_PER_US);
}

void node_apply_supervisor(struct node *node)
{
    const struct config *config = &node->config;
    uint64_t stall_ns = config->stall_timeout_ms * NS_PER_MS;
    if (stall_ns == 0)
        stall_ns = base_max_u64(STALL_MIN_NS, STALL_PERIODS * frame_period_ns(node));
    // A camera that makes a frame a minute is not given up before it has had its time, and a
    // restart.
    uint64_t give_up_ns = config->give_up_s * NS_PER_S;
    if (give_up_ns != 0)
        give_up_ns = base_max_u64(give_up_ns, 2 * stall_ns);
    node->supervisor.config = (struct supervisor_config){
        .stall_ns = stall_ns,
        .reopen_ns = config->reopen_interval_ms * NS_PER_MS,
        .give_up_ns = give_up_ns,
        .restart_attempts = config->restart_attempts,
    };
}

void node_apply_rate(struct node *node)
{
    const struct config *config = &node->config;
    struct rate_config wish = {
        .quality_min = (uint8_t)config->quality_min,
        .quality_max = (uint8_t)config->quality,
        .frame_bytes_max = (uint32_t)config->frame_bytes_max,
        .bits_per_second = config->bit_rate,
        .framerate = config->trigger_mode == CONFIG_TRIGGER_ON ? 0 : config->framerate,
    };
    rate_configure(&node->rate, &wish);
}

int node_apply_trigger(struct node *node, uint64_t now_ns)
{
    const struct config *config = &node->config;
    uint64_t period_ns = frame_period_ns(node);
    uint64_t deadline_ns = config->trigger_timeout_ms * NS_PER_MS;
    if (deadline_ns == 0)
        deadline_ns = MATCH_PERIODS * period_ns + MATCH_MARGIN_NS;
    struct trigger_config wish;
    memset(&wish, 0, sizeof wish); // padding too, so that equal settings are equal bytes
    wish.on = config->trigger_mode == CONFIG_TRIGGER_ON;
    wish.source = (enum wire_trigger_source)(config->trigger_source + 1);
    wish.rule = (enum trigger_rule)config->trigger_rule;
    wish.delay_ns = config->trigger_delay_us * NS_PER_US;
    wish.divider = config->trigger_divider;
    wish.hold_off_ns = config->trigger_hold_off_us * NS_PER_US;
    wish.burst_count = config->burst_frames;
    wish.pretrigger = config->pretrigger_frames;
    wish.deadline_ns = deadline_ns;
    wish.period_ns = config->timer_period_ms * NS_PER_MS;
    wish.readout_ns = config->readout_us != 0 ? config->readout_us * NS_PER_US : period_ns;
    wish.frame_interval_ns = period_ns;
    wish.window_ns = config->trigger_window_us * NS_PER_US;
    // Configuring starts timer and divider anew, which a restart of the stream must not do: a time
    // lapse with an hour between its pictures would begin that hour again.
    if (memcmp(&wish, &node->trigger.config, sizeof wish) != 0) {
        node_drop_held(node);
        int status = trigger_configure(&node->trigger, &wish, now_ns);
        if (status < 0)
            return status;
    }
    // Without its light the camera still works; the reason is logged.
    strobe_line_configure(&node->strobe, config, &node->loop, wish.readout_ns, period_ns, now_ns);
    return trigger_line_configure(&node->line, config, &node->loop, &node->trigger, now_ns);
}

static void on_camera_event(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    node_take_frames(user, now_ns);
}

static void announce(struct node *node, enum wire_camera_state state, const char *text,
                     uint64_t now_ns)
{
    node->camera_state = state;
    struct wire_event event = {.kind = WIRE_EVENT_CAMERA, .camera_state = (uint8_t)state};
    node_publish_event(node, &event, text, now_ns);
}

void node_camera_introduce(struct node *node)
{
    snprintf(node->server.identity, sizeof node->server.identity,
             "DeviceUserID=%s\nDeviceModelName=%s\nDeviceFirmwareVersion=%s\n",
             node->config.node_name, node->camera_model, PINHOLE_VERSION);
}

/** Sets a camera control within its range, which *wanted is brought into. False when the camera has
 * none of that name. */
static bool set_control(struct node *node, const char *name, double *wanted)
{
    unsigned index;
    double value = *wanted;
    const struct hal_feature *feature = node_controls_find(node, name, &index);
    if (feature == NULL)
        return false;
    double allowed = value < feature->min ? feature->min : value;
    allowed = allowed > feature->max ? feature->max : allowed;
    if (node->camera->feature_set(index, allowed) < 0)
        log_warning("camera refused %s=%g: %s", name, allowed, node->camera->last_error());
    else if (allowed < value || allowed > value)
        log_warning("%s=%g is outside the camera's range, using %g", name, value, allowed);
    *wanted = allowed;
    return true;
}

/** The largest value of a camera control, 0 when the camera has none of that name. */
static double control_max(const struct node *node, const char *name)
{
    unsigned index;
    const struct hal_feature *feature = node_controls_find(node, name, &index);
    return feature != NULL ? feature->max : 0;
}

/** camera.roi, fractions of the sensor, as the camera's region in pixels. */
static void set_region(struct node *node)
{
    double roi[4];
    double width = control_max(node, "RegionWidth"), height = control_max(node, "RegionHeight");
    if (node->config.roi[0] == '\0' || config_roi(&node->config, roi) < 0)
        return;
    if (width <= 0 || height <= 0) {
        log_warning("this camera has no region of interest, camera.roi is ignored");
        return;
    }
    double x = floor(roi[0] * width), y = floor(roi[1] * height);
    double region_width = floor(roi[2] * width), region_height = floor(roi[3] * height);
    // The size first: an offset is only in range beside a region that leaves room for it.
    set_control(node, "RegionWidth", &region_width);
    set_control(node, "RegionHeight", &region_height);
    set_control(node, "OffsetX", &x);
    set_control(node, "OffsetY", &y);
}

static void set_controls(struct node *node)
{
    set_region(node);
    double off = 0, shutter_us = node->config.shutter_us, gain = node->config.gain;
    if (shutter_us > 0) {
        set_control(node, "ExposureAuto", &off);
        if (!set_control(node, "ExposureTime", &shutter_us))
            log_warning("this camera has no ExposureTime, camera.shutter_us is ignored");
    }
    if (gain > 0) {
        set_control(node, "GainAuto", &off);
        if (!set_control(node, "Gain", &gain))
            log_warning("this camera has no Gain, camera.gain is ignored");
    }
}

static int configure_camera(struct node *node)
{
    struct config *config = &node->config;
    struct hal_camera_config wish = {
        .width = config->width,
        .height = config->height,
        .format = (enum hal_pixel_format)config->format,
        .framerate = config->framerate,
        .buffers = config->buffers,
        .hflip = config->hflip,
        .vflip = config->vflip,
        .memory_bytes = config->replay_memory,
    };
    int status = node->camera->configure(&wish, &node->got);
    if (status < 0)
        return status;
    log_info("camera %s%s%s: %ux%u %s, %g frames/s, %u buffers", node->camera->name,
             node->camera_id[0] != '\0' ? ":" : "", node->camera_id, node->got.width,
             node->got.height, hal_pixel_format_name(node->got.format), node->got.framerate,
             node->got.buffers);
    config->width = node->got.width;
    config->height = node->got.height;
    config->format = node->got.format;
    set_controls(node);
    node_controls_apply(node);
    return 0;
}

double node_camera_framerate(const struct node *node)
{
    double rate = node->config.framerate;
    if (!node->is_camera_open)
        return rate;
    if (node->got.framerate > 0 && node->got.framerate < rate)
        rate = node->got.framerate;
    // The sensor follows a new rate some frames later; a microsecond is the duration's rounding.
    uint32_t duration_us = node->last_frame_duration_us;
    if (node->frames_at_rate > HAL_CAMERA_BUFFERS_MAX && duration_us > 1e6 / rate + 1)
        rate = 1e6 / duration_us;
    return rate;
}

bool node_camera_set_framerate(struct node *node, uint64_t now_ns)
{
    double wanted = node->config.framerate;
    if (node->is_camera_open) {
        if (set_control(node, "AcquisitionFrameRate", &wanted))
            node->got.framerate = wanted;
        else if (wanted > node->got.framerate)
            return false; // slower is a matter of pacing, faster is not
    }
    node->frames_at_rate = 0;
    node->pace_due_ns = 0; // at the old rate the next one may be due in a minute and a half
    node_apply_supervisor(node);
    node_apply_trigger(node, now_ns);
    node_apply_rate(node);
    return true;
}

static int start_camera(struct node *node, uint64_t now_ns)
{
    int status = node->camera->start();
    if (status < 0)
        return status;
    loop_fd_modify(&node->loop, node->camera_token, EPOLLIN);
    node->is_first_frame = node->announce_restart = true;
    node->frames_at_rate = 0;
    node->pace_due_ns = 0;
    rate_reset_scene(&node->rate);
    node_apply_supervisor(node);
    status = node_apply_trigger(node, now_ns);
    if (status < 0)
        log_error("trigger settings do not fit this camera: %s", strerror(-status));
    trigger_camera_up(&node->trigger, now_ns);
    // Silence counts from now on, not from when the camera was asked to start.
    supervisor_started(&node->supervisor, clock_now_ns());
    return 0;
}

static void stop_camera(struct node *node, uint64_t now_ns)
{
    trigger_camera_down(&node->trigger, now_ns);
    node_drop_frames(node);
    node->camera->stop();
}

void node_camera_close(struct node *node, uint64_t now_ns)
{
    if (!node->is_camera_open)
        return;
    stop_camera(node, now_ns);
    loop_fd_remove(&node->loop, node->camera_token);
    node->camera->close();
    node->is_camera_open = false;
    supervisor_closed(&node->supervisor, clock_now_ns());
}

static int configure_and_start(struct node *node, uint64_t now_ns)
{
    int status = configure_camera(node);
    if (status == 0)
        status = start_camera(node, now_ns);
    // What a camera's libraries took for its opening and gave back is the machine's again, not the
    // process's for the months to come.
    malloc_trim(0);
    return status;
}

static int open_camera(struct node *node, uint64_t now_ns)
{
    int status = node->camera->open(node->camera_id);
    if (status < 0)
        return status;
    node->is_camera_open = true;
    node->camera_token =
        loop_fd_add(&node->loop, node->camera->fd(), EPOLLIN, on_camera_event, node);
    if (node->camera_token == 0)
        return -errno;
    return configure_and_start(node, now_ns);
}

/** Waiting does not mend a wrong path or argument; a camera that is not there may yet come. */
static bool is_bad_setting(int status)
{
    return status == -EINVAL || status == -ENOENT || status == -ENOTDIR || status == -EACCES;
}

/** Opens the camera, or says once that it is not there. */
static void try_open(struct node *node, uint64_t now_ns)
{
    node_camera_close(node, now_ns);
    int status = open_camera(node, now_ns);
    if (status == 0) {
        node->said_absent = false;
        snprintf(node->camera_model, sizeof node->camera_model, "%s", node->camera->model());
        node_camera_introduce(node);
        return;
    }
    char why[256];
    snprintf(why, sizeof why, "%s", node->camera->last_error());
    if (why[0] == '\0')
        snprintf(why, sizeof why, "%s", strerror(-status));
    node_camera_close(node, now_ns);
    supervisor_closed(&node->supervisor, clock_now_ns()); // trying may have taken seconds
    if (is_bad_setting(status) && node->metrics.frames_acquired == 0) {
        log_error("camera %s: %s", node->config.camera, why);
        node->exit_status = NODE_EXIT_START_FAILED;
    }
    if (node->said_absent)
        return;
    node->said_absent = true;
    announce(node, WIRE_CAMERA_ABSENT, why, now_ns);
}

/** One more try with the stream as it is configured. */
static void try_restart(struct node *node, uint64_t now_ns)
{
    node->metrics.camera_restarts++;
    announce(node, WIRE_CAMERA_STALLED, "no frame in time, restarting the stream", now_ns);
    supervisor_restarting(&node->supervisor);
    stop_camera(node, now_ns);
    if (start_camera(node, now_ns) < 0) {
        log_warning("restart failed: %s", node->camera->last_error());
        node_camera_close(node, now_ns);
    }
}

int node_camera_reconfigure(struct node *node, const struct config *fallback, char *why,
                            size_t size, uint64_t now_ns)
{
    why[0] = '\0';
    if (!node->is_camera_open)
        return 0; // the new settings apply when it is opened
    node->is_turn_blocked = true;
    node->metrics.camera_reconfigured++;
    stop_camera(node, now_ns);
    int status = configure_and_start(node, now_ns);
    if (status < 0) {
        snprintf(why, size, "the camera refuses this: %s", node->camera->last_error());
        node->config = *fallback;
        if (configure_and_start(node, now_ns) < 0) {
            announce(node, WIRE_CAMERA_ABSENT, node->camera->last_error(), now_ns);
            node_camera_close(node, now_ns);
            return status;
        }
    }
    char text[128];
    snprintf(text, sizeof text, "Width=%u Height=%u PixelFormat=%s", node->got.width,
             node->got.height, hal_pixel_format_name(node->got.format));
    announce(node, WIRE_CAMERA_RECONFIGURED, text, now_ns);
    return status;
}

void node_camera_supervise(struct node *node, uint64_t now_ns)
{
    enum supervisor_action action = supervisor_next(&node->supervisor, now_ns);
    node->is_turn_blocked |= action != SUPERVISOR_WAIT;
    switch (action) {
    case SUPERVISOR_WAIT: break;
    case SUPERVISOR_OPEN:
        if (node->is_camera_open) {
            node->metrics.camera_reopens++;
            announce(node, WIRE_CAMERA_STALLED, "restarts did not help, opening the camera anew",
                     now_ns);
        }
        try_open(node, now_ns);
        break;
    case SUPERVISOR_RESTART: try_restart(node, now_ns); break;
    case SUPERVISOR_GIVE_UP:
        log_error("no frame for %u s, giving up", node->config.give_up_s);
        node->exit_status = NODE_EXIT_CAMERA_FAILED;
        return;
    }
    loop_timer_set(&node->loop, node->camera_timer, supervisor_deadline(&node->supervisor));
}
