// SPDX-License-Identifier: MIT
#include "app/trigger/trigger_line.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#include "hal/os/clock.h"
#include "hal/os/log.h"
#include "hal/select/gpio.h"

#define STORM_NS NS_PER_MS /**< edges closer together than this are taken together */
#define RETRY_NS (5 * NS_PER_S)
#define BATCH    64
#define EDGES_MAX                                                                                  \
    2048 /**< per call: twice the kernel's longest queue, so a storm cannot hold the loop */

static void drop_line(struct trigger_line *line)
{
    if (!line->is_open)
        return;
    loop_fd_remove(line->loop, line->token);
    line->gpio->close(line->handle);
    line->is_open = false;
}

static void retry_later(struct trigger_line *line, const char *why, uint64_t now_ns)
{
    if (!line->said_why)
        log_error("trigger line %s: %s; trying again every %" PRIu64 " s", line->name, why,
                  (uint64_t)(RETRY_NS / NS_PER_S));
    line->said_why = true;
    loop_timer_set(line->loop, line->timer, now_ns + RETRY_NS);
}

/** Once per poll at most, and only when there is something new to say. */
static void report_losses(struct trigger_line *line)
{
    uint64_t lost = line->engine->counters.edges_lost;
    if (line->kernel_lost == 0 && lost > 0)
        log_warning("trigger line %s: the kernel lost %" PRIu64
                    " edges, they come faster than they can be taken; see edges_lost from here on",
                    line->name, lost);
    line->kernel_lost = lost;
}

/** How many there were. */
static int take_edges(struct trigger_line *line, uint64_t now_ns)
{
    struct hal_gpio_edge edges[BATCH];
    int taken = 0;
    line->polled_ns = now_ns;
    for (int count = BATCH; line->is_open && count == BATCH && taken < EDGES_MAX; taken += count) {
        count = line->gpio->read_edges(line->handle, edges, BATCH);
        for (int i = 0; i < count; i++) {
            now_ns = clock_not_before(now_ns, edges[i].timestamp_ns);
            trigger_edge(line->engine, edges[i].timestamp_ns, edges[i].line_sequence, now_ns);
        }
        if (count < 0) {
            drop_line(line);
            retry_later(line, line->gpio->last_error(), now_ns);
            return taken;
        }
    }
    if (line->is_open)
        report_losses(line);
    return taken;
}

static void on_edges(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    struct trigger_line *line = user;
    bool is_storm = now_ns - line->polled_ns < STORM_NS;
    take_edges(line, now_ns);
    if (line->is_open && is_storm) {
        loop_fd_modify(line->loop, line->token, 0);
        loop_timer_set(line->loop, line->timer, now_ns + STORM_NS);
    }
}

static void open_line(struct trigger_line *line, uint64_t now_ns)
{
    int handle = line->gpio->open_input(&line->wish);
    if (handle < 0) {
        retry_later(line, line->gpio->last_error(), now_ns);
        return;
    }
    line->handle = handle;
    line->token = loop_fd_add(line->loop, line->gpio->fd(handle), EPOLLIN, on_edges, line);
    if (line->token == 0) {
        line->gpio->close(handle);
        retry_later(line, strerror(errno), now_ns);
        return;
    }
    line->is_open = true;
    line->said_why = false;
    trigger_line_opened(line->engine);
    log_info("trigger line %s opened by %s", line->name, line->gpio->name);
}

static void on_timer(void *user, uint64_t now_ns)
{
    struct trigger_line *line = user;
    if (line->is_open) {
        bool is_storm = take_edges(line, now_ns) > 0;
        if (!line->is_open)
            return;
        loop_fd_modify(line->loop, line->token, is_storm ? 0 : EPOLLIN);
        loop_timer_set(line->loop, line->timer, is_storm ? now_ns + STORM_NS : NS_NEVER);
    } else if (line->is_wanted) {
        open_line(line, now_ns);
    }
}

static bool is_as_wished(const struct trigger_line *line, const struct hal_gpio_ops *gpio,
                         const struct hal_gpio_input *wish)
{
    const struct hal_gpio_input *have = &line->wish;
    return line->is_wanted && line->gpio == gpio && strcmp(line->name, wish->line) == 0 &&
           have->edges == wish->edges && have->bias == wish->bias &&
           have->active_low == wish->active_low && have->debounce_us == wish->debounce_us;
}

int trigger_line_configure(struct trigger_line *line, const struct config *config,
                           struct loop *loop, struct trigger *engine, uint64_t now_ns)
{
    if (config->trigger_mode != CONFIG_TRIGGER_ON || config->trigger_source != CONFIG_SOURCE_LINE) {
        trigger_line_close(line);
        return 0;
    }
    const struct hal_gpio_ops *gpio = hal_gpio_choose((enum hal_gpio_choice)config->gpio_backend);
    if (gpio == NULL || config->trigger_line[0] == '\0') {
        log_error("%s", gpio == NULL ? "this build has no libgpiod, so there are no real GPIO lines"
                                     : "the trigger source is Line, but trigger.line is not set");
        trigger_line_close(line);
        return gpio == NULL ? -ENOTSUP : -EINVAL;
    }
    struct hal_gpio_input wish = {
        .line = config->trigger_line,
        .edges = (enum hal_gpio_edges)(config->trigger_activation + 1),
        .bias = (enum hal_gpio_bias)config->trigger_bias,
        .active_low = config->trigger_active_low,
        .debounce_us = config->trigger_debounce_us,
    };
    if (is_as_wished(line, gpio, &wish))
        return 0;

    trigger_line_close(line);
    line->loop = loop;
    line->engine = engine;
    line->gpio = gpio;
    line->wish = wish;
    memcpy(line->name, config->trigger_line, sizeof line->name);
    line->wish.line = line->name;
    if (!line->has_timer) {
        line->timer = loop_timer_add(loop, on_timer, line);
        if (line->timer < 0)
            return line->timer;
        line->has_timer = true;
    }
    line->is_wanted = true;
    line->said_why = false;
    open_line(line, now_ns);
    return 0;
}

void trigger_line_poll(struct trigger_line *line, uint64_t now_ns)
{
    take_edges(line, now_ns);
}

void trigger_line_close(struct trigger_line *line)
{
    drop_line(line);
    line->is_wanted = false;
    if (line->has_timer)
        loop_timer_set(line->loop, line->timer, NS_NEVER);
}
