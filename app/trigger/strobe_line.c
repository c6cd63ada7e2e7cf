// SPDX-License-Identifier: MIT
#include "app/trigger/strobe_line.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "hal/os/clock.h"
#include "hal/os/log.h"
#include "hal/select/gpio.h"

#define BATCH 16

static void move_line(struct strobe_line *line, uint64_t now_ns)
{
    bool level = strobe_wants(&line->plan, now_ns);
    if (level != line->plan.level) {
        if (line->gpio->write(line->output, level) < 0) {
            log_error("strobe line %s: %s; no more pulses", line->name, line->gpio->last_error());
            strobe_line_close(line, now_ns);
            return;
        }
        strobe_wrote(&line->plan, level, clock_now_ns());
    }
    loop_timer_set(line->loop, line->timer, strobe_next_deadline(&line->plan));
}

static void on_timer(void *user, uint64_t now_ns)
{
    struct strobe_line *line = user;
    if (line->is_open)
        move_line(line, now_ns);
}

static void on_readback(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    (void)now_ns;
    struct strobe_line *line = user;
    struct hal_gpio_edge edges[BATCH];
    int count = line->gpio->read_edges(line->readback, edges, BATCH);
    for (int i = 0; i < count; i++)
        strobe_readback(&line->plan, edges[i].is_rising, edges[i].timestamp_ns);
    if (count >= 0)
        return;
    log_error("strobe readback line %s: %s", line->readback_name, line->gpio->last_error());
    loop_fd_remove(line->loop, line->token);
    line->gpio->close(line->readback);
    line->has_readback = false;
}

static int open_readback(struct strobe_line *line)
{
    const struct hal_gpio_input wish = {
        .line = line->readback_name, .edges = HAL_GPIO_BOTH, .active_low = line->active_low};
    line->readback = line->gpio->open_input(&wish);
    if (line->readback < 0) {
        log_error("strobe readback line %s: %s", line->readback_name, line->gpio->last_error());
        return line->readback;
    }
    line->token =
        loop_fd_add(line->loop, line->gpio->fd(line->readback), EPOLLIN, on_readback, line);
    if (line->token == 0) {
        line->gpio->close(line->readback);
        return -ENOSPC;
    }
    line->has_readback = true;
    return 0;
}

static int open_lines(struct strobe_line *line)
{
    if (!line->has_timer) {
        line->timer = loop_timer_add(line->loop, on_timer, line);
        if (line->timer < 0)
            return line->timer;
        line->has_timer = true;
    }
    const struct hal_gpio_output wish = {.line = line->name, .active_low = line->active_low};
    line->output = line->gpio->open_output(&wish);
    if (line->output < 0) {
        log_error("strobe line %s: %s", line->name, line->gpio->last_error());
        return line->output;
    }
    line->is_open = true;
    line->plan.level = false;
    return line->readback_name[0] != '\0' ? open_readback(line) : 0;
}

static bool is_as_wished(const struct strobe_line *line, const struct config *config,
                         const struct hal_gpio_ops *gpio)
{
    return line->is_open && line->gpio == gpio && line->active_low == config->strobe_active_low &&
           strcmp(line->name, config->strobe_line) == 0 &&
           strcmp(line->readback_name, config->strobe_readback_line) == 0;
}

int strobe_line_configure(struct strobe_line *line, const struct config *config, struct loop *loop,
                          uint64_t readout_ns, uint64_t frame_period_ns, uint64_t now_ns)
{
    const struct hal_gpio_ops *gpio = hal_gpio_choose((enum hal_gpio_choice)config->gpio_backend);
    const struct strobe_config plan = {
        .is_on = config->strobe_line[0] != '\0' && config->trigger_mode == CONFIG_TRIGGER_ON,
        .reference = (enum strobe_reference)config->strobe_reference,
        .delay_ns = config->strobe_delay_us * NS_PER_US,
        .width_ns = config->strobe_width_us * NS_PER_US,
        .readout_ns = readout_ns,
        .frame_period_ns = frame_period_ns,
    };
    if (!plan.is_on || gpio == NULL) {
        strobe_line_close(line, now_ns);
        if (plan.is_on)
            log_error("strobe: this build has no libgpiod, so there are no real GPIO lines");
        return plan.is_on ? -ENOTSUP : 0;
    }
    int status = strobe_configure(&line->plan, &plan, now_ns);
    if (status < 0)
        return status;
    if (is_as_wished(line, config, gpio)) {
        move_line(line, now_ns);
        return 0;
    }
    strobe_line_close(line, now_ns);
    line->loop = loop;
    line->gpio = gpio;
    line->active_low = config->strobe_active_low;
    memcpy(line->name, config->strobe_line, sizeof line->name);
    memcpy(line->readback_name, config->strobe_readback_line, sizeof line->readback_name);
    status = open_lines(line);
    if (status < 0)
        strobe_line_close(line, now_ns);
    return status;
}

void strobe_line_turn(struct strobe_line *line, const struct trigger *engine, uint64_t now_ns)
{
    struct trigger_waiting waiting;
    if (!line->is_open)
        return;
    while (trigger_find_waiting(engine, line->last_trigger_id, &waiting)) {
        line->last_trigger_id = waiting.trigger_id;
        strobe_trigger(&line->plan, waiting.edge_ns, waiting.target_ns, now_ns);
    }
    move_line(line, now_ns);
}

void strobe_line_close(struct strobe_line *line, uint64_t now_ns)
{
    if (!line->is_open)
        return;
    line->is_open = false;
    strobe_wrote(&line->plan, false, now_ns);
    if (line->has_readback) {
        loop_fd_remove(line->loop, line->token);
        line->gpio->close(line->readback);
        line->has_readback = false;
    }
    line->gpio->close(line->output);
    loop_timer_set(line->loop, line->timer, NS_NEVER);
}

uint32_t strobe_line_flags(struct strobe_line *line, uint64_t edge_ns, uint64_t start_ns,
                           uint64_t end_ns)
{
    if (!line->is_open)
        return 0;
    switch (strobe_cover(&line->plan, edge_ns, start_ns, end_ns)) {
    case STROBE_COVERED: return WIRE_FRAME_STROBE_COVERED;
    case STROBE_MISSED: return WIRE_FRAME_STROBE_MISSED;
    case STROBE_NONE: break;
    }
    return 0;
}
