// SPDX-License-Identifier: MIT
// The strobe's lines. On the loop, drives the output that app/trigger/strobe.h plans. Reads the
// real edges back when a second line is wired to it. The output is low before the first pulse and
// after close; what it does when the process dies is the board's matter (board/WIRING.md).
#ifndef PINHOLE_APP_TRIGGER_STROBE_LINE_H
#define PINHOLE_APP_TRIGGER_STROBE_LINE_H

#include "app/config/config.h"
#include "app/trigger/strobe.h"
#include "app/trigger/trigger.h"
#include "hal/gpio.h"
#include "hal/os/loop.h"

/** All zero before the first strobe_line_configure(). */
struct strobe_line {
    struct strobe plan;
    struct loop *loop;
    const struct hal_gpio_ops *gpio;
    char name[HAL_GPIO_NAME_BYTES], readback_name[HAL_GPIO_NAME_BYTES];
    bool active_low;
    bool is_open, has_readback, has_timer;
    int timer;
    int output, readback; /**< handles */
    loop_token token;
    uint64_t last_trigger_id; /**< the last one that was considered for a pulse */
};

/** Takes strobe.* from the configuration. 0; or -errno, logged: then there is no strobe. */
int strobe_line_configure(struct strobe_line *line, const struct config *config, struct loop *loop,
                          uint64_t readout_ns, uint64_t frame_period_ns, uint64_t now_ns);
/** Once per turn: plans pulses for triggers that began to wait, moves the line, arms the timer. */
void strobe_line_turn(struct strobe_line *line, const struct trigger *engine, uint64_t now_ns);
void strobe_line_close(struct strobe_line *line, uint64_t now_ns);

/** The wire's flags for the frame that answers the trigger with this edge. Once per frame. */
uint32_t strobe_line_flags(struct strobe_line *line, uint64_t edge_ns, uint64_t start_ns,
                           uint64_t end_ns);

#endif
