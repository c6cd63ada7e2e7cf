// SPDX-License-Identifier: MIT
#include "hal/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 512

static enum log_level max_level = LOG_LEVEL_INFO;
static atomic_uint lost_lines;

void log_set_level(enum log_level level)
{
    max_level = level;
}

/** A reader that has stopped (a pager, a hung journald) must not stop the camera: a line that
 * stderr does not take at once is lost. A pipe or socket that polls as writable has room for one.
 */
static bool has_room(void)
{
    struct pollfd wish = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&wish, 1, 0) > 0;
}

static void write_line(enum log_level level, const char *format, va_list arguments)
{
    char line[LINE_BYTES];
    size_t used = 0;
    if (!isatty(STDERR_FILENO))
        used = (size_t)snprintf(line, sizeof line, "<%d>", (int)level);
    int wanted = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    if (wanted < 0)
        return;
    used += (size_t)wanted;
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    line[used++] = '\n';
    // An error here has nowhere left to be said.
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
}

BASE_PRINTF(2, 3) static void write_formatted(enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(level, format, arguments);
    va_end(arguments);
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > max_level)
        return;
    if (!has_room()) {
        atomic_fetch_add(&lost_lines, 1);
        return;
    }
    unsigned lost = atomic_exchange(&lost_lines, 0);
    if (lost > 0)
        write_formatted(LOG_LEVEL_WARNING, "%u log lines were lost: nobody took them", lost);
    va_list arguments;
    va_start(arguments, format);
    write_line(level, format, arguments);
    va_end(arguments);
}

bool log_allow(struct log_limit *limit, uint32_t burst, uint64_t period_ns, uint64_t now_ns)
{
    if (now_ns - limit->window_start_ns >= period_ns) {
        limit->window_start_ns = now_ns;
        limit->count = 0;
    }
    if (limit->count < burst) {
        limit->count++;
        return true;
    }
    limit->suppressed++;
    return false;
}
