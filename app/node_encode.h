// SPDX-License-Identifier: MIT
// From a frame of the camera to a published record: the queue, the encoder's job, the frames held
// for a trigger. app/node_frame.c fills the queue, app/node_encode.c empties it.
#ifndef PINHOLE_APP_NODE_ENCODE_H
#define PINHOLE_APP_NODE_ENCODE_H

#include "app/event_log.h"
#include "app/frame_queue.h"
#include "app/jpeg/jpeg.h"
#include "app/metrics.h"
#include "app/node_trigger.h"
#include "app/pacer.h"
#include "app/pretrigger.h"
#include "app/rate.h"

/** The loop looks for news at least this often while a picture is being encoded. A machine on which
 * a slice takes longer does so after each slice. */
#define NODE_ENCODE_TURN_NS (490 * NS_PER_US)

/** The picture that is being encoded. */
struct node_job {
    bool is_active;
    struct queued_frame source;
    struct store_record *record;
    uint64_t started_ns;
    uint8_t encodes;
};

struct node_encode {
    struct pacer pacer;
    struct frame_queue queue;
    struct node_job job;
    struct pretrigger pretrigger;
    struct rate rate;
    struct jpeg_encoder encoder;
    bool announces_restart; /**< the next published frame is the first since the stream started */

    const struct config *config;
    const struct hal_camera_ops *camera;
    const struct hal_camera_config *got; /**< the camera's settings in force */
    const uint32_t *clock_flags;         /**< WIRE_FRAME_CLOCK_SYNCHRONIZED, or 0 */
    struct store *store;
    const struct event_log *log;
    struct node_trigger *trigger;
    struct metrics *metrics;
};

/** Takes rate control's settings from the configuration. */
void node_encode_apply_rate(struct node_encode *encode);
/** Encodes until a picture is complete, or until one more slice as long as the last would end later
 * than NODE_ENCODE_TURN_NS after `now_ns`, the beginning of the turn. One slice at least. Begins
 * the next waiting frame when idle. */
void node_encode_turn(struct node_encode *encode, uint64_t now_ns);
/** Whether that would do something. */
static inline bool node_encode_has_work(const struct node_encode *encode)
{
    return encode->job.is_active || encode->queue.count > 0;
}
/** Aborts the frames that are held for a trigger. */
void node_encode_drop_held(struct node_encode *encode);
/** Counts a frame that the encoder cannot take, and releases it. A trigger that it answers fails.
 */
void node_encode_refuse(struct node_encode *encode, const struct queued_frame *source);
/** The stream ends: refuses all frames that wait or are being encoded, and drops held ones. */
void node_encode_drop_all(struct node_encode *encode);

/** Takes one frame from the camera: checks it, decides, queues or releases it (app/node_frame.c).
 */
void node_frame_take(struct node_encode *encode, const struct hal_frame *frame, uint64_t now_ns);

#endif
