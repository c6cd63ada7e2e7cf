// SPDX-License-Identifier: MIT
// Sensor ticks for a camera that has no clock of its own and fills a buffer whenever it gets one
// (libcamera's virtual pipeline). Each tick starts one frame. A tick while every buffer is borrowed
// is a lost frame and leaves a gap in the numbers, as on a sensor.
//
// Late ticks are given out later, oldest first. Beyond FRAME_TICKS_PENDING_MAX they are not
// counted: on a busy machine such a camera makes fewer frames, but loses none.
#ifndef PINHOLE_HAL_LIBCAMERA_FRAME_TICKS_H
#define PINHOLE_HAL_LIBCAMERA_FRAME_TICKS_H

#include "hal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Ticks that wait at most; more are not counted at all. */
#define FRAME_TICKS_PENDING_MAX 8

struct frame_ticks {
    int fd; /**< a timerfd, readable at each tick; -1 = closed */
    uint64_t period_ns;
    uint64_t pending; /**< ticks that passed and were not taken yet */
    uint32_t next;    /**< number of the oldest pending tick; from 0 at each start, wraps */
};

/** 0 or -errno. */
int frame_ticks_open(struct frame_ticks *ticks);
void frame_ticks_close(struct frame_ticks *ticks);

/** Starts numbering at 0, the first tick one period from now. 0 or -errno. */
int frame_ticks_start(struct frame_ticks *ticks, uint64_t period_ns);
void frame_ticks_stop(struct frame_ticks *ticks);

/** Another rate from the next tick on; the numbers go on. 0 or -errno. */
int frame_ticks_set_period(struct frame_ticks *ticks, uint64_t period_ns);

/** Counts the ticks since the last call. One system call. */
void frame_ticks_look(struct frame_ticks *ticks);

/** Takes the oldest pending tick: true and its number. */
bool frame_ticks_take(struct frame_ticks *ticks, uint32_t *number);

/** Whatever is pending is lost. */
void frame_ticks_drop(struct frame_ticks *ticks);

#ifdef __cplusplus
}
#endif

#endif
