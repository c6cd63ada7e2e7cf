// SPDX-License-Identifier: MIT
// GPIO lines by libgpiod 1.6 (Debian 12). Its kernel interface cannot debounce: that is refused
// with -ENOTSUP, and the trigger's hold-off does it without the kernel. It queues 16 edges at most.
// It does not count edges, so lost ones leave no trace: line_sequence counts those that came. The
// library allocates while a line is opened and closed; reading and writing do not.
#include <errno.h>
#include <fcntl.h>
#include <gpiod.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hal/gpio/line.h"

#define CHIPS_MAX    256
#define KERNEL_QUEUE 16
#define CONSUMER     "pinhole"

struct gpiod_handle {
    struct gpiod_chip *chip; /**< NULL = free */
    struct gpiod_line *line;
    int fd; /**< -1 for outputs */
    uint32_t sequence;
    bool is_initially_high;
};

static struct gpiod_handle handles[HAL_GPIO_LINES_MAX];
static struct gpio_failure failure;

/** "GPIO17" is a line name, "pinctrl-rp1:17" label and offset. NULL = not in this chip. */
static struct gpiod_line *find_in_chip(struct gpiod_chip *chip, const char *name)
{
    struct gpiod_line *line = gpiod_chip_find_line(chip, name);
    int offset = gpio_line_offset(name, gpiod_chip_label(chip), gpiod_chip_num_lines(chip));
    return line == NULL && offset >= 0 ? gpiod_chip_get_line(chip, (unsigned)offset) : line;
}

/** Line names need not be unique; the processor's own pins go before an expander's. */
static int find_line(const char *name, struct gpiod_handle *handle)
{
    bool is_header = false;
    for (unsigned i = 0; i < CHIPS_MAX && !is_header; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/gpiochip%u", i);
        struct gpiod_chip *chip = access(path, F_OK) == 0 ? gpiod_chip_open(path) : NULL;
        if (chip == NULL)
            continue;
        struct gpiod_line *line = find_in_chip(chip, name);
        is_header = line != NULL && gpio_is_header(gpiod_chip_label(chip));
        if (line == NULL || (handle->chip != NULL && !is_header)) {
            gpiod_chip_close(chip);
            continue;
        }
        if (handle->chip != NULL)
            gpiod_chip_close(handle->chip);
        handle->chip = chip;
        handle->line = line;
    }
    return handle->chip != NULL ? 0 : -ENOENT;
}

static int bias_flag(enum hal_gpio_bias bias)
{
    switch (bias) {
    case HAL_GPIO_BIAS_NONE: return GPIOD_LINE_REQUEST_FLAG_BIAS_DISABLE;
    case HAL_GPIO_PULL_UP: return GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_UP;
    case HAL_GPIO_PULL_DOWN: return GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_DOWN;
    case HAL_GPIO_BIAS_AS_IS: break;
    }
    return 0;
}

static int request_type(enum hal_gpio_edges edges)
{
    switch (edges) {
    case HAL_GPIO_RISING: return GPIOD_LINE_REQUEST_EVENT_RISING_EDGE;
    case HAL_GPIO_FALLING: return GPIOD_LINE_REQUEST_EVENT_FALLING_EDGE;
    case HAL_GPIO_BOTH: break;
    }
    return GPIOD_LINE_REQUEST_EVENT_BOTH_EDGES;
}

static int open_line(const char *line, const struct gpiod_line_request_config *config,
                     bool is_initially_high)
{
    int number = 0;
    while (number < HAL_GPIO_LINES_MAX && handles[number].chip != NULL)
        number++;
    if (number == HAL_GPIO_LINES_MAX)
        return gpio_fail_open(&failure, line, -ENOSPC);
    struct gpiod_handle *handle = &handles[number];
    *handle = (struct gpiod_handle){.fd = -1, .is_initially_high = is_initially_high};
    if (find_line(line, handle) < 0)
        return gpio_fail_open(&failure, line, -ENOENT);
    bool is_output = config->request_type == GPIOD_LINE_REQUEST_DIRECTION_OUTPUT;
    int status = gpiod_line_request(handle->line, config, is_initially_high) < 0 ? -errno : 0;
    if (status == 0 && !is_output) {
        handle->fd = gpiod_line_event_get_fd(handle->line);
        if (handle->fd < 0 ||
            fcntl(handle->fd, F_SETFL, fcntl(handle->fd, F_GETFL) | O_NONBLOCK) < 0)
            status = -errno;
    }
    if (status == 0) {
        failure.text[0] = '\0';
        return number;
    }
    gpiod_chip_close(handle->chip);
    handle->chip = NULL;
    return gpio_fail_open(&failure, line, status);
}

static int gpiod_open_input(const struct hal_gpio_input *wish)
{
    if (wish->debounce_us != 0)
        return gpio_fail(
            &failure, -ENOTSUP,
            "GPIO line %s: libgpiod 1 cannot debounce; set debounce to 0 and use hold_off",
            wish->line);
    const struct gpiod_line_request_config config = {
        .consumer = CONSUMER,
        .request_type = request_type(wish->edges),
        .flags =
            bias_flag(wish->bias) | (wish->active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0),
    };
    return open_line(wish->line, &config, false);
}

static int gpiod_open_output(const struct hal_gpio_output *wish)
{
    const struct gpiod_line_request_config config = {
        .consumer = CONSUMER,
        .request_type = GPIOD_LINE_REQUEST_DIRECTION_OUTPUT,
        .flags = wish->active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0,
    };
    return open_line(wish->line, &config, wish->is_initially_high);
}

static struct gpiod_handle *of_handle(int number)
{
    bool is_valid = number >= 0 && number < HAL_GPIO_LINES_MAX && handles[number].chip != NULL;
    return is_valid ? &handles[number] : NULL;
}

static int gpiod_fd(int number)
{
    struct gpiod_handle *handle = of_handle(number);
    return handle != NULL ? handle->fd : -1;
}

static int gpiod_read_edges(int number, struct hal_gpio_edge *out, int max)
{
    struct gpiod_handle *handle = of_handle(number);
    if (handle == NULL || handle->fd < 0)
        return gpio_fail(&failure, -EIO, "GPIO handle %d is no open input", number);
    struct gpiod_line_event events[KERNEL_QUEUE];
    int count = gpiod_line_event_read_fd_multiple(
        handle->fd, events, (unsigned)(max < KERNEL_QUEUE ? max : KERNEL_QUEUE));
    if (count < 0)
        return errno == EAGAIN || errno == EINTR
                   ? 0
                   : gpio_fail(&failure, -EIO, "GPIO line is gone: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        out[i] = (struct hal_gpio_edge){
            .timestamp_ns =
                (uint64_t)events[i].ts.tv_sec * NS_PER_S + (uint64_t)events[i].ts.tv_nsec,
            .line_sequence = ++handle->sequence,
            .is_rising = events[i].event_type == GPIOD_LINE_EVENT_RISING_EDGE,
        };
    return count;
}

static int gpiod_write(int number, bool level)
{
    struct gpiod_handle *handle = of_handle(number);
    if (handle == NULL || handle->fd >= 0)
        return gpio_fail(&failure, -EIO, "GPIO handle %d is no open output", number);
    if (gpiod_line_set_value(handle->line, level) < 0)
        return gpio_fail(&failure, -EIO, "GPIO line is gone: %s", strerror(errno));
    return 0;
}

static void gpiod_close(int number)
{
    struct gpiod_handle *handle = of_handle(number);
    if (handle == NULL)
        return;
    if (handle->fd < 0)
        gpiod_write(number, handle->is_initially_high);
    gpiod_chip_close(handle->chip); // releases its line
    handle->chip = NULL;
}

static const char *gpiod_last_error(void)
{
    return failure.text;
}

const struct hal_gpio_ops hal_gpio_gpiod = {
    .name = "gpiod",
    .version = gpiod_version_string,
    .open_input = gpiod_open_input,
    .open_output = gpiod_open_output,
    .fd = gpiod_fd,
    .read_edges = gpiod_read_edges,
    .write = gpiod_write,
    .close = gpiod_close,
    .last_error = gpiod_last_error,
};
