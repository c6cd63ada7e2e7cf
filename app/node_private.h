// SPDX-License-Identifier: MIT
// The node's state and what its files share. Included by app/node*.c and app/features.c only.
#ifndef PINHOLE_APP_NODE_PRIVATE_H
#define PINHOLE_APP_NODE_PRIVATE_H

#include "app/config/config.h"
#include "app/jpeg/jpeg.h"
#include "app/metrics.h"
#include "app/rate.h"
#include "app/serial.h"
#include "app/supervisor.h"
#include "app/trigger/strobe_line.h"
#include "app/trigger/trigger.h"
#include "app/trigger/trigger_line.h"
#include "hal/camera.h"
#include "hal/os/loop.h"
#include "net/server/server.h"
#include "net/server/store.h"

#define NODE_EXIT_START_FAILED  1
#define NODE_EXIT_CAMERA_FAILED 3

/** A frame of the camera that is to be encoded, and why. */
struct node_frame {
    struct hal_frame frame;
    struct trigger_decision decision;
    uint64_t acquired_ns;
};

/** The picture that is being encoded. */
struct node_job {
    bool is_active;
    struct node_frame source;
    struct store_record *record;
    uint64_t started_ns;
    uint8_t encodes;
};

/** An encoded frame kept back for a trigger that may come. */
struct node_held {
    struct store_record *record;
    struct wire_frame fields;
    uint32_t jpeg_bytes;
};

/** Features of the camera that clients have set. */
struct node_controls {
    struct {
        char name[48];
        double value;
    } item[HAL_CAMERA_FEATURES_MAX];
    unsigned count;
};

/** All features of the camera at one moment. */
struct node_snapshot {
    struct node_controls controls;
    double value[HAL_CAMERA_FEATURES_MAX];
    bool is_known[HAL_CAMERA_FEATURES_MAX];
    unsigned count;
};

struct node {
    struct config config; /**< live: features change it */
    struct loop loop;
    struct store store;
    struct server server;
    struct rate rate;
    struct jpeg_encoder encoder;
    struct trigger trigger;
    struct trigger_line line;
    struct strobe_line strobe;
    struct metrics metrics;
    uint64_t boot_id;
    uint64_t started_ns;
    int exit_status; /**< -1 while running */
    uint64_t drain_until_ns;
    int signal_fd;

    const struct hal_camera_ops *camera;
    const char *camera_id;
    char camera_model[64];
    const char *serial;                /**< the configured camera's id, or serial_storage */
    char serial_storage[SERIAL_BYTES]; /**< of the machine */
    struct hal_camera_config got;
    struct node_controls controls;
    struct supervisor supervisor;
    loop_token camera_token;
    int camera_timer, trigger_timer, second_timer, watchdog_timer;
    uint64_t watchdog_ns;
    enum wire_camera_state camera_state;
    bool is_camera_open, said_absent;
    bool is_first_frame;   /**< none was acquired since the stream started */
    bool announce_restart; /**< the next published frame is the first since then */
    uint32_t last_sensor_sequence;
    uint32_t last_frame_duration_us;
    unsigned frames_at_rate; /**< acquired since the rate was last set */
    uint64_t pace_due_ns;

    struct node_frame waiting[HAL_CAMERA_BUFFERS_MAX];
    unsigned waiting_count;
    struct node_job job;
    struct node_held held[CONFIG_PRETRIGGER_LIMIT];
    unsigned held_count;
    unsigned waiting_used_max, held_used_max, triggers_used_max; /**< as turns found them */

    bool is_turn_blocked; /**< a camera call that may block was made: no turn to measure */
    uint64_t turn_worst_ns, turn_worst_cpu_ns;
    uint64_t cpu_ns; /**< thread CPU time at the end of the last turn */
};

// node.c
/** Publishes an event and logs its sentence. */
void node_publish_event(struct node *node, struct wire_event *event, const char *text,
                        uint64_t now_ns);
/** CLOCK_REALTIME at a CLOCK_MONOTONIC moment. */
uint64_t node_realtime_at(uint64_t monotonic_ns);

// node_camera.c
/** Carries out what the supervisor wants, and arms its timer. */
void node_camera_supervise(struct node *node, uint64_t now_ns);
/** Stops, configures and starts the camera with the live settings. Sequences and subscribers stay.
 * When the camera refuses, `why` gets the sentence, and the settings are `fallback` again.
 * 0 or negative errno. */
int node_camera_reconfigure(struct node *node, const struct config *fallback, char *why,
                            size_t size, uint64_t now_ns);
/** Brings the camera's rate in line with the live configuration without a restart; false when that
 * takes one. */
bool node_camera_set_framerate(struct node *node, uint64_t now_ns);
/** The frame rate in force, frames/s: what is wished for, or less where the camera has said so, by
 * its configuration or the duration of its frames. */
double node_camera_framerate(const struct node *node);
void node_camera_close(struct node *node, uint64_t now_ns);
/** Brings what new connections are told of this node up to date. */
void node_camera_introduce(struct node *node);
/** Takes the engine's, rate control's and supervisor's settings from the live configuration. */
int node_apply_trigger(struct node *node, uint64_t now_ns);
void node_apply_rate(struct node *node);
void node_apply_supervisor(struct node *node);

// node_controls.c
/** The open camera's control of that name and its index, or NULL when no camera is open or this one
 * lacks it. */
const struct hal_feature *node_controls_find(const struct node *node, const char *name,
                                             unsigned *index);
/** Remembers what a client has set, for when the camera is opened anew. */
void node_controls_note(struct node *node, const char *name, double value);
/** Sets the camera's features as clients have set them. */
void node_controls_apply(struct node *node);
/** Notes all features, and sets them back as they were. */
void node_controls_save(const struct node *node, struct node_snapshot *snapshot);
void node_controls_restore(struct node *node, const struct node_snapshot *snapshot);

// node_frame.c
/** Takes all frames that the camera has: decides, queues, drops. */
void node_take_frames(struct node *node, uint64_t now_ns);
/** Gives all frames back that are waiting or being encoded, and forgets held ones. */
void node_drop_frames(struct node *node);
/** Turns the engine's outcomes into events and counters. */
void node_report_outcomes(struct node *node, uint64_t now_ns);

// node_encode.c
/** One slice of encoding; begins the next waiting frame when idle. */
void node_encode_slice(struct node *node, uint64_t now_ns);
/** Abandons the picture under way without giving its camera frame back. */
void node_encode_abort(struct node *node);
void node_drop_held(struct node *node);
static inline bool node_has_work(const struct node *node)
{
    return node->job.is_active || node->waiting_count > 0;
}

// node_request.c
/** Why a software trigger is impossible once this configuration is in force, or NULL. */
const char *node_why_no_trigger(struct node *node, const struct config *config);
/** The server's request callback; `user` is the node. */
int node_request(void *user, uint8_t type, char *text, size_t bytes, char *reply, size_t reply_size,
                 uint64_t now_ns);
/** Brings the metrics that other modules count up to date. */
void node_collect_metrics(struct node *node, uint64_t now_ns);

#endif
