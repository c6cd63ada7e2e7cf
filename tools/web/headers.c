// SPDX-License-Identifier: MIT
#include "tools/web/headers.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sink {
    void (*take)(void *context, const char *name, const char *value);
    void *context;
};

static void put(const struct sink *sink, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put(const struct sink *sink, const char *name, const char *format, ...)
{
    char value[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    sink->take(sink->context, name, value);
}

void web_headers_flags(uint32_t flags, char *out, size_t size)
{
    static const struct {
        uint32_t bit;
        const char *word;
    } words[] = {
        {PINHOLE_FRAME_CLOCK_SYNCHRONIZED, "clock-synchronized"},
        {PINHOLE_FRAME_TORN, "torn"},
        {PINHOLE_FRAME_NO_SENSOR_CLOCK, "no-sensor-clock"},
        {PINHOLE_FRAME_RESTARTED, "restarted"},
        {PINHOLE_FRAME_STROBE_COVERED, "strobe-covered"},
        {PINHOLE_FRAME_STROBE_MISSED, "strobe-missed"},
    };
    *out = '\0';
    size_t used = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (flags & words[i].bit && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? " " : "",
                                     words[i].word);
}

static void put_trigger(const struct sink *sink, const struct pinhole_frame *meta)
{
    put(sink, "X-Trigger-Id", "%" PRIu64, meta->trigger_id);
    if (meta->trigger_id == 0)
        return;
    put(sink, "X-Trigger-Source", "%s", pinhole_source_name(meta->trigger_source));
    put(sink, "X-Trigger-Delta-Ns", "%" PRId64, meta->exposure_delta_ns);
    put(sink, "X-Burst-Index", "%d", meta->burst_index);
}

void web_headers_each(const struct web_frame *frame,
                      void (*take)(void *context, const char *name, const char *value),
                      void *context)
{
    const struct sink sink = {take, context};
    const struct pinhole_frame *meta = &frame->meta;
    put(&sink, "X-Timestamp", "%" PRIu64 ".%06" PRIu64, meta->realtime_ns / 1000000000u,
        meta->realtime_ns / 1000u % 1000000u);
    put(&sink, "X-Frame-Id", "%" PRIu64, meta->frame_id);
    put(&sink, "X-Sequence", "%" PRIu64, meta->sequence);
    put(&sink, "X-Boot-Id", "%016" PRIx64, meta->boot_id);
    put(&sink, "X-Monotonic-Ns", "%" PRIu64, meta->timestamp_ns);
    put(&sink, "X-Width", "%u", meta->width);
    put(&sink, "X-Height", "%u", meta->height);
    put(&sink, "X-Quality", "%u", meta->quality);
    put(&sink, "X-Exposure-Us", "%" PRIu32, meta->exposure_us);
    put(&sink, "X-Gain", "%" PRIu32 ".%03" PRIu32, meta->gain_milli / 1000u,
        meta->gain_milli % 1000u);
    put(&sink, "X-Latency-Us", "%" PRId64, frame->latency_ns / 1000);
    put_trigger(&sink, meta);
    char flags[128];
    web_headers_flags(meta->flags, flags, sizeof flags);
    if (*flags != '\0')
        put(&sink, "X-Flags", "%s", flags);
}
