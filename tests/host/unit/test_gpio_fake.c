// SPDX-License-Identifier: MIT
// The fake lines keep the contract, and what their other end does beyond it.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hal/gpio/fake.h"
#include "hal/os/clock.h"
#include "tests/host/support/gpio_contract.h"

static bool are_high[GPIO_FAKE_LINES];

/** Like a wire, the fake only tells of changes; a pin that nobody has opened just has its level. */
static int drive(const char *line, bool is_high)
{
    int number = (line[4] - '0') * (line[5] ? 10 : 1) + (line[5] ? line[5] - '0' : 0);
    bool is_change = are_high[number] != is_high;
    are_high[number] = is_high;
    int status = is_change ? gpio_fake_edge(line, is_high, clock_now_ns()) : 0;
    return status == -ENOENT ? 0 : status;
}

static int level(const char *line)
{
    return gpio_fake_level(line, NULL);
}

static void losses_on_purpose_leave_a_gap(void **state)
{
    (void)state;
    const struct hal_gpio_input wish = {.line = "GPIO5", .edges = HAL_GPIO_RISING};
    int handle = hal_gpio_fake.open_input(&wish);
    assert_int_equal(gpio_fake_edge("GPIO5", true, 1), 0);
    assert_int_equal(gpio_fake_lose("GPIO5", 7), 0);
    assert_int_equal(gpio_fake_edge("GPIO5", true, 2), 0);
    struct hal_gpio_edge edges[2];
    assert_int_equal(hal_gpio_fake.read_edges(handle, edges, 2), 2);
    assert_int_equal(edges[1].line_sequence - edges[0].line_sequence, 8);
    hal_gpio_fake.close(handle);
}

static void a_broken_line_is_an_error_until_closed(void **state)
{
    (void)state;
    const struct hal_gpio_input wish = {.line = "GPIO6", .edges = HAL_GPIO_RISING};
    int handle = hal_gpio_fake.open_input(&wish);
    assert_int_equal(gpio_fake_break("GPIO6"), 0);
    struct hal_gpio_edge edge;
    assert_int_equal(hal_gpio_fake.read_edges(handle, &edge, 1), -EIO);
    hal_gpio_fake.close(handle);
    handle = hal_gpio_fake.open_input(&wish);
    assert_true(handle >= 0);
    assert_int_equal(hal_gpio_fake.read_edges(handle, &edge, 1), 0);
    hal_gpio_fake.close(handle);
}

int main(void)
{
    const struct gpio_bench bench = {
        .gpio = &hal_gpio_fake,
        .name = "fake",
        .lines = {"GPIO17", "GPIO27", "GPIO4", "GPIO22", "GPIO5"},
        .by_label = "fake:17",
        .absent = {"GPIO28", "fake:28", "fake:1x", "NO_SUCH_LINE"},
        .drive = drive,
        .level = level,
        .can_debounce = true,
        .knows_losses = true,
        .queue = GPIO_FAKE_EDGES_MAX,
    };
    const struct CMUnitTest more[] = {
        cmocka_unit_test(losses_on_purpose_leave_a_gap),
        cmocka_unit_test(a_broken_line_is_an_error_until_closed),
    };
    int failed = gpio_contract_run(&bench);
    return failed + cmocka_run_group_tests(more, NULL, NULL);
}
