// SPDX-License-Identifier: MIT
#include "hal/os/clock.h"

#include <errno.h>
#include <sys/timex.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

uint64_t clock_boottime_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

uint64_t clock_thread_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

int clock_sync_state(void)
{
    struct timex query = {.modes = 0};
    int state = adjtimex(&query);
    if (state < 0)
        return -errno;
    return state != TIME_ERROR && !(query.status & STA_UNSYNC);
}

bool clock_is_synchronized(void)
{
    return clock_sync_state() > 0;
}
