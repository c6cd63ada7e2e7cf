// SPDX-License-Identifier: MIT
// The GPIO contract: input lines with kernel-timestamped edges, output lines for strobes.
// All operations are called from the loop's thread; none blocks, none allocates after open.
//
// Lines are named, never numbered by chip: "GPIO17" (a line name), "PIN_11", or
// "pinctrl-rp1:17" (chip label and offset).
#ifndef PINHOLE_HAL_GPIO_H
#define PINHOLE_HAL_GPIO_H

#include "hal/base.h"

#define HAL_GPIO_LINES_MAX  4
#define HAL_GPIO_NAME_BYTES 64

/** Which changes of an input are wanted. */
enum hal_gpio_edges { HAL_GPIO_RISING = 1, HAL_GPIO_FALLING = 2, HAL_GPIO_BOTH = 3 };
/** The resistor at an input. */
enum hal_gpio_bias {
    HAL_GPIO_BIAS_AS_IS,
    HAL_GPIO_BIAS_NONE,
    HAL_GPIO_PULL_UP,
    HAL_GPIO_PULL_DOWN
};

struct hal_gpio_input {
    const char *line;
    enum hal_gpio_edges edges; /**< after active_low: "rising" is "becoming active" */
    enum hal_gpio_bias bias;
    bool active_low;
    uint32_t debounce_us; /**< by the kernel where the line can, else refused with -ENOTSUP */
};

struct hal_gpio_output {
    const char *line;
    bool active_low;
    bool is_initially_high; /**< logical level from open on; close() returns the line to it */
};

struct hal_gpio_edge {
    uint64_t timestamp_ns;  /**< CLOCK_MONOTONIC, taken by the kernel's interrupt handler */
    uint32_t line_sequence; /**< counts the line's edges from 1 at open; a gap is edges the kernel
                                 lost (libgpiod 1 cannot know of them and has none); wraps */
    bool is_rising;
};

struct hal_gpio_ops {
    const char *name; /**< "fake", "gpiod" */
    const char *(*version)(void);

    /** Requests a line. Returns a handle 0..HAL_GPIO_LINES_MAX-1, or -ENOENT (no such line), -EBUSY
     * (in use elsewhere), -ENOTSUP, -ENOSPC, -EIO. On failure last_error() has the sentence. */
    int (*open_input)(const struct hal_gpio_input *wish);
    int (*open_output)(const struct hal_gpio_output *wish);
    /** Readable (EPOLLIN) when read_edges() has news. Inputs only. */
    int (*fd)(int handle);
    /** Up to `max` edges, oldest first; 0 when none wait; -EIO when the line is gone. Never blocks.
     */
    int (*read_edges)(int handle, struct hal_gpio_edge *out, int max);
    /** Sets an output's logical level. 0 or -EIO. */
    int (*write)(int handle, bool level);
    void (*close)(int handle);
    const char *(*last_error)(void);
};

#endif
