// SPDX-License-Identifier: MIT
// Messages and the progress line.
#include "tools/rec/rec.h"

#include "tools/common/text.h"

#include <pthread.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SLICE_MS = 50 };

atomic_bool rec_is_stopping;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char line[256]; /**< the progress line that stands on the terminal */

void rec_sleep_ms(int ms)
{
    const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
    for (; ms > 0 && !atomic_load(&rec_is_stopping); ms -= SLICE_MS)
        nanosleep(&slice, NULL);
}

void rec_say(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    // What a node says of itself may be in it: control characters could drive the terminal.
    text_clean(text, false);
    pthread_mutex_lock(&lock);
    fprintf(stderr, "%spinhole-rec: %s\n%s", line[0] != '\0' ? "\r\033[K" : "", text, line);
    pthread_mutex_unlock(&lock);
}

void rec_show_progress(const char *text)
{
    pthread_mutex_lock(&lock);
    if (line[0] != '\0' || text[0] != '\0')
        fprintf(stderr, "\r\033[K%s", text);
    snprintf(line, sizeof line, "%s", text);
    pthread_mutex_unlock(&lock);
}
