// SPDX-License-Identifier: MIT
// The clocks of the node. Only the loop and backends read them; everything else is given `now_ns`.
#ifndef PINHOLE_HAL_OS_CLOCK_H
#define PINHOLE_HAL_OS_CLOCK_H

#include "hal/base.h"

/** CLOCK_MONOTONIC in nanoseconds: the time base of frames, edges, timers and deadlines. Any
 * thread. */
uint64_t clock_now_ns(void);

/** `now_ns`, or the time read again when `timestamp_ns` lies after it. A process that is stopped in
 * a turn of the loop goes on with the time of that turn, and what it reads then is younger. */
static inline uint64_t clock_not_before(uint64_t now_ns, uint64_t timestamp_ns)
{
    return timestamp_ns > now_ns ? clock_now_ns() : now_ns;
}

/** CLOCK_REALTIME in nanoseconds since 1970-01-01 UTC. Any thread. */
uint64_t clock_realtime_ns(void);

/** CLOCK_REALTIME at a CLOCK_MONOTONIC moment, by the offset of the two clocks now. Any thread. */
static inline uint64_t clock_realtime_at(uint64_t monotonic_ns)
{
    return clock_realtime_ns() - clock_now_ns() + monotonic_ns;
}

/** CLOCK_BOOTTIME in nanoseconds: as CLOCK_MONOTONIC, but it goes on while the machine sleeps.
 * Nobody can set it. Any thread. */
uint64_t clock_boottime_ns(void);

/** CPU time of the calling thread in nanoseconds (CLOCK_THREAD_CPUTIME_ID). */
uint64_t clock_thread_cpu_ns(void);

/** 1 when the kernel says that CLOCK_REALTIME is disciplined by NTP or PTP (adjtimex(2) without
 * STA_UNSYNC), 0 when it is not. -errno when the kernel does not answer: a sandbox may deny the
 * question. Costs a system call: ask once a second, not once a frame. */
int clock_sync_state(void);
/** True when the kernel says so; false also when it does not answer. */
bool clock_is_synchronized(void);

#endif
