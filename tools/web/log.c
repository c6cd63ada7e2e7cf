// SPDX-License-Identifier: MIT
#include "tools/web/log.h"

#include "tools/common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum web_log_level max_level = WEB_INFO;

void web_log_set_level(enum web_log_level level)
{
    max_level = level;
}

void web_log(enum web_log_level level, const char *format, ...)
{
    if (level > max_level)
        return;
    char line[1024];
    int used = isatty(STDERR_FILENO) ? 0 : snprintf(line, sizeof line, "<%d>", (int)level);
    used += snprintf(line + used, sizeof line - (size_t)used, "pinhole-web: ");
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
    va_end(arguments);
    if (wanted < 0)
        return;
    size_t length = (size_t)used + (size_t)wanted;
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    line[length] = '\0';
    text_clean(line, false);
    line[length++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, length);
    (void)ignored;
}
