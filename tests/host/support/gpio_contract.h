// SPDX-License-Identifier: MIT
// What every GPIO backend must do (hal/gpio.h), as cmocka tests. The test brings a bench: the
// lines, and a hand that moves inputs and looks at outputs from outside.
#ifndef TESTS_SUPPORT_GPIO_CONTRACT_H
#define TESTS_SUPPORT_GPIO_CONTRACT_H

#include "hal/gpio.h"

struct gpio_bench {
    const struct hal_gpio_ops *gpio;
    const char *name;
    /** Free lines by name; [0] is also reachable as `by_label`. */
    const char *lines[HAL_GPIO_LINES_MAX + 1];
    const char *by_label;
    /** Names that must not be found. */
    const char *absent[4];
    /** Puts a voltage on an input's pin; reads the voltage that an output drives. 0/1 or -errno. */
    int (*drive)(const char *line, bool is_high);
    int (*level)(const char *line);
    bool can_debounce;
    bool knows_losses; /**< line_sequence has gaps where edges were lost */
    unsigned queue;    /**< edges that wait unread at most */
};

/** Runs the suite. Returns the number of failed tests. */
int gpio_contract_run(const struct gpio_bench *bench);

#endif
