// SPDX-License-Identifier: MIT
// The event loop: one thread, one epoll set, static slots for descriptors and timers.
//
// A token names a slot and its generation. Removing a descriptor increments the generation. An
// event that the kernel had already queued for it then has no effect, even when slot or descriptor
// number were reused in the same turn. Token 0 is never valid.
#ifndef PINHOLE_HAL_OS_LOOP_H
#define PINHOLE_HAL_OS_LOOP_H

#include "hal/base.h"

#ifndef LOOP_FDS_MAX
#define LOOP_FDS_MAX 64
#endif
#ifndef LOOP_TIMERS_MAX
#define LOOP_TIMERS_MAX 64
#endif
#define LOOP_EVENTS_MAX 32 /**< events taken from the kernel per turn */

/** A watched descriptor: slot and generation. 0 is none. */
typedef uint64_t loop_token;

/** `events` are EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll_wait(2) gives them. */
typedef void loop_fd_fn(void *user, uint32_t events, uint64_t now_ns);
typedef void loop_timer_fn(void *user, uint64_t now_ns);

struct loop_fd_slot {
    int fd; /**< -1 = free */
    uint32_t generation;
    uint32_t events;
    loop_fd_fn *fn;
    void *user;
};

struct loop_timer_slot {
    uint64_t deadline_ns; /**< NS_NEVER = not armed */
    loop_timer_fn *fn;    /**< NULL = free */
    void *user;
};

struct loop {
    int epoll_fd;
    struct loop_fd_slot fds[LOOP_FDS_MAX];
    struct loop_timer_slot timers[LOOP_TIMERS_MAX];
    uint64_t earliest_ns;  /**< no armed timer is due before this */
    unsigned fds_used_max; /**< high-water marks */
    unsigned timers_used_max;
    uint64_t wait_calls;
    bool is_coarse; /**< the kernel lacks epoll_pwait2(2): timers are up to a millisecond late */
};

/** Prepares an empty loop in caller-owned storage. 0 or -errno. */
int loop_init(struct loop *loop);
void loop_close(struct loop *loop);

/** Watches `fd` for `events`. Returns a token, or 0 when no slot is free or epoll refuses (errno).
 * The loop never closes `fd`. */
loop_token loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *user);
/** Changes what is watched; no system call when nothing changes. A stale token is ignored. */
void loop_fd_modify(struct loop *loop, loop_token token, uint32_t events);
/** Stops watching. Call before close(2). A stale token or 0 is ignored. */
void loop_fd_remove(struct loop *loop, loop_token token);

/** Reserves a timer, not armed. Returns its handle >= 0 or -ENOSPC. Timers live until loop_close().
 */
int loop_timer_add(struct loop *loop, loop_timer_fn *fn, void *user);
/** Arms (or re-arms) for an absolute CLOCK_MONOTONIC time; NS_NEVER disarms. Fires once. */
void loop_timer_set(struct loop *loop, int timer, uint64_t deadline_ns);

/** One turn: waits (not at all when `busy`, else until a timer is due), reads the clock, dispatches
 * descriptors, then due timers. Before timers it looks for descriptors once more, and reads the
 * clock again. Returns the time it read last. */
uint64_t loop_turn(struct loop *loop, bool is_busy);

#endif
