// SPDX-License-Identifier: MIT
// The heartbeat of a sensor that does not exist: frame periods on CLOCK_MONOTONIC and a descriptor
// that becomes readable with each. Period i (from 0) ends at start + (i + 1) x period, to the
// nanosecond. That is its frame's timestamp, however late pace_take() is called.
#ifndef PINHOLE_HAL_FAKE_PACE_H
#define PINHOLE_HAL_FAKE_PACE_H

#include "hal/base.h"

struct pace {
    int fd; /**< a timerfd; -1 = closed */
    bool is_running;
    uint64_t origin_ns; /**< end of the period before period `first` */
    uint64_t period_ns;
    uint64_t first; /**< periods before this one had another length */
    uint64_t next;  /**< the first period that was neither taken nor missed */
    bool was_taken; /**< by the last pace_take(), which has read the descriptor */
    uint64_t held_until_ns;
};

/** Makes the descriptor. 0 or -errno. */
int pace_open(struct pace *pace);
void pace_close(struct pace *pace);

/** Period 0 starts now. */
void pace_start(struct pace *pace, uint64_t now_ns, uint64_t period_ns);
void pace_stop(struct pace *pace);

/** The newest period that has ended and was not taken before: true with its number and time. Older
 * ones are lost, as on a sensor without a free buffer. */
bool pace_take(struct pace *pace, uint64_t now_ns, uint64_t *period, uint64_t *timestamp_ns);

/** Changes the period from the next one on; numbers and times go on. */
void pace_set_period(struct pace *pace, uint64_t now_ns, uint64_t period_ns);

/** Nothing is ready before `until_ns`, though periods go on passing; NS_NEVER: until pace_start().
 */
void pace_hold(struct pace *pace, uint64_t until_ns);

#endif
