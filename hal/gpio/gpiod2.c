// SPDX-License-Identifier: MIT
// GPIO lines by libgpiod 2 (Debian 13 and later). The library allocates while a line is opened and
// closed; reading edges and writing levels do not.
#include <errno.h>
#include <fcntl.h>
#include <gpiod.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hal/gpio/line.h"

#define CHIPS_MAX    256
#define KERNEL_QUEUE 1024 /**< edges; the most that the kernel gives one line */
#define BATCH        64
#define CONSUMER     "pinhole"

struct gpiod_handle {
    struct gpiod_line_request *request;     /**< NULL = free */
    struct gpiod_edge_event_buffer *events; /**< inputs only */
    unsigned offset;
    bool is_initially_high;
};

static struct gpiod_handle handles[HAL_GPIO_LINES_MAX];
static struct gpio_failure failure;

/** The line's offset in this chip, or -1. "GPIO17" is a line name, "pinctrl-rp1:17" label and
 * offset. */
static int find_in_chip(struct gpiod_chip *chip, const char *name, bool *is_header)
{
    struct gpiod_chip_info *info = gpiod_chip_get_info(chip);
    if (info == NULL)
        return -1;
    const char *label = gpiod_chip_info_get_label(info);
    *is_header = gpio_is_header(label);
    int offset = gpiod_chip_get_line_offset_from_name(chip, name);
    if (offset < 0)
        offset = gpio_line_offset(name, label, gpiod_chip_info_get_num_lines(info));
    gpiod_chip_info_free(info);
    return offset;
}

/** Line names need not be unique; the processor's own pins go before an expander's. NULL =
 * nowhere. */
static struct gpiod_chip *find_line(const char *name, unsigned *offset)
{
    struct gpiod_chip *found = NULL;
    bool is_header = false;
    for (unsigned i = 0; i < CHIPS_MAX && !is_header; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/gpiochip%u", i);
        struct gpiod_chip *chip = access(path, F_OK) == 0 ? gpiod_chip_open(path) : NULL;
        if (chip == NULL)
            continue;
        int at = find_in_chip(chip, name, &is_header);
        if (at < 0 || (found != NULL && !is_header)) {
            gpiod_chip_close(chip);
            is_header = false;
            continue;
        }
        if (found != NULL)
            gpiod_chip_close(found);
        found = chip;
        *offset = (unsigned)at;
    }
    return found;
}

static enum gpiod_line_bias bias_of(enum hal_gpio_bias bias)
{
    switch (bias) {
    case HAL_GPIO_BIAS_NONE: return GPIOD_LINE_BIAS_DISABLED;
    case HAL_GPIO_PULL_UP: return GPIOD_LINE_BIAS_PULL_UP;
    case HAL_GPIO_PULL_DOWN: return GPIOD_LINE_BIAS_PULL_DOWN;
    case HAL_GPIO_BIAS_AS_IS: break;
    }
    return GPIOD_LINE_BIAS_AS_IS;
}

static enum gpiod_line_edge edge_of(enum hal_gpio_edges edges)
{
    switch (edges) {
    case HAL_GPIO_RISING: return GPIOD_LINE_EDGE_RISING;
    case HAL_GPIO_FALLING: return GPIOD_LINE_EDGE_FALLING;
    case HAL_GPIO_BOTH: break;
    }
    return GPIOD_LINE_EDGE_BOTH;
}

static int apply_input(struct gpiod_line_settings *settings, const struct hal_gpio_input *wish)
{
    gpiod_line_settings_set_active_low(settings, wish->active_low);
    gpiod_line_settings_set_debounce_period_us(settings, wish->debounce_us);
    if (gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_INPUT) < 0 ||
        gpiod_line_settings_set_edge_detection(settings, edge_of(wish->edges)) < 0 ||
        gpiod_line_settings_set_bias(settings, bias_of(wish->bias)) < 0 ||
        gpiod_line_settings_set_event_clock(settings, GPIOD_LINE_CLOCK_MONOTONIC) < 0)
        return -errno;
    return 0;
}

static int apply_output(struct gpiod_line_settings *settings, const struct hal_gpio_output *wish)
{
    gpiod_line_settings_set_active_low(settings, wish->active_low);
    if (gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_OUTPUT) < 0 ||
        gpiod_line_settings_set_output_value(settings, wish->is_initially_high
                                                           ? GPIOD_LINE_VALUE_ACTIVE
                                                           : GPIOD_LINE_VALUE_INACTIVE))
        return -errno;
    return 0;
}

static int request(struct gpiod_handle *handle, struct gpiod_chip *chip,
                   struct gpiod_line_settings *settings)
{
    struct gpiod_line_config *lines = gpiod_line_config_new();
    struct gpiod_request_config *config = gpiod_request_config_new();
    int status = -ENOMEM;
    if (lines == NULL || config == NULL)
        goto out;
    gpiod_request_config_set_consumer(config, CONSUMER);
    gpiod_request_config_set_event_buffer_size(config, KERNEL_QUEUE);
    status = 0;
    if (gpiod_line_config_add_line_settings(lines, &handle->offset, 1, settings) < 0 ||
        (handle->request = gpiod_chip_request_lines(chip, config, lines)) == NULL)
        status = -errno;
out:
    gpiod_request_config_free(config);
    gpiod_line_config_free(lines);
    return status;
}

/** Exactly one of the two wishes is given. */
static int open_line(const char *line, const struct hal_gpio_input *input,
                     const struct hal_gpio_output *output)
{
    int number = 0;
    while (number < HAL_GPIO_LINES_MAX && handles[number].request != NULL)
        number++;
    if (number == HAL_GPIO_LINES_MAX)
        return gpio_fail_open(&failure, line, -ENOSPC);
    struct gpiod_handle *handle = &handles[number];
    *handle =
        (struct gpiod_handle){.is_initially_high = output != NULL && output->is_initially_high};
    struct gpiod_chip *chip = find_line(line, &handle->offset);
    if (chip == NULL)
        return gpio_fail_open(&failure, line, -ENOENT);

    struct gpiod_line_settings *settings = gpiod_line_settings_new();
    int status = settings == NULL ? -ENOMEM
                 : input != NULL  ? apply_input(settings, input)
                                  : apply_output(settings, output);
    if (status == 0)
        status = request(handle, chip, settings);
    if (status == 0 && input != NULL) {
        int fd = gpiod_line_request_get_fd(handle->request);
        handle->events = gpiod_edge_event_buffer_new(BATCH);
        if (handle->events == NULL || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
            status = -errno;
    }
    gpiod_line_settings_free(settings);
    gpiod_chip_close(chip);
    if (status == 0) {
        failure.text[0] = '\0';
        return number;
    }
    hal_gpio_gpiod.close(number);
    return gpio_fail_open(&failure, line, status);
}

static int gpiod_open_input(const struct hal_gpio_input *wish)
{
    return open_line(wish->line, wish, NULL);
}

static int gpiod_open_output(const struct hal_gpio_output *wish)
{
    return open_line(wish->line, NULL, wish);
}

static struct gpiod_handle *of_handle(int number)
{
    bool is_valid = number >= 0 && number < HAL_GPIO_LINES_MAX && handles[number].request != NULL;
    return is_valid ? &handles[number] : NULL;
}

static int gpiod_fd(int number)
{
    struct gpiod_handle *handle = of_handle(number);
    return handle != NULL && handle->events != NULL ? gpiod_line_request_get_fd(handle->request)
                                                    : -1;
}

static int gpiod_read_edges(int number, struct hal_gpio_edge *out, int max)
{
    struct gpiod_handle *handle = of_handle(number);
    if (handle == NULL || handle->events == NULL)
        return gpio_fail(&failure, -EIO, "GPIO handle %d is no open input", number);
    int count = gpiod_line_request_read_edge_events(handle->request, handle->events,
                                                    (size_t)(max < BATCH ? max : BATCH));
    if (count < 0)
        return errno == EAGAIN || errno == EINTR
                   ? 0
                   : gpio_fail(&failure, -EIO, "GPIO line is gone: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct gpiod_edge_event *event =
            gpiod_edge_event_buffer_get_event(handle->events, (unsigned long)i);
        out[i] = (struct hal_gpio_edge){
            .timestamp_ns = gpiod_edge_event_get_timestamp_ns(event),
            .line_sequence = (uint32_t)gpiod_edge_event_get_line_seqno(event),
            .is_rising = gpiod_edge_event_get_event_type(event) == GPIOD_EDGE_EVENT_RISING_EDGE,
        };
    }
    return count;
}

static int gpiod_write(int number, bool level)
{
    struct gpiod_handle *handle = of_handle(number);
    if (handle == NULL || handle->events != NULL)
        return gpio_fail(&failure, -EIO, "GPIO handle %d is no open output", number);
    if (gpiod_line_request_set_value(handle->request, handle->offset,
                                     level ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE))
        return gpio_fail(&failure, -EIO, "GPIO line is gone: %s", strerror(errno));
    return 0;
}

static void gpiod_close(int number)
{
    struct gpiod_handle *handle = of_handle(number);
    if (handle == NULL)
        return;
    if (handle->events != NULL)
        gpiod_edge_event_buffer_free(handle->events);
    else
        gpiod_write(number, handle->is_initially_high);
    gpiod_line_request_release(handle->request);
    *handle = (struct gpiod_handle){0};
}

static const char *gpiod_last_error(void)
{
    return failure.text;
}

const struct hal_gpio_ops hal_gpio_gpiod = {
    .name = "gpiod",
    .version = gpiod_api_version,
    .open_input = gpiod_open_input,
    .open_output = gpiod_open_output,
    .fd = gpiod_fd,
    .read_edges = gpiod_read_edges,
    .write = gpiod_write,
    .close = gpiod_close,
    .last_error = gpiod_last_error,
};
