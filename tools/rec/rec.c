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

static bool must_be_mapped(const char *at, size_t bytes, bool is_first)
{
    const unsigned char c = (unsigned char)*at;
    const bool is_c1 = c == 0xC2 && (unsigned char)at[1] < 0xA0;
    return bytes == 0 || c < ' ' || c == 0x7F || is_c1 || c == '/' || c == '%' ||
           (is_first && (c == '.' || c == '-'));
}

bool rec_name_to_file(char out[REC_NAME_SIZE], const char *camera)
{
    size_t length = 0;
    for (const char *at = camera; *at != '\0';) {
        const size_t utf8_bytes = text_utf8_bytes(at), bytes = utf8_bytes > 0 ? utf8_bytes : 1;
        const bool is_mapped = must_be_mapped(at, utf8_bytes, at == camera);
        if (length + (is_mapped ? 3 * bytes : bytes) >= REC_NAME_SIZE) {
            out[length] = '\0';
            return false;
        }
        for (size_t i = 0; i < bytes; i++, at++)
            if (is_mapped)
                length += (size_t)snprintf(out + length, 4, "%%%02X", (unsigned char)*at);
            else
                out[length++] = *at;
    }
    out[length] = '\0';
    if (length == 0)
        snprintf(out, REC_NAME_SIZE, "camera");
    return true;
}
