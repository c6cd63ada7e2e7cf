// SPDX-License-Identifier: MIT
// How the node drives a camera whose calls take their time.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/node_state.h"
#include "hal/fake/camera_fake.h"
#include "tests/host/support/virtual_clock.h"

static struct node node;

static int slow_start(void)
{
    virtual_now_ns += 5 * NS_PER_S;
    return hal_camera_fake.start();
}

static void on_timer(void *user, uint64_t now_ns)
{
    (void)user;
    (void)now_ns;
}

static int slow_open(const char *id)
{
    (void)id;
    virtual_now_ns += 5 * NS_PER_S;
    return -ENODEV;
}

/** A node that has everything but its camera. */
static void *begin(const struct hal_camera_ops *camera, const struct supervisor_config *config)
{
    const uint64_t bytes = 16u << 20;
    void *memory = aligned_alloc(4096, bytes);
    memset(memory, 0, bytes);
    memset(&node, 0, sizeof node);
    config_defaults(&node.config);
    assert_int_equal(loop_init(&node.loop), 0);
    assert_int_equal(store_init(&node.store, memory, bytes), 0);
    node_connect(&node, camera, "");
    node.camera.timer = loop_timer_add(&node.loop, on_timer, NULL);
    supervisor_init(&node.camera.supervisor, config, virtual_now_ns);
    return memory;
}

static void end(void *memory)
{
    node_camera_close(&node.camera, virtual_now_ns);
    loop_close(&node.loop);
    free(memory);
}

static void the_time_that_a_camera_takes_to_start_is_no_stall(void **state)
{
    (void)state;
    struct hal_camera_ops slow = hal_camera_fake;
    slow.start = slow_start;
    void *memory = begin(&slow, &(struct supervisor_config){.stall_ns = NS_PER_S});
    node_camera_supervise(&node.camera, virtual_now_ns);
    assert_true(node.camera.is_open);
    assert_int_equal(supervisor_next(&node.camera.supervisor, virtual_now_ns), SUPERVISOR_WAIT);
    assert_int_not_equal(supervisor_next(&node.camera.supervisor, virtual_now_ns + NS_PER_S),
                         SUPERVISOR_WAIT);
    end(memory);
}

static void the_time_that_a_camera_takes_to_fail_is_no_pause(void **state)
{
    (void)state;
    struct hal_camera_ops slow = hal_camera_fake;
    slow.open = slow_open;
    void *memory = begin(&slow, &(struct supervisor_config){.reopen_ns = NS_PER_S});
    node_camera_supervise(&node.camera, virtual_now_ns);
    assert_false(node.camera.is_open);
    assert_int_equal(supervisor_next(&node.camera.supervisor, virtual_now_ns), SUPERVISOR_WAIT);
    assert_int_equal(supervisor_next(&node.camera.supervisor, virtual_now_ns + NS_PER_S),
                     SUPERVISOR_OPEN);
    end(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_that_a_camera_takes_to_start_is_no_stall),
        cmocka_unit_test(the_time_that_a_camera_takes_to_fail_is_no_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
