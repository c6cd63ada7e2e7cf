// SPDX-License-Identifier: MIT
// The hand at the kernel's simulated GPIO chip (gpio-sim): lines named GPIO0, GPIO1, ... of the
// chip whose sysfs folder is in the environment variable PINHOLE_GPIO_SIM, such as
// /sys/devices/platform/gpio-sim.0/gpiochip1. tools/vm sets one up.
#ifndef TESTS_SUPPORT_GPIO_SIM_H
#define TESTS_SUPPORT_GPIO_SIM_H

#include <stdbool.h>

#define GPIO_SIM_LABEL "pinctrl-bcm2711"

/** Is there a simulated chip? */
bool gpio_sim_is_there(void);
/** Puts a voltage on the pin. Keeps the file open, so that storms are cheap. 0 or -errno. */
int gpio_sim_drive(const char *line, bool is_high);
/** The pin's voltage. 0, 1 or -errno. */
int gpio_sim_level(const char *line);

#endif
