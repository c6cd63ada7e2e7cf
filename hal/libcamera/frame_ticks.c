// SPDX-License-Identifier: MIT
#include "hal/libcamera/frame_ticks.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int arm(const struct frame_ticks *ticks)
{
    struct timespec period = {.tv_sec = (time_t)(ticks->period_ns / NS_PER_S),
                              .tv_nsec = (long)(ticks->period_ns % NS_PER_S)};
    struct itimerspec timer = {.it_interval = period, .it_value = period};
    return timerfd_settime(ticks->fd, 0, &timer, NULL) < 0 ? -errno : 0;
}

int frame_ticks_open(struct frame_ticks *ticks)
{
    *ticks =
        (struct frame_ticks){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    return ticks->fd < 0 ? -errno : 0;
}

void frame_ticks_close(struct frame_ticks *ticks)
{
    if (ticks->fd >= 0)
        close(ticks->fd);
    *ticks = (struct frame_ticks){.fd = -1};
}

int frame_ticks_start(struct frame_ticks *ticks, uint64_t period_ns)
{
    ticks->next = 0;
    ticks->pending = 0;
    return frame_ticks_set_period(ticks, period_ns);
}

void frame_ticks_stop(struct frame_ticks *ticks)
{
    ticks->period_ns = 0; // arms with zero, which disarms
    if (ticks->fd >= 0)
        (void)arm(ticks);
    ticks->pending = 0;
}

int frame_ticks_set_period(struct frame_ticks *ticks, uint64_t period_ns)
{
    ticks->period_ns = period_ns;
    return arm(ticks);
}

void frame_ticks_look(struct frame_ticks *ticks)
{
    uint64_t passed;
    if (read(ticks->fd, &passed, sizeof passed) == (ssize_t)sizeof passed)
        ticks->pending += passed;
    if (ticks->pending > FRAME_TICKS_PENDING_MAX)
        ticks->pending = FRAME_TICKS_PENDING_MAX;
}

bool frame_ticks_take(struct frame_ticks *ticks, uint32_t *number)
{
    if (ticks->pending == 0)
        return false;
    ticks->pending--;
    *number = ticks->next++;
    return true;
}

void frame_ticks_drop(struct frame_ticks *ticks)
{
    ticks->next += (uint32_t)ticks->pending;
    ticks->pending = 0;
}
