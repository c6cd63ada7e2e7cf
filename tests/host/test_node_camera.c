// SPDX-License-Identifier: MIT
// How the node drives a camera whose calls take their time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/node_private.h"
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

static void the_time_that_a_camera_takes_to_start_is_no_stall(void **state)
{
    (void)state;
    const uint64_t bytes = 16u << 20;
    struct hal_camera_ops slow = hal_camera_fake;
    slow.start = slow_start;
    void *memory = aligned_alloc(4096, bytes);
    memset(memory, 0, bytes);
    config_defaults(&node.config);
    assert_int_equal(loop_init(&node.loop), 0);
    assert_int_equal(store_init(&node.store, memory, bytes), 0);
    trigger_init(&node.trigger);
    node.camera = &slow;
    node.camera_id = "";
    node.camera_timer = loop_timer_add(&node.loop, on_timer, NULL);
    supervisor_init(&node.supervisor, &(struct supervisor_config){0}, virtual_now_ns);

    node_camera_supervise(&node, virtual_now_ns);
    assert_true(node.is_camera_open);
    assert_int_equal(supervisor_next(&node.supervisor, virtual_now_ns), SUPERVISOR_WAIT);
    assert_int_equal(supervisor_next(&node.supervisor, virtual_now_ns + NS_PER_S),
                     SUPERVISOR_RESTART);

    node_camera_close(&node, virtual_now_ns);
    loop_close(&node.loop);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_that_a_camera_takes_to_start_is_no_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
