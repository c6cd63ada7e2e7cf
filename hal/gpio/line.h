// SPDX-License-Identifier: MIT
// What GPIO backends share: the names of lines and the sentences about failures.
#ifndef PINHOLE_HAL_GPIO_LINE_H
#define PINHOLE_HAL_GPIO_LINE_H

#include "hal/gpio.h"

/** The backend "gpiod", by libgpiod 1 or 2. Only when HAVE_GPIOD. */
extern const struct hal_gpio_ops hal_gpio_gpiod;

/** A backend's last failure, for its last_error(). */
struct gpio_failure {
    char text[192];
};

/** Writes the sentence, cut to fit. Returns `error`. */
int gpio_fail(struct gpio_failure *failure, int error, const char *format, ...) BASE_PRINTF(3, 4);

/** Explains why `line` could not be opened; `status` is a negative errno. Returns the one of them
 * that the contract has for it. */
int gpio_fail_open(struct gpio_failure *failure, const char *line, int status);

/** The offset in `name` ("pinctrl-rp1:17" is label and offset) for the chip with this label and
 * this number of lines. -1 when it is another chip's. */
int gpio_line_offset(const char *name, const char *label, size_t lines);

/** Whether the chip is that of the processor's own pins: where several chips have a line of one
 * name, its goes before an expander's. */
bool gpio_is_header(const char *label);

#endif
