// SPDX-License-Identifier: MIT
#include "tools/mqtt/say.h"

#include "tools/common/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char progress[256]; /**< the line on the terminal */

void mqtt_say(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_clean(text, false);
    pthread_mutex_lock(&lock);
    fprintf(stderr, "%spinhole-mqtt: %s\n%s", progress[0] != '\0' ? "\r\033[K" : "", text,
            progress);
    pthread_mutex_unlock(&lock);
}

void mqtt_show_progress(const char *text)
{
    pthread_mutex_lock(&lock);
    if (progress[0] != '\0' || text[0] != '\0')
        fprintf(stderr, "\r\033[K%s", text);
    snprintf(progress, sizeof progress, "%s", text);
    pthread_mutex_unlock(&lock);
}
