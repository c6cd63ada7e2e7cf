// SPDX-License-Identifier: MIT
#include "hal/gpio/line.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int gpio_fail(struct gpio_failure *failure, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return error;
}

int gpio_fail_open(struct gpio_failure *failure, const char *line, int status)
{
    switch (status) {
    case -ENOENT:
        return gpio_fail(failure, -ENOENT,
                         "no GPIO line %s (see gpioinfo; a name, or CHIP LABEL:OFFSET)", line);
    case -ENOSPC:
        return gpio_fail(failure, -ENOSPC, "no more than %d GPIO lines at once",
                         HAL_GPIO_LINES_MAX);
    case -EBUSY:
        return gpio_fail(failure, -EBUSY, "GPIO line %s is in use by another program or driver",
                         line);
    case -EACCES:
    case -EPERM:
        return gpio_fail(failure, -EIO, "no permission for GPIO line %s (group gpio?)", line);
    case -ENOTSUP:
    case -EINVAL:
        return gpio_fail(failure, -ENOTSUP,
                         "GPIO line %s cannot do what is asked (edges, bias, debounce)", line);
    default: return gpio_fail(failure, -EIO, "GPIO line %s: %s", line, strerror(-status));
    }
}

int gpio_line_offset(const char *name, const char *label, size_t lines)
{
    const char *colon = strrchr(name, ':');
    size_t length = colon != NULL ? (size_t)(colon - name) : 0;
    if (length == 0 || strlen(label) != length || memcmp(label, name, length) != 0)
        return -1;
    const char *digits = colon + 1;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 6 || digits[count] != '\0')
        return -1;
    unsigned long offset = strtoul(digits, NULL, 10);
    return offset < lines ? (int)offset : -1;
}

bool gpio_is_header(const char *label)
{
    static const char prefix[] = "pinctrl-";
    return strncmp(label, prefix, strlen(prefix)) == 0;
}
