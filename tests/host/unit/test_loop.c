// SPDX-License-Identifier: MIT
// The event loop: descriptors, timers, and events that have become stale.
#include "hal/os/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/host/support/virtual_clock.h"

static struct loop loop;

struct seen {
    unsigned count;
    uint32_t events;
    uint64_t now_ns;
    loop_token remove;  /**< what the callback removes */
    int close_fd;       /**< what it closes, 0 = nothing */
    bool has_successor; /**< it watches a new descriptor that takes the old one's place */
    struct seen *added;
    loop_token token; /**< of the one added */
};

static void on_fd(void *user, uint32_t events, uint64_t now_ns);

static int ready_fd(void)
{
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void on_fd(void *user, uint32_t events, uint64_t now_ns)
{
    struct seen *seen = user;
    seen->count++;
    seen->events = events;
    seen->now_ns = now_ns;
    loop_fd_remove(&loop, seen->remove);
    seen->remove = 0;
    if (seen->close_fd > 0)
        close(seen->close_fd);
    if (seen->has_successor) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); // not ready
        assert_int_equal(fd, seen->close_fd);
        seen->token = loop_fd_add(&loop, fd, EPOLLIN, on_fd, seen->added);
        assert_int_not_equal(seen->token, 0);
        seen->has_successor = false;
    }
    seen->close_fd = 0;
}

static int open_loop(void **state)
{
    (void)state;
    return loop_init(&loop);
}

static int close_loop(void **state)
{
    (void)state;
    loop_close(&loop);
    return 0;
}

static void test_readiness_reaches_its_callback(void **state)
{
    (void)state;
    struct seen seen = {0};
    int fd = ready_fd();
    loop_token token = loop_fd_add(&loop, fd, EPOLLIN, on_fd, &seen);
    assert_int_not_equal(token, 0);
    assert_int_equal(loop_turn(&loop, true), virtual_now_ns);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.events, EPOLLIN);
    assert_int_equal(seen.now_ns, virtual_now_ns);
    loop_fd_modify(&loop, token, 0);
    loop_turn(&loop, true);
    assert_int_equal(seen.count, 1);
    loop_fd_modify(&loop, token, EPOLLIN | EPOLLOUT);
    loop_turn(&loop, true);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.events, EPOLLIN | EPOLLOUT);
    loop_fd_remove(&loop, token);
    loop_turn(&loop, true);
    assert_int_equal(seen.count, 2);
    close(fd);
}

/** Whichever of two ready ones runs first takes the other away: that one must not run any more. */
static void test_removed_in_the_same_turn_is_inert(void **state)
{
    (void)state;
    struct seen a = {0}, b = {0};
    int fd_a = ready_fd(), fd_b = ready_fd();
    b.remove = loop_fd_add(&loop, fd_a, EPOLLIN, on_fd, &a);
    a.remove = loop_fd_add(&loop, fd_b, EPOLLIN, on_fd, &b);
    loop_turn(&loop, true);
    assert_int_equal(a.count + b.count, 1);
    close(fd_a);
    close(fd_b);
}

/** The same, and slot and descriptor number are in use again before the stale event is looked at.
 */
static void test_stale_event_does_not_reach_who_took_the_place(void **state)
{
    (void)state;
    struct seen a = {0}, b = {0}, heir = {0};
    int fd_a = ready_fd(), fd_b = ready_fd();
    loop_token token_a = loop_fd_add(&loop, fd_a, EPOLLIN, on_fd, &a);
    loop_token token_b = loop_fd_add(&loop, fd_b, EPOLLIN, on_fd, &b);
    a = (struct seen){.remove = token_b, .close_fd = fd_b, .has_successor = true, .added = &heir};
    b = (struct seen){.remove = token_a, .close_fd = fd_a, .has_successor = true, .added = &heir};
    loop_turn(&loop, true);
    assert_int_equal(a.count + b.count, 1);
    assert_int_equal(heir.count, 0);
    // The old token is dead for good, the new one works.
    loop_token stale = a.count == 1 ? token_b : token_a;
    loop_token fresh = a.count == 1 ? a.token : b.token;
    int heir_fd = a.count == 1 ? fd_b : fd_a;
    assert_int_equal((uint32_t)stale, (uint32_t)fresh); // the same slot
    loop_fd_modify(&loop, stale, 0);
    loop_fd_remove(&loop, stale);
    loop_fd_remove(&loop, 0);
    assert_int_equal(eventfd_write(heir_fd, 1), 0);
    loop_turn(&loop, true);
    assert_int_equal(heir.count, 1);
    close(fd_a);
    close(fd_b);
}

static void test_slots_run_out_and_come_back(void **state)
{
    (void)state;
    struct seen seen = {0};
    int fds[LOOP_FDS_MAX + 1];
    loop_token tokens[LOOP_FDS_MAX];
    for (unsigned i = 0; i <= LOOP_FDS_MAX; i++)
        fds[i] = ready_fd();
    for (unsigned i = 0; i < LOOP_FDS_MAX; i++) {
        tokens[i] = loop_fd_add(&loop, fds[i], EPOLLIN, on_fd, &seen);
        assert_int_not_equal(tokens[i], 0);
    }
    errno = 0;
    assert_int_equal(loop_fd_add(&loop, fds[LOOP_FDS_MAX], EPOLLIN, on_fd, &seen), 0);
    assert_int_equal(errno, ENOSPC);
    // More are ready than one turn takes from the kernel: all have their turn soon.
    for (int i = 0; i < 6; i++)
        loop_turn(&loop, true);
    assert_true(seen.count >= 2 * LOOP_FDS_MAX);
    loop_fd_remove(&loop, tokens[5]);
    assert_int_not_equal(loop_fd_add(&loop, fds[LOOP_FDS_MAX], EPOLLIN, on_fd, &seen), 0);
    assert_int_equal(loop_fd_add(&loop, fds[LOOP_FDS_MAX], EPOLLIN, on_fd, &seen), 0);
    for (unsigned i = 0; i <= LOOP_FDS_MAX; i++)
        close(fds[i]);
}

static void test_a_descriptor_that_epoll_refuses(void **state)
{
    (void)state;
    struct seen seen = {0};
    assert_int_equal(loop_fd_add(&loop, 1000, EPOLLIN, on_fd, &seen), 0);
    assert_int_equal(errno, EBADF);
    // The slot it would have had is free.
    int fd = ready_fd();
    loop_token token = loop_fd_add(&loop, fd, EPOLLIN, on_fd, &seen);
    assert_int_equal((uint32_t)token, 0);
    close(fd);
}

struct tick {
    int timer;
    unsigned count;
    uint64_t now_ns;
    uint64_t again_ns; /**< re-armed for so much later; 0 = not */
    int disarm;        /**< timer that it disarms; -1 none */
};

static unsigned order[64], order_count;

static void on_timer(void *user, uint64_t now_ns)
{
    struct tick *tick = user;
    tick->count++;
    tick->now_ns = now_ns;
    order[order_count++ % 64] = (unsigned)tick->timer;
    if (tick->again_ns > 0)
        loop_timer_set(&loop, tick->timer, now_ns + tick->again_ns);
    if (tick->disarm >= 0)
        loop_timer_set(&loop, tick->disarm, NS_NEVER);
}

static void add_tick(struct tick *tick, uint64_t in_ns)
{
    *tick = (struct tick){.disarm = -1};
    tick->timer = loop_timer_add(&loop, on_timer, tick);
    assert_true(tick->timer >= 0);
    loop_timer_set(&loop, tick->timer, in_ns == NS_NEVER ? NS_NEVER : virtual_now_ns + in_ns);
}

static void test_timers_fire_once_each_when_due(void **state)
{
    (void)state;
    struct tick t[3];
    order_count = 0;
    add_tick(&t[0], 30);
    add_tick(&t[1], 10);
    add_tick(&t[2], 20);
    loop_turn(&loop, true);
    assert_int_equal(order_count, 0);
    for (int i = 0; i < 5; i++) {
        virtual_now_ns += 10;
        loop_turn(&loop, true);
    }
    assert_int_equal(order_count, 3);
    assert_int_equal(order[0], t[1].timer);
    assert_int_equal(order[1], t[2].timer);
    assert_int_equal(order[2], t[0].timer);
}

static void test_timer_is_rearmed_in_its_callback(void **state)
{
    (void)state;
    struct tick t;
    add_tick(&t, 10);
    t.again_ns = 10;
    for (unsigned i = 1; i <= 7; i++) {
        virtual_now_ns += 10;
        loop_turn(&loop, true);
        assert_int_equal(t.count, i);
    }
    // Late by many periods: once, not once per period.
    virtual_now_ns += 1000;
    loop_turn(&loop, true);
    assert_int_equal(t.count, 8);
    assert_int_equal(t.now_ns, virtual_now_ns);
}

static void test_timer_armed_for_the_past_does_not_starve_the_turn(void **state)
{
    (void)state;
    struct tick t;
    add_tick(&t, 0);
    loop_turn(&loop, true);
    loop_timer_set(&loop, t.timer, 0);
    loop_turn(&loop, true);
    assert_int_equal(t.count, 2);
    loop_turn(&loop, true);
    assert_int_equal(t.count, 2);
}

static void test_disarmed_timer_is_silent(void **state)
{
    (void)state;
    struct tick t[2];
    add_tick(&t[0], 10);
    add_tick(&t[1], 10);
    t[0].disarm = t[1].timer; // due in the same turn
    virtual_now_ns += 10;
    loop_turn(&loop, true);
    assert_int_equal(t[0].count, 1);
    assert_int_equal(t[1].count, 0);
    loop_timer_set(&loop, t[1].timer, virtual_now_ns + 5);
    loop_timer_set(&loop, t[1].timer, NS_NEVER);
    virtual_now_ns += 100;
    loop_turn(&loop, true);
    assert_int_equal(t[1].count, 0);
    loop_timer_set(&loop, t[1].timer, virtual_now_ns + 5);
    virtual_now_ns += 5;
    loop_turn(&loop, true);
    assert_int_equal(t[1].count, 1);
}

static void test_timers_run_out(void **state)
{
    (void)state;
    static struct tick t[LOOP_TIMERS_MAX];
    for (unsigned i = 0; i < LOOP_TIMERS_MAX; i++)
        add_tick(&t[i], NS_NEVER);
    assert_int_equal(loop_timer_add(&loop, on_timer, &t[0]), -ENOSPC);
    loop_timer_set(&loop, t[LOOP_TIMERS_MAX - 1].timer, 0);
    loop_turn(&loop, true);
    assert_int_equal(t[LOOP_TIMERS_MAX - 1].count, 1);
}

/** Descriptors first, then timers: what came in a turn is seen before deadlines are judged. */
static void on_fd_in_order(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    (void)now_ns;
    order[order_count++ % 64] = *(unsigned *)user;
}

static void test_descriptors_go_before_timers(void **state)
{
    (void)state;
    struct tick t;
    unsigned mark = 1000;
    int fd = ready_fd();
    order_count = 0;
    add_tick(&t, 0);
    assert_int_not_equal(loop_fd_add(&loop, fd, EPOLLIN, on_fd_in_order, &mark), 0);
    loop_turn(&loop, true);
    assert_int_equal(order_count, 2);
    assert_int_equal(order[0], mark);
    close(fd);
}

static void on_fd_wakes_another(void *user, uint32_t events, uint64_t now_ns)
{
    const uint64_t one = 1;
    uint64_t value;
    int *fds = user;
    (void)events;
    (void)now_ns;
    if (read(fds[0], &value, sizeof value) == (ssize_t)sizeof value)
        assert_int_equal(write(fds[1], &one, sizeof one), (ssize_t)sizeof one);
    virtual_now_ns += NS_PER_MS; // it takes its time
}

/** What became ready after the wait, as the signal does that ends a stop of the process. */
static void test_descriptors_that_are_late_go_before_timers(void **state)
{
    (void)state;
    struct tick t;
    unsigned mark = 1000;
    int fds[2] = {ready_fd(), eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    order_count = 0;
    add_tick(&t, 0);
    assert_int_not_equal(loop_fd_add(&loop, fds[0], EPOLLIN, on_fd_wakes_another, fds), 0);
    assert_int_not_equal(loop_fd_add(&loop, fds[1], EPOLLIN, on_fd_in_order, &mark), 0);
    const uint64_t turn_ns = loop_turn(&loop, true);
    assert_int_equal(order_count, 2);
    assert_int_equal(order[0], mark);
    // What a descriptor noted down is not younger than the turn: ages would be immense.
    assert_int_equal(t.now_ns, virtual_now_ns);
    assert_int_equal(turn_ns, virtual_now_ns);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, open_loop, close_loop)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_readiness_reaches_its_callback),
        LOOP_TEST(test_removed_in_the_same_turn_is_inert),
        LOOP_TEST(test_stale_event_does_not_reach_who_took_the_place),
        LOOP_TEST(test_slots_run_out_and_come_back),
        LOOP_TEST(test_a_descriptor_that_epoll_refuses),
        LOOP_TEST(test_timers_fire_once_each_when_due),
        LOOP_TEST(test_timer_is_rearmed_in_its_callback),
        LOOP_TEST(test_timer_armed_for_the_past_does_not_starve_the_turn),
        LOOP_TEST(test_disarmed_timer_is_silent),
        LOOP_TEST(test_timers_run_out),
        LOOP_TEST(test_descriptors_go_before_timers),
        LOOP_TEST(test_descriptors_that_are_late_go_before_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
