// SPDX-License-Identifier: MIT
// The kernel's first GPIO interface on top of its second: with this preloaded, libgpiod 1 works on
// kernels that were built without CONFIG_GPIO_CDEV_V1, as Debian's newer ones are. What reaches the
// line is the real thing; only the numbers and structs of the calls are translated.
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC   __attribute__((visibility("default")))
#define FDS_MAX  1024
#define V1_QUEUE 16 /**< edges */

static bool is_event_fd[FDS_MAX];

static int real_ioctl(int fd, unsigned long request, void *data)
{
    return (int)syscall(SYS_ioctl, fd, request, data);
}

static int line_info(int fd, struct gpioline_info *v1)
{
    struct gpio_v2_line_info v2 = {.offset = v1->line_offset};
    if (real_ioctl(fd, GPIO_V2_GET_LINEINFO_IOCTL, &v2) < 0)
        return -1;
    v1->flags = 0;
    if (v2.flags & GPIO_V2_LINE_FLAG_USED)
        v1->flags |= GPIOLINE_FLAG_KERNEL;
    if (v2.flags & GPIO_V2_LINE_FLAG_OUTPUT)
        v1->flags |= GPIOLINE_FLAG_IS_OUT;
    if (v2.flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW)
        v1->flags |= GPIOLINE_FLAG_ACTIVE_LOW;
    memcpy(v1->name, v2.name, sizeof v1->name);
    memcpy(v1->consumer, v2.consumer, sizeof v1->consumer);
    return 0;
}

static uint64_t line_flags(uint32_t v1)
{
    static const struct {
        uint32_t v1;
        uint64_t v2;
    } table[] = {
        {GPIOHANDLE_REQUEST_INPUT, GPIO_V2_LINE_FLAG_INPUT},
        {GPIOHANDLE_REQUEST_OUTPUT, GPIO_V2_LINE_FLAG_OUTPUT},
        {GPIOHANDLE_REQUEST_ACTIVE_LOW, GPIO_V2_LINE_FLAG_ACTIVE_LOW},
        {GPIOHANDLE_REQUEST_BIAS_PULL_UP, GPIO_V2_LINE_FLAG_BIAS_PULL_UP},
        {GPIOHANDLE_REQUEST_BIAS_PULL_DOWN, GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN},
        {GPIOHANDLE_REQUEST_BIAS_DISABLE, GPIO_V2_LINE_FLAG_BIAS_DISABLED},
    };
    uint64_t v2 = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (v1 & table[i].v1)
            v2 |= table[i].v2;
    return v2;
}

static int request_handle(int fd, struct gpiohandle_request *v1)
{
    struct gpio_v2_line_request v2 = {.num_lines = v1->lines};
    for (uint32_t i = 0; i < v1->lines && i < GPIO_V2_LINES_MAX; i++) {
        v2.offsets[i] = v1->lineoffsets[i];
        if (v1->default_values[i])
            v2.config.attrs[0].attr.values |= UINT64_C(1) << i;
        v2.config.attrs[0].mask |= UINT64_C(1) << i;
    }
    v2.config.flags = line_flags(v1->flags);
    if (v1->flags & GPIOHANDLE_REQUEST_OUTPUT) {
        v2.config.num_attrs = 1;
        v2.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
    } else {
        memset(v2.config.attrs, 0, sizeof v2.config.attrs);
    }
    memcpy(v2.consumer, v1->consumer_label, sizeof v2.consumer);
    if (real_ioctl(fd, GPIO_V2_GET_LINE_IOCTL, &v2) < 0)
        return -1;
    v1->fd = v2.fd;
    return 0;
}

static int request_events(int fd, struct gpioevent_request *v1)
{
    struct gpio_v2_line_request v2 = {.num_lines = 1, .event_buffer_size = V1_QUEUE};
    v2.offsets[0] = v1->lineoffset;
    v2.config.flags = line_flags(v1->handleflags) | GPIO_V2_LINE_FLAG_INPUT;
    if (v1->eventflags & GPIOEVENT_REQUEST_RISING_EDGE)
        v2.config.flags |= GPIO_V2_LINE_FLAG_EDGE_RISING;
    if (v1->eventflags & GPIOEVENT_REQUEST_FALLING_EDGE)
        v2.config.flags |= GPIO_V2_LINE_FLAG_EDGE_FALLING;
    memcpy(v2.consumer, v1->consumer_label, sizeof v2.consumer);
    if (real_ioctl(fd, GPIO_V2_GET_LINE_IOCTL, &v2) < 0)
        return -1;
    v1->fd = v2.fd;
    if (v2.fd < FDS_MAX)
        is_event_fd[v2.fd] = true;
    return 0;
}

static int set_values(int fd, const struct gpiohandle_data *v1)
{
    struct gpio_v2_line_values v2 = {.mask = 1, .bits = v1->values[0] != 0};
    return real_ioctl(fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &v2);
}

PUBLIC int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    switch (request) {
    case GPIO_GET_LINEINFO_IOCTL: return line_info(fd, data);
    case GPIO_GET_LINEHANDLE_IOCTL: return request_handle(fd, data);
    case GPIO_GET_LINEEVENT_IOCTL: return request_events(fd, data);
    case GPIOHANDLE_SET_LINE_VALUES_IOCTL: return set_values(fd, data);
    default: return real_ioctl(fd, request, data);
    }
}

PUBLIC ssize_t read(int fd, void *data, size_t bytes)
{
    if (fd < 0 || fd >= FDS_MAX || !is_event_fd[fd])
        return syscall(SYS_read, fd, data, bytes);
    struct gpio_v2_line_event v2[V1_QUEUE];
    struct gpioevent_data v1[V1_QUEUE];
    size_t room = bytes / sizeof v1[0];
    ssize_t got = syscall(SYS_read, fd, v2, (room < V1_QUEUE ? room : V1_QUEUE) * sizeof v2[0]);
    if (got < 0)
        return got;
    size_t count = (size_t)got / sizeof v2[0];
    memset(v1, 0, sizeof v1);
    for (size_t i = 0; i < count; i++) {
        v1[i].timestamp = v2[i].timestamp_ns;
        v1[i].id = v2[i].id; // the same numbers
    }
    memcpy(data, v1, count * sizeof v1[0]);
    return (ssize_t)(count * sizeof v1[0]);
}

PUBLIC int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        is_event_fd[fd] = false;
    return (int)syscall(SYS_close, fd);
}
