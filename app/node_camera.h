// SPDX-License-Identifier: MIT
// The camera's life as the node drives it: open, configure, start, recover, and its frames on their
// way to the encoder.
#ifndef PINHOLE_APP_NODE_CAMERA_H
#define PINHOLE_APP_NODE_CAMERA_H

#include "app/node_controls.h"
#include "app/node_encode.h"
#include "app/supervisor.h"
#include "hal/os/loop.h"
#include "net/server/budget.h"
#include "net/server/server.h"

/** Clients together may have the camera reconfigured this many times at once, then once in this
 * time. A libcamera camera needs up to half a second for it. */
#define NODE_RECONFIGURATIONS_BURST 4
#define NODE_RECONFIGURATION_NS     (1 * NS_PER_S)

enum node_camera_exit {
    NODE_CAMERA_GOES_ON,
    NODE_CAMERA_BAD_SETTING, /**< no waiting mends the camera's path or argument */
    NODE_CAMERA_GIVEN_UP,    /**< no frame for camera.give_up_s */
};

struct node_camera {
    const struct hal_camera_ops *ops;
    const char *id; /**< what ops->open() takes */
    char model[64];
    const char *serial; /**< DeviceSerialNumber */
    struct hal_camera_config got;
    struct node_controls controls;
    struct supervisor supervisor;
    enum wire_camera_state state;
    enum node_camera_exit exit;
    loop_token token;
    int timer;
    bool is_open, said_absent;
    bool has_blocked;               /**< a call that may block was made; the loop resets it */
    bool is_first_frame;            /**< none was acquired since the stream started */
    struct budget reconfigurations; /**< of all clients together: each costs frames */
    unsigned frames_at_rate;        /**< acquired since the rate was last set */
    uint32_t last_sensor_sequence, last_frame_duration_us;

    struct config *config; /**< live: the camera's size and format are written back */
    struct loop *loop;
    struct server *server; /**< of it, only what new connections are told */
    const struct event_log *log;
    struct node_trigger *trigger;
    struct node_encode *encode;
    struct metrics *metrics;
};

/** Carries out what the supervisor wants, and arms its timer. */
void node_camera_supervise(struct node_camera *camera, uint64_t now_ns);
void node_camera_close(struct node_camera *camera, uint64_t now_ns);
/** Brings what new connections are told of this node up to date. */
void node_camera_introduce(struct node_camera *camera);

/** Whether clients may have the camera reconfigured now, see NODE_RECONFIGURATIONS_BURST. */
bool node_camera_may_reconfigure(struct node_camera *camera, uint64_t now_ns);
/** Stops, configures and starts an open camera with the live settings. Sequences and subscribers
 * stay. 0; or a negative errno, with the sentence in ops->last_error(), and the camera is stopped:
 * set the settings back and call again. */
int node_camera_reconfigure(struct node_camera *camera, uint64_t now_ns);
/** Closes a camera that node_camera_reconfigure() could not start with its old settings either. */
void node_camera_lose(struct node_camera *camera, uint64_t now_ns);
/** Brings the camera's rate in line with the live configuration without a restart. False when that
 * takes one. */
bool node_camera_set_framerate(struct node_camera *camera, uint64_t now_ns);
/** The frame rate in force, frames/s: the wish, or less where the camera has said so, by its
 * configuration or by the duration of its frames. */
double node_camera_framerate(const struct node_camera *camera);
/** The time from frame to frame, at least the exposure that is configured. */
uint64_t node_camera_period_ns(const struct node_camera *camera);
/** Takes the trigger's settings, and the supervisor's, from the live configuration. */
int node_camera_apply_trigger(struct node_camera *camera, uint64_t now_ns);
void node_camera_apply_supervisor(struct node_camera *camera);
/** The operations of the open camera, or NULL. */
static inline const struct hal_camera_ops *node_camera_ops(const struct node_camera *camera)
{
    return camera->is_open ? camera->ops : NULL;
}

#endif
