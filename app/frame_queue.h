// SPDX-License-Identifier: MIT
// The queue between camera and encoder. Pure: it decides which frame waits and which one is given
// up; the caller releases what is given up.
//
// A free-running frame never queues up: the newest replaces the one that waits. A frame that
// answers a trigger displaces one that does not. The sensor keeps FRAME_QUEUE_SENSOR_KEEPS buffers,
// because with fewer its next frame is an old one.
#ifndef PINHOLE_APP_FRAME_QUEUE_H
#define PINHOLE_APP_FRAME_QUEUE_H

#include "app/trigger/trigger.h"
#include "hal/camera.h"

#define FRAME_QUEUE_SENSOR_KEEPS 2u

/** A frame of the camera that is to be encoded, and why. The frame is borrowed from the camera. */
struct queued_frame {
    struct hal_frame frame;
    struct trigger_decision decision;
    uint64_t acquired_ns;
};

/** All zero is an empty queue. */
struct frame_queue {
    struct queued_frame waiting[HAL_CAMERA_BUFFERS_MAX]; /**< oldest first */
    unsigned count, used_max;
};

/** Offers a frame. `buffers` is how many the camera has, `is_encoding` whether the encoder holds
 * one of them. True when a frame was given up for it: *lost is that frame, which may be `offered`
 * itself. */
bool frame_queue_offer(struct frame_queue *queue, const struct queued_frame *offered,
                       unsigned buffers, bool is_encoding, struct queued_frame *lost);
/** Takes the oldest frame. False when none waits. */
bool frame_queue_take(struct frame_queue *queue, struct queued_frame *out);

#endif
