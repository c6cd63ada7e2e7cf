// SPDX-License-Identifier: MIT
// What every part of the recorder uses.
#include "tools/rec/rec.h"

#include "tools/common/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SLICE_MS = 50 };

atomic_bool rec_is_stopping;

void rec_sleep_ms(int ms)
{
    const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
    for (; ms > 0 && !atomic_load(&rec_is_stopping); ms -= SLICE_MS)
        nanosleep(&slice, NULL);
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

const char *const rec_container_names[REC_CONTAINERS] = {"matroska", "mp4", "jpeg"};

bool rec_container_read(const char *text, enum rec_container *out)
{
    for (int i = 0; i < REC_CONTAINERS; i++)
        if (strcmp(text, rec_container_names[i]) == 0) {
            *out = (enum rec_container)i;
            return true;
        }
    return false;
}

char *rec_time_print(char out[REC_TIME_SIZE], uint64_t realtime_ns, const char *format)
{
    char date[32];
    const time_t seconds = (time_t)(realtime_ns / NS_PER_S);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, format, &parts);
    snprintf(out, REC_TIME_SIZE, "%s.%09" PRIu64 "Z", date, realtime_ns % NS_PER_S);
    return out;
}
