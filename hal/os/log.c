// SPDX-License-Identifier: MIT
#include "hal/os/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 512

static enum log_level max_level = LOG_LEVEL_INFO;
/** One thread at a time looks for room and takes it. Its holder never waits for a reader. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned lost_lines;

void log_set_level(enum log_level level)
{
    max_level = level;
}

/** A reader that has stopped (a pager, a hung journald) must not stop the camera. If stderr is not
 * writable, the line is dropped. A pipe or socket that polls as writable has room for one. */
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
    pthread_mutex_lock(&lock);
    if (lost_lines > 0 && has_room()) {
        write_formatted(LOG_LEVEL_WARNING, "%u log lines were lost: stderr was not writable",
                        lost_lines);
        lost_lines = 0;
    }
    if (lost_lines == 0 && has_room()) {
        va_list arguments;
        va_start(arguments, format);
        write_line(level, format, arguments);
        va_end(arguments);
    } else {
        lost_lines++;
    }
    pthread_mutex_unlock(&lock);
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
