// SPDX-License-Identifier: MIT
#include "app/node_camera.h"

#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "hal/os/clock.h"
#include "hal/os/log.h"

#define STALL_MIN_NS  NS_PER_S
#define STALL_PERIODS 5

uint64_t node_camera_period_ns(const struct node_camera *camera)
{
    double framerate =
        camera->got.framerate > 0 ? camera->got.framerate : camera->config->framerate;
    uint64_t period_ns = (uint64_t)((double)NS_PER_S / framerate);
    return base_max_u64(period_ns, camera->config->shutter_us * NS_PER_US);
}

/** After each change of what the supervisor waits for: a deadline that moved forward is not met by
 * the timer of the old one. */
static void arm_timer(struct node_camera *camera)
{
    loop_timer_set(camera->loop, camera->timer, supervisor_deadline(&camera->supervisor));
}

void node_camera_apply_supervisor(struct node_camera *camera)
{
    const struct config *config = camera->config;
    uint64_t stall_ns = config->stall_timeout_ms * NS_PER_MS;
    if (stall_ns == 0)
        stall_ns = base_max_u64(STALL_MIN_NS, STALL_PERIODS * node_camera_period_ns(camera));
    // A camera that makes a frame a minute is not given up before it has had its time, and a
    // restart.
    uint64_t give_up_ns = config->give_up_s * NS_PER_S;
    if (give_up_ns != 0)
        give_up_ns = base_max_u64(give_up_ns, 2 * stall_ns);
    camera->supervisor.config = (struct supervisor_config){
        .stall_ns = stall_ns,
        .reopen_ns = config->reopen_interval_ms * NS_PER_MS,
        .give_up_ns = give_up_ns,
        .restart_attempts = config->restart_attempts,
    };
}

int node_camera_apply_trigger(struct node_camera *camera, uint64_t now_ns)
{
    bool is_changed;
    int status = node_trigger_apply(camera->trigger, camera->config, node_camera_period_ns(camera),
                                    &is_changed, now_ns);
    if (is_changed)
        node_encode_drop_held(camera->encode);
    return status;
}

static void announce(struct node_camera *camera, enum wire_camera_state state, const char *text,
                     uint64_t now_ns)
{
    camera->state = state;
    struct wire_event event = {.kind = WIRE_EVENT_CAMERA, .camera_state = (uint8_t)state};
    event_log_publish(camera->log, &event, text, now_ns);
}

/** What the counters, the supervisor and subscribers learn from a frame's arrival. */
static void note_frame(struct node_camera *camera, const struct hal_frame *frame, uint64_t now_ns)
{
    struct metrics *metrics = camera->metrics;
    metrics->frames_acquired++;
    if (!camera->is_first_frame)
        metrics->dropped_sensor += frame->sensor_sequence - camera->last_sensor_sequence - 1;
    camera->is_first_frame = false;
    camera->last_sensor_sequence = frame->sensor_sequence;
    camera->last_frame_duration_us = frame->frame_duration_us;
    camera->frames_at_rate++;
    if (now_ns > frame->timestamp_ns)
        metrics_observe(&metrics->acquire_latency, now_ns - frame->timestamp_ns);
    supervisor_frame(&camera->supervisor, now_ns);
    arm_timer(camera);
    if (camera->state != WIRE_CAMERA_STREAMING && camera->state != WIRE_CAMERA_RECONFIGURED)
        announce(camera, WIRE_CAMERA_STREAMING, "frames are coming", now_ns);
    camera->state = WIRE_CAMERA_STREAMING;
}

/** The camera's descriptor is readable: takes all frames that it has. */
static void on_frames(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    struct node_camera *camera = user;
    struct hal_frame frame;
    int status;
    trigger_line_poll(&camera->trigger->line, now_ns);
    while ((status = camera->ops->acquire(&frame)) > 0) {
        now_ns = clock_not_before(now_ns, frame.timestamp_ns);
        note_frame(camera, &frame, now_ns);
        node_frame_take(camera->encode, &frame, now_ns);
    }
    if (status == 0)
        return;
    if (status == -ENODEV) {
        camera->said_absent = true;
        announce(camera, WIRE_CAMERA_ABSENT, camera->ops->last_error(), now_ns);
        node_camera_close(camera, now_ns);
    } else {
        log_warning("camera: %s", camera->ops->last_error());
        supervisor_stream_error(&camera->supervisor);
        loop_fd_modify(camera->loop, camera->token, 0); // until the stream is started again
    }
    loop_timer_set(camera->loop, camera->timer, now_ns);
}

void node_camera_introduce(struct node_camera *camera)
{
    snprintf(camera->server->identity, sizeof camera->server->identity,
             "DeviceUserID=%s\nDeviceModelName=%s\nDeviceFirmwareVersion=%s\n",
             camera->config->node_name, camera->model, PINHOLE_VERSION);
}

/** The largest value of a camera control, 0 when the camera has none of that name. */
static double control_max(const struct node_camera *camera, const char *name)
{
    const struct hal_feature *feature = hal_feature_find(camera->ops, name, NULL);
    return feature != NULL ? feature->max : 0;
}

/** camera.roi, fractions of the sensor, as the camera's region in pixels. */
static void set_region(struct node_camera *camera)
{
    double roi[4];
    double width = control_max(camera, "RegionWidth"), height = control_max(camera, "RegionHeight");
    if (camera->config->roi[0] == '\0' || config_roi(camera->config, roi) < 0)
        return;
    if (width <= 0 || height <= 0) {
        log_warning("this camera has no region of interest, camera.roi is ignored");
        return;
    }
    double x = floor(roi[0] * width), y = floor(roi[1] * height);
    double region_width = floor(roi[2] * width), region_height = floor(roi[3] * height);
    // The size first: an offset is only in range beside a region that leaves room for it.
    node_controls_set(camera->ops, "RegionWidth", &region_width);
    node_controls_set(camera->ops, "RegionHeight", &region_height);
    node_controls_set(camera->ops, "OffsetX", &x);
    node_controls_set(camera->ops, "OffsetY", &y);
}

static void set_controls(struct node_camera *camera)
{
    set_region(camera);
    double off = 0, shutter_us = camera->config->shutter_us, gain = camera->config->gain;
    if (shutter_us > 0) {
        node_controls_set(camera->ops, "ExposureAuto", &off);
        if (!node_controls_set(camera->ops, "ExposureTime", &shutter_us))
            log_warning("this camera has no ExposureTime, camera.shutter_us is ignored");
    }
    if (gain > 0) {
        node_controls_set(camera->ops, "GainAuto", &off);
        if (!node_controls_set(camera->ops, "Gain", &gain))
            log_warning("this camera has no Gain, camera.gain is ignored");
    }
}

static int configure_camera(struct node_camera *camera)
{
    struct config *config = camera->config;
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
    int status = camera->ops->configure(&wish, &camera->got);
    if (status < 0)
        return status;
    log_info("camera %s%s%s: %ux%u %s, %g frames/s, %u buffers", camera->ops->name,
             camera->id[0] != '\0' ? ":" : "", camera->id, camera->got.width, camera->got.height,
             hal_pixel_format_name(camera->got.format), camera->got.framerate, camera->got.buffers);
    if (camera->got.format == HAL_PIXEL_MJPEG)
        log_info("the camera makes the JPEG itself: of the jpeg settings, only frame_bytes_max and "
                 "exif apply");
    config->width = camera->got.width;
    config->height = camera->got.height;
    config->format = camera->got.format;
    set_controls(camera);
    node_controls_apply(&camera->controls, camera->ops);
    return 0;
}

double node_camera_framerate(const struct node_camera *camera)
{
    double rate = camera->config->framerate;
    if (!camera->is_open)
        return rate;
    if (camera->got.framerate > 0 && camera->got.framerate < rate)
        rate = camera->got.framerate;
    // The sensor follows a new rate some frames later; a microsecond is the duration's rounding.
    uint32_t duration_us = camera->last_frame_duration_us;
    if (camera->frames_at_rate > HAL_CAMERA_BUFFERS_MAX && duration_us > 1e6 / rate + 1)
        rate = 1e6 / duration_us;
    return rate;
}

bool node_camera_set_framerate(struct node_camera *camera, uint64_t now_ns)
{
    double wanted = camera->config->framerate;
    if (camera->is_open) {
        if (node_controls_set(camera->ops, "AcquisitionFrameRate", &wanted))
            camera->got.framerate = wanted;
        else if (wanted > camera->got.framerate)
            return false; // slower is a matter of pacing, faster is not
    }
    camera->frames_at_rate = 0;
    pacer_restart(&camera->encode->pacer); // at the old rate the next may be due in a minute
    node_camera_apply_supervisor(camera);
    arm_timer(camera);
    node_camera_apply_trigger(camera, now_ns);
    node_encode_apply_rate(camera->encode);
    return true;
}

static int start_camera(struct node_camera *camera, uint64_t now_ns)
{
    int status = camera->ops->start();
    if (status < 0)
        return status;
    loop_fd_modify(camera->loop, camera->token, EPOLLIN);
    camera->is_first_frame = camera->encode->announces_restart = true;
    camera->frames_at_rate = 0;
    pacer_restart(&camera->encode->pacer);
    rate_reset_scene(&camera->encode->rate);
    node_camera_apply_supervisor(camera);
    status = node_camera_apply_trigger(camera, now_ns);
    if (status < 0)
        log_error("trigger settings do not fit this camera: %s", strerror(-status));
    trigger_camera_up(&camera->trigger->engine, now_ns);
    // Silence counts from now on, not from when the camera was asked to start.
    supervisor_started(&camera->supervisor, clock_now_ns());
    arm_timer(camera);
    return 0;
}

static void stop_camera(struct node_camera *camera, uint64_t now_ns)
{
    trigger_camera_down(&camera->trigger->engine, now_ns);
    node_encode_drop_all(camera->encode);
    camera->ops->stop();
}

void node_camera_close(struct node_camera *camera, uint64_t now_ns)
{
    if (!camera->is_open)
        return;
    stop_camera(camera, now_ns);
    loop_fd_remove(camera->loop, camera->token);
    camera->ops->close();
    camera->is_open = false;
    supervisor_closed(&camera->supervisor, clock_now_ns());
    arm_timer(camera);
}

static int configure_and_start(struct node_camera *camera, uint64_t now_ns)
{
    int status = configure_camera(camera);
    if (status == 0)
        status = start_camera(camera, now_ns);
    // What a camera's libraries took for its opening and gave back is the machine's again, not the
    // process's for the months to come.
    malloc_trim(0);
    return status;
}

static int open_camera(struct node_camera *camera, uint64_t now_ns)
{
    int status = camera->ops->open(camera->id);
    if (status < 0)
        return status;
    camera->is_open = true;
    camera->token = loop_fd_add(camera->loop, camera->ops->fd(), EPOLLIN, on_frames, camera);
    if (camera->token == 0)
        return -errno;
    return configure_and_start(camera, now_ns);
}

/** Waiting does not mend a wrong path or argument; a camera that is not there may yet come. */
static bool is_bad_setting(int status)
{
    return status == -EINVAL || status == -ENOENT || status == -ENOTDIR || status == -EACCES;
}

/** Opens the camera, or says once that it is not there. */
static void try_open(struct node_camera *camera, uint64_t now_ns)
{
    node_camera_close(camera, now_ns);
    int status = open_camera(camera, now_ns);
    if (status == 0) {
        camera->said_absent = false;
        snprintf(camera->model, sizeof camera->model, "%s", camera->ops->model());
        node_camera_introduce(camera);
        return;
    }
    char why[256];
    snprintf(why, sizeof why, "%s", camera->ops->last_error());
    if (why[0] == '\0')
        snprintf(why, sizeof why, "%s", strerror(-status));
    node_camera_close(camera, now_ns);
    supervisor_closed(&camera->supervisor, clock_now_ns()); // trying may have taken seconds
    if (is_bad_setting(status) && camera->metrics->frames_acquired == 0) {
        log_error("camera %s: %s", camera->config->camera, why);
        camera->exit = NODE_CAMERA_BAD_SETTING;
    }
    if (camera->said_absent)
        return;
    camera->said_absent = true;
    announce(camera, WIRE_CAMERA_ABSENT, why, now_ns);
}

/** One more try with the stream as it is configured. */
static void try_restart(struct node_camera *camera, uint64_t now_ns)
{
    camera->metrics->camera_restarts++;
    announce(camera, WIRE_CAMERA_STALLED, "no frame in time, restarting the stream", now_ns);
    supervisor_restarting(&camera->supervisor);
    stop_camera(camera, now_ns);
    if (start_camera(camera, now_ns) < 0) {
        log_warning("restart failed: %s", camera->ops->last_error());
        node_camera_close(camera, now_ns);
    }
}

bool node_camera_may_reconfigure(struct node_camera *camera, uint64_t now_ns)
{
    return !camera->is_open ||
           budget_has(&camera->reconfigurations, NODE_RECONFIGURATION_NS,
                      NODE_RECONFIGURATIONS_BURST * NODE_RECONFIGURATION_NS, now_ns);
}

int node_camera_reconfigure(struct node_camera *camera, uint64_t now_ns)
{
    if (!camera->is_open)
        return 0; // the new settings apply when it is opened
    camera->has_blocked = true;
    camera->metrics->camera_reconfigured++;
    budget_spend(&camera->reconfigurations, NODE_RECONFIGURATION_NS);
    stop_camera(camera, now_ns);
    int status = configure_and_start(camera, now_ns);
    if (status < 0)
        return status;
    char text[128];
    snprintf(text, sizeof text, "Width=%u Height=%u PixelFormat=%s", camera->got.width,
             camera->got.height, hal_pixel_format_name(camera->got.format));
    announce(camera, WIRE_CAMERA_RECONFIGURED, text, now_ns);
    return 0;
}

void node_camera_lose(struct node_camera *camera, uint64_t now_ns)
{
    announce(camera, WIRE_CAMERA_ABSENT, camera->ops->last_error(), now_ns);
    node_camera_close(camera, now_ns);
}

void node_camera_supervise(struct node_camera *camera, uint64_t now_ns)
{
    enum supervisor_action action = supervisor_next(&camera->supervisor, now_ns);
    camera->has_blocked |= action != SUPERVISOR_WAIT;
    switch (action) {
    case SUPERVISOR_WAIT: break;
    case SUPERVISOR_OPEN:
        if (camera->is_open) {
            camera->metrics->camera_reopens++;
            announce(camera, WIRE_CAMERA_STALLED, "restarts did not help, opening the camera again",
                     now_ns);
        }
        try_open(camera, now_ns);
        break;
    case SUPERVISOR_RESTART: try_restart(camera, now_ns); break;
    case SUPERVISOR_GIVE_UP:
        log_error("no frame for %u s, giving up", camera->config->give_up_s);
        camera->exit = NODE_CAMERA_GIVEN_UP;
        return;
    }
    arm_timer(camera);
}
