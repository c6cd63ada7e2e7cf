// SPDX-License-Identifier: MIT
// The glue between GPIO lines, loop, trigger engine and strobe, on fake lines in stopped time.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/trigger/strobe_line.h"
#include "app/trigger/trigger_line.h"
#include "hal/gpio/fake.h"
#include "hal/select/gpio.h"
#include "tests/host/support/virtual_clock.h"

static struct loop loop;
static struct trigger engine;
static struct trigger_line line;
static struct strobe_line strobe;
static struct config config;

static void pass(uint64_t ns)
{
    virtual_now_ns += ns;
    loop_turn(&loop, true);
}

static int begin(void **state)
{
    (void)state;
    line = (struct trigger_line){0};
    strobe = (struct strobe_line){0};
    config = (struct config){.trigger_mode = CONFIG_TRIGGER_ON,
                             .trigger_source = CONFIG_SOURCE_LINE,
                             .gpio_backend = HAL_GPIO_FAKE,
                             .strobe_width_us = 2000};
    strcpy(config.trigger_line, "GPIO17");
    assert_int_equal(loop_init(&loop), 0);
    trigger_init(&engine);
    const struct trigger_config plain = {.is_on = true,
                                         .source = WIRE_SOURCE_LINE,
                                         .divider = 1,
                                         .burst_count = 1,
                                         .deadline_ns = NS_PER_S};
    assert_int_equal(trigger_configure(&engine, &plain, virtual_now_ns), 0);
    trigger_camera_up(&engine, virtual_now_ns);
    return 0;
}

static int end(void **state)
{
    (void)state;
    trigger_line_close(&line);
    strobe_line_close(&strobe, virtual_now_ns);
    loop_close(&loop);
    return 0;
}

static int configure(void)
{
    return trigger_line_configure(&line, &config, &loop, &engine, virtual_now_ns);
}

static int edge(void)
{
    return gpio_fake_edge("GPIO17", true, virtual_now_ns);
}

static void edges_reach_the_engine(void **state)
{
    (void)state;
    assert_int_equal(configure(), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(edge(), 0);
        pass(10 * NS_PER_MS);
    }
    assert_int_equal(engine.counters.edges, 3);
    assert_int_equal(engine.counters.triggers, 3);
    gpio_fake_lose("GPIO17", 5);
    edge();
    trigger_line_poll(&line, virtual_now_ns); // as before a frame
    assert_int_equal(engine.counters.edges, 4);
    assert_int_equal(engine.counters.edges_lost, 5);
}

static void the_same_settings_keep_the_line_open(void **state)
{
    (void)state;
    assert_int_equal(configure(), 0);
    edge();
    config.trigger_delay_us = 5; // the engine's business
    assert_int_equal(configure(), 0);
    pass(NS_PER_MS);
    assert_int_equal(engine.counters.edges, 1); // it was not lost
    strcpy(config.trigger_line, "GPIO4");
    assert_int_equal(configure(), 0);
    assert_int_equal(edge(), -ENOENT);
    assert_int_equal(gpio_fake_edge("GPIO4", true, virtual_now_ns), 0);
    config.trigger_source = CONFIG_SOURCE_SOFTWARE;
    assert_int_equal(configure(), 0);
    assert_int_equal(gpio_fake_edge("GPIO4", true, virtual_now_ns), -ENOENT);
}

static void a_line_that_is_not_there_is_tried_again(void **state)
{
    (void)state;
    const struct hal_gpio_input other = {.line = "GPIO17", .edges = HAL_GPIO_RISING};
    int handle = hal_gpio_fake.open_input(&other);
    assert_int_equal(configure(), 0);
    assert_false(line.is_open);
    pass(20 * NS_PER_S);
    assert_false(line.is_open);
    hal_gpio_fake.close(handle);
    pass(20 * NS_PER_S);
    assert_true(line.is_open);
    edge();
    pass(10 * NS_PER_MS);
    assert_int_equal(engine.counters.edges, 1);
}

static void a_line_that_goes_away_comes_back(void **state)
{
    (void)state;
    assert_int_equal(configure(), 0);
    gpio_fake_break("GPIO17");
    pass(10 * NS_PER_MS);
    assert_false(line.is_open);
    pass(20 * NS_PER_S);
    assert_true(line.is_open);
    edge();
    pass(10 * NS_PER_MS);
    assert_int_equal(engine.counters.edges, 1);
    assert_int_equal(engine.counters.edges_lost, 0);
}

static void a_storm_is_taken_once_a_millisecond(void **state)
{
    (void)state;
    assert_int_equal(configure(), 0);
    unsigned turns_with_edges = 0;
    for (unsigned i = 0; i < 1000; i++) { // 20 ms
        uint64_t before = engine.counters.edges;
        edge();
        pass(20 * NS_PER_US);
        turns_with_edges += engine.counters.edges != before;
    }
    pass(10 * NS_PER_MS);
    assert_int_equal(engine.counters.edges, 1000);
    assert_int_equal(engine.counters.edges_lost, 0);
    assert_true(turns_with_edges <= 25);
}

/** Whatever this build has: the fake lines are taken when they are asked for by name, only. */
static void no_line_is_ever_faked_unasked(void **state)
{
    (void)state;
    assert_ptr_equal(hal_gpio_choose(HAL_GPIO_FAKE), &hal_gpio_fake);
    assert_ptr_not_equal(hal_gpio_choose(HAL_GPIO_AUTO), &hal_gpio_fake);
    assert_ptr_not_equal(hal_gpio_choose(HAL_GPIO_GPIOD), &hal_gpio_fake);
}

static void a_missing_name_is_an_error(void **state)
{
    (void)state;
    config.trigger_line[0] = '\0';
    assert_int_equal(configure(), -EINVAL);
    config.trigger_mode = CONFIG_TRIGGER_OFF;
    assert_int_equal(configure(), 0);
}

static void the_strobe_follows_the_trigger(void **state)
{
    (void)state;
    strcpy(config.strobe_line, "GPIO27");
    strcpy(config.strobe_readback_line, "GPIO22");
    assert_int_equal(configure(), 0);
    assert_int_equal(strobe_line_configure(&strobe, &config, &loop, 0, NS_PER_MS, virtual_now_ns),
                     0);
    assert_int_equal(gpio_fake_level("GPIO27", NULL), 0);

    const uint64_t edge_ns = virtual_now_ns;
    edge();
    pass(0);
    strobe_line_turn(&strobe, &engine, virtual_now_ns);
    assert_int_equal(gpio_fake_level("GPIO27", NULL), 1);
    gpio_fake_edge("GPIO22", true, edge_ns + 1000);
    pass(NS_PER_MS);
    strobe_line_turn(&strobe, &engine, virtual_now_ns);
    assert_int_equal(gpio_fake_level("GPIO27", NULL), 1);
    pass(2 * NS_PER_MS); // its timer
    assert_int_equal(gpio_fake_level("GPIO27", NULL), 0);
    strobe_line_turn(&strobe, &engine, virtual_now_ns);
    unsigned changes;
    gpio_fake_level("GPIO27", &changes);
    assert_int_equal(changes, 2); // one pulse for one trigger, though it still waits
    assert_int_equal(strobe.plan.counters.readback_max_ns, 1000);
    assert_int_equal(strobe_line_flags(&strobe, edge_ns, edge_ns + 2000, edge_ns + NS_PER_MS),
                     WIRE_FRAME_STROBE_COVERED);
    assert_int_equal(strobe_line_flags(&strobe, edge_ns, edge_ns, edge_ns + NS_PER_MS),
                     WIRE_FRAME_STROBE_MISSED);
    assert_int_equal(strobe_line_flags(&strobe, edge_ns + 1, edge_ns, edge_ns + NS_PER_MS), 0);
}

static void the_strobe_is_dark_when_it_is_let_go(void **state)
{
    (void)state;
    strcpy(config.strobe_line, "GPIO27");
    config.strobe_active_low = true;
    assert_int_equal(configure(), 0);
    assert_int_equal(strobe_line_configure(&strobe, &config, &loop, 0, NS_PER_MS, virtual_now_ns),
                     0);
    assert_int_equal(gpio_fake_level("GPIO27", NULL), 1);
    edge();
    pass(0);
    strobe_line_turn(&strobe, &engine, virtual_now_ns);
    assert_int_equal(gpio_fake_level("GPIO27", NULL), 0);
    strobe_line_close(&strobe, virtual_now_ns);
    assert_int_equal(gpio_fake_level("GPIO27", NULL), 1);
    pass(NS_PER_S);
    config.strobe_line[0] = '\0';
    assert_int_equal(strobe_line_configure(&strobe, &config, &loop, 0, NS_PER_MS, virtual_now_ns),
                     0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(edges_reach_the_engine),
        CASE(the_same_settings_keep_the_line_open),
        CASE(a_line_that_is_not_there_is_tried_again),
        CASE(a_line_that_goes_away_comes_back),
        CASE(a_storm_is_taken_once_a_millisecond),
        CASE(a_missing_name_is_an_error),
        CASE(no_line_is_ever_faked_unasked),
        CASE(the_strobe_follows_the_trigger),
        CASE(the_strobe_is_dark_when_it_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
