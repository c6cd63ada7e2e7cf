// SPDX-License-Identifier: MIT
// The trigger line: opens the GPIO line of the configuration, watches it on the loop and feeds its
// edges to the trigger engine. A line that cannot be opened, or that goes away, is tried again
// every few seconds; both are logged once.
#ifndef PINHOLE_APP_TRIGGER_TRIGGER_LINE_H
#define PINHOLE_APP_TRIGGER_TRIGGER_LINE_H

#include "app/config/config.h"
#include "app/trigger/trigger.h"
#include "hal/gpio.h"
#include "hal/os/loop.h"

/** All zero before the first trigger_line_configure(). */
struct trigger_line {
    struct loop *loop;
    struct trigger *engine;
    const struct hal_gpio_ops *gpio;
    struct hal_gpio_input wish; /**< .line points to `name` */
    char name[HAL_GPIO_NAME_BYTES];
    bool is_wanted, is_open;
    bool said_why; /**< the present trouble is logged */
    bool has_timer;
    int timer; /**< to try again; while open: to look again in a storm */
    uint64_t polled_ns;
    int handle; /**< while open */
    loop_token token;
    uint64_t kernel_lost; /**< as last logged */
};

/** Opens the line when trigger.mode is On, trigger.source is Line and trigger.line is set;
 * otherwise closes it. Called again after each change of the trigger settings; a line whose own
 * settings are the same stays open and loses no edge. 0; -ENOTSUP when the build has no such
 * backend; -EINVAL when the source is Line and no line is named (both logged). A line that cannot
 * be opened now is 0 and is retried. */
int trigger_line_configure(struct trigger_line *line, const struct config *config,
                           struct loop *loop, struct trigger *engine, uint64_t now_ns);
/** Takes the edges that wait. Called before frames are offered to the engine, so that an edge is
 * known before the frame that answers it. */
void trigger_line_poll(struct trigger_line *line, uint64_t now_ns);
void trigger_line_close(struct trigger_line *line);

#endif
