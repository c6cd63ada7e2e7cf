// SPDX-License-Identifier: MIT
#include "tools/common/say.h"

#include "tools/common/text.h"

#include <errno.h> // program_invocation_short_name
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char progress[256]; /**< the line that stands on the terminal */

void say(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    // What a node says of itself may be in it: control characters could drive the terminal.
    text_clean(text, false);
    pthread_mutex_lock(&lock);
    fprintf(stderr, "%s%s: %s\n%s", progress[0] != '\0' ? "\r\033[K" : "",
            program_invocation_short_name, text, progress);
    pthread_mutex_unlock(&lock);
}

void say_progress(const char *text)
{
    pthread_mutex_lock(&lock);
    if (progress[0] != '\0' || text[0] != '\0')
        fprintf(stderr, "\r\033[K%s", text);
    snprintf(progress, sizeof progress, "%s", text);
    pthread_mutex_unlock(&lock);
}
