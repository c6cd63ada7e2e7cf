// SPDX-License-Identifier: MIT
// libgpiod, whichever version this is built with, keeps the GPIO contract on real kernel lines.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "hal/gpio/line.h"
#include "tests/host/support/gpio_contract.h"
#include "tests/host/support/gpio_sim.h"

#ifdef HAVE_GPIOD
/** A simulated line tells of an edge in an interrupt of its own: edges in no time would become
 * one. */
static int drive(const char *line, bool is_high)
{
    int status = gpio_sim_drive(line, is_high);
    usleep(1000);
    return status;
}
#endif

static void needs_simulated_lines(void **state)
{
    (void)state;
    print_message(
        "skip: no simulated GPIO lines here (PINHOLE_GPIO_SIM); make check-vm has them\n");
    skip();
}

int main(void)
{
#ifdef HAVE_GPIOD
    const struct gpio_bench bench = {
        .gpio = &hal_gpio_gpiod,
        .name = "libgpiod",
        .lines = {"GPIO17", "GPIO27", "GPIO4", "GPIO22", "GPIO5"},
        .by_label = GPIO_SIM_LABEL ":17",
        .absent = {"NO_SUCH_LINE", GPIO_SIM_LABEL ":99", GPIO_SIM_LABEL ":1x", "pinctrl-none:1"},
        .drive = drive,
        .level = gpio_sim_level,
        .can_debounce = HAVE_GPIOD >= 2,
        .knows_losses = HAVE_GPIOD >= 2,
        .queue = HAVE_GPIOD >= 2 ? 1024 : 16,
    };
    if (gpio_sim_is_there())
        return gpio_contract_run(&bench);
#endif
    const struct CMUnitTest tests[] = {cmocka_unit_test(needs_simulated_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
