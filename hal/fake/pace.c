// SPDX-License-Identifier: MIT
#include "hal/fake/pace.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static struct timespec to_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

static uint64_t end_of(const struct pace *pace, uint64_t period)
{
    return pace->origin_ns + (period - pace->first + 1) * pace->period_ns;
}

/** The number of periods, of any length, that have ended. */
static uint64_t ended(const struct pace *pace, uint64_t now_ns)
{
    if (now_ns < pace->origin_ns)
        return pace->first;
    return pace->first + (now_ns - pace->origin_ns) / pace->period_ns;
}

static void arm(struct pace *pace)
{
    uint64_t at = end_of(pace, pace->next);
    if (at < pace->held_until_ns && pace->held_until_ns != NS_NEVER)
        at += (pace->held_until_ns - at + pace->period_ns - 1) / pace->period_ns * pace->period_ns;
    struct itimerspec timer = {.it_value = to_timespec(at),
                               .it_interval = to_timespec(pace->period_ns)};
    if (!pace->is_running || pace->held_until_ns == NS_NEVER)
        timer = (struct itimerspec){0};
    timerfd_settime(pace->fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

int pace_open(struct pace *pace)
{
    *pace = (struct pace){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    return pace->fd < 0 ? -errno : 0;
}

void pace_close(struct pace *pace)
{
    if (pace->fd >= 0)
        close(pace->fd);
    *pace = (struct pace){.fd = -1};
}

void pace_start(struct pace *pace, uint64_t now_ns, uint64_t period_ns)
{
    *pace = (struct pace){
        .fd = pace->fd, .is_running = true, .origin_ns = now_ns, .period_ns = period_ns};
    arm(pace);
}

void pace_stop(struct pace *pace)
{
    if (!pace->is_running)
        return;
    pace->is_running = false;
    arm(pace);
}

bool pace_take(struct pace *pace, uint64_t now_ns, uint64_t *period, uint64_t *timestamp_ns)
{
    uint64_t expirations, count = pace->is_running ? ended(pace, now_ns) : 0;
    bool is_due = count > pace->next && now_ns >= pace->held_until_ns;
    // The clock decides; the read only ends the readiness, once for the period that was taken.
    if (is_due || !pace->was_taken) {
        ssize_t ignored = read(pace->fd, &expirations, sizeof expirations);
        (void)ignored;
    }
    pace->was_taken = is_due;
    if (!is_due)
        return false;
    *period = count - 1;
    *timestamp_ns = end_of(pace, *period);
    pace->next = count;
    return true;
}

void pace_set_period(struct pace *pace, uint64_t now_ns, uint64_t period_ns)
{
    if (!pace->is_running)
        return;
    // A period that has ended but was not taken would get another time from the new origin. Count
    // it as missed.
    uint64_t count = base_max_u64(ended(pace, now_ns), pace->next);
    pace->origin_ns = count > pace->first ? end_of(pace, count - 1) : pace->origin_ns;
    pace->first = pace->next = count;
    pace->period_ns = period_ns;
    arm(pace);
}

void pace_hold(struct pace *pace, uint64_t until_ns)
{
    pace->held_until_ns = until_ns;
    arm(pace);
}
