// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "hal/os/loop.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "hal/os/clock.h"

int loop_init(struct loop *loop)
{
    memset(loop, 0, sizeof *loop);
    for (unsigned i = 0; i < LOOP_FDS_MAX; i++) {
        loop->fds[i].fd = -1;
        loop->fds[i].generation = 1; // so that no token is ever 0
    }
    for (unsigned i = 0; i < LOOP_TIMERS_MAX; i++)
        loop->timers[i].deadline_ns = NS_NEVER;
    loop->earliest_ns = NS_NEVER;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_close(struct loop *loop)
{
    close(loop->epoll_fd);
    loop->epoll_fd = -1;
}

static loop_token token_of(const struct loop *loop, unsigned slot)
{
    return (uint64_t)loop->fds[slot].generation << 32 | slot;
}

static struct loop_fd_slot *find_slot(struct loop *loop, loop_token token)
{
    uint32_t slot = (uint32_t)token;
    if (slot >= LOOP_FDS_MAX || loop->fds[slot].fd < 0 ||
        loop->fds[slot].generation != (uint32_t)(token >> 32))
        return NULL;
    return &loop->fds[slot];
}

loop_token loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *user)
{
    unsigned slot = 0;
    while (slot < LOOP_FDS_MAX && loop->fds[slot].fd >= 0)
        slot++;
    if (slot == LOOP_FDS_MAX) {
        errno = ENOSPC;
        return 0;
    }
    struct epoll_event event = {.events = events, .data.u64 = token_of(loop, slot)};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return 0;
    struct loop_fd_slot *s = &loop->fds[slot];
    s->fd = fd;
    s->events = events;
    s->fn = fn;
    s->user = user;
    if (slot + 1 > loop->fds_used_max)
        loop->fds_used_max = slot + 1;
    return event.data.u64;
}

void loop_fd_modify(struct loop *loop, loop_token token, uint32_t events)
{
    struct loop_fd_slot *s = find_slot(loop, token);
    if (s == NULL || s->events == events)
        return;
    struct epoll_event event = {.events = events, .data.u64 = token};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &event) == 0)
        s->events = events;
}

void loop_fd_remove(struct loop *loop, loop_token token)
{
    struct loop_fd_slot *s = find_slot(loop, token);
    if (s == NULL)
        return;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    s->fd = -1;
    s->generation = s->generation == UINT32_MAX ? 1 : s->generation + 1;
}

int loop_timer_add(struct loop *loop, loop_timer_fn *fn, void *user)
{
    for (unsigned i = 0; i < LOOP_TIMERS_MAX; i++) {
        if (loop->timers[i].fn != NULL)
            continue;
        loop->timers[i].fn = fn;
        loop->timers[i].user = user;
        if (i + 1 > loop->timers_used_max)
            loop->timers_used_max = i + 1;
        return (int)i;
    }
    return -ENOSPC;
}

void loop_timer_set(struct loop *loop, int timer, uint64_t deadline_ns)
{
    loop->timers[timer].deadline_ns = deadline_ns;
    // A disarmed timer may leave earliest_ns too early: that costs one empty turn, never a late
    // one.
    loop->earliest_ns = base_min_u64(loop->earliest_ns, deadline_ns);
}

static int wait_events(struct loop *loop, struct epoll_event *events, bool is_busy)
{
    struct timespec timeout = {0, 0};
    struct timespec *wait = &timeout;
    if (!is_busy && loop->earliest_ns == NS_NEVER) {
        wait = NULL;
    } else if (!is_busy) {
        uint64_t now_ns = clock_now_ns();
        uint64_t left_ns = loop->earliest_ns > now_ns ? loop->earliest_ns - now_ns : 0;
        timeout.tv_sec = (time_t)(left_ns / NS_PER_S);
        timeout.tv_nsec = (long)(left_ns % NS_PER_S);
    }
    loop->wait_calls++;
    int count =
        loop->is_coarse ? -1 : epoll_pwait2(loop->epoll_fd, events, LOOP_EVENTS_MAX, wait, NULL);
    if (count >= 0 || (!loop->is_coarse && errno != ENOSYS))
        return count;
    // Linux before 5.11, and valgrind: whole milliseconds, rounded up so that no turn comes early.
    loop->is_coarse = true;
    int wait_ms = -1;
    if (wait != NULL)
        wait_ms = (int)base_min_u64((uint64_t)timeout.tv_sec * 1000 +
                                        ((uint64_t)timeout.tv_nsec + NS_PER_MS - 1) / NS_PER_MS,
                                    INT_MAX);
    return epoll_wait(loop->epoll_fd, events, LOOP_EVENTS_MAX, wait_ms);
}

static void run_timers(struct loop *loop, uint64_t now_ns)
{
    if (now_ns < loop->earliest_ns)
        return;
    loop->earliest_ns = NS_NEVER;
    for (unsigned i = 0; i < loop->timers_used_max; i++) {
        struct loop_timer_slot *t = &loop->timers[i];
        if (t->deadline_ns <= now_ns) {
            t->deadline_ns = NS_NEVER;
            t->fn(t->user, now_ns);
        }
    }
    for (unsigned i = 0; i < loop->timers_used_max; i++)
        loop->earliest_ns = base_min_u64(loop->earliest_ns, loop->timers[i].deadline_ns);
}

static void run_descriptors(struct loop *loop, const struct epoll_event *events, int count,
                            uint64_t now_ns)
{
    for (int i = 0; i < count; i++) {
        struct loop_fd_slot *s = find_slot(loop, events[i].data.u64);
        if (s != NULL)
            s->fn(s->user, events[i].events, now_ns);
    }
}

/** Descriptors that became ready since the wait. One that had its turn waits for the next: under a
 * storm of edges it would take twice its share. The time that they were given. */
static uint64_t run_late_descriptors(struct loop *loop, const struct epoll_event *had,
                                     int had_count)
{
    struct epoll_event events[LOOP_EVENTS_MAX];
    int count = wait_events(loop, events, true);
    uint64_t now_ns = clock_now_ns();
    for (int i = 0; i < count; i++) {
        int k = 0;
        while (k < had_count && had[k].data.u64 != events[i].data.u64)
            k++;
        if (k >= had_count)
            run_descriptors(loop, &events[i], 1, now_ns);
    }
    return now_ns;
}

uint64_t loop_turn(struct loop *loop, bool is_busy)
{
    struct epoll_event events[LOOP_EVENTS_MAX];
    int count = wait_events(loop, events, is_busy);
    uint64_t now_ns = clock_now_ns();
    run_descriptors(loop, events, count, now_ns);
    // Descriptors go before timers. A process may have been stopped since the wait, for longer than
    // any timer, and the signal that says so is there now.
    if (now_ns >= loop->earliest_ns)
        now_ns = run_late_descriptors(loop, events, count);
    run_timers(loop, now_ns);
    return now_ns;
}
