// SPDX-License-Identifier: MIT
#include "hal/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 512

static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    max_level = level;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > max_level)
        return;
    char line[LINE_BYTES];
    size_t used = 0;
    if (!isatty(STDERR_FILENO))
        used = (size_t)snprintf(line, sizeof line, "<%d>", (int)level);
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    va_end(arguments);
    if (wanted < 0)
        return;
    used += (size_t)wanted;
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    line[used++] = '\n';
    // A log line that stderr does not take is lost: there is nowhere left to say so.
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
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
