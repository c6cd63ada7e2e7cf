// SPDX-License-Identifier: MIT
#include "tools/web/frame.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRAIN_BYTES 65536u

void web_frame_pool_init(struct web_frame_pool *pool)
{
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
}

static void free_frame(struct web_frame *frame)
{
    free(frame->bytes);
    free(frame);
}

void web_frame_pool_destroy(struct web_frame_pool *pool)
{
    while (pool->free != NULL) {
        struct web_frame *frame = pool->free;
        pool->free = frame->next_free;
        free_frame(frame);
    }
    pthread_mutex_destroy(&pool->lock);
}

void web_frame_pool_count(struct web_frame_pool *pool, unsigned *live, unsigned *live_max)
{
    pthread_mutex_lock(&pool->lock);
    *live = pool->live;
    *live_max = pool->live_max;
    pthread_mutex_unlock(&pool->lock);
}

/** A frame that is kept, or a new one; without a buffer or with one of any size. */
static struct web_frame *take_buffer(struct web_frame_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct web_frame *frame = pool->free;
    if (frame != NULL) {
        pool->free = frame->next_free;
        pool->free_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return frame != NULL ? frame : calloc(1, sizeof *frame);
}

struct web_frame *web_frame_new(struct web_frame_pool *pool, size_t bytes)
{
    struct web_frame *frame = take_buffer(pool);
    if (frame == NULL)
        return NULL;
    if (frame->capacity < bytes) {
        size_t capacity = (bytes + GRAIN_BYTES - 1) / GRAIN_BYTES * GRAIN_BYTES;
        free(frame->bytes);
        frame->bytes = malloc(capacity);
        frame->capacity = capacity;
        if (frame->bytes == NULL) {
            free(frame);
            return NULL;
        }
    }
    frame->serial = 0;
    frame->colour = NULL;
    frame->pool = pool;
    frame->references = 1;
    pthread_mutex_lock(&pool->lock);
    pool->live++;
    if (pool->live > pool->live_max)
        pool->live_max = pool->live;
    pthread_mutex_unlock(&pool->lock);
    return frame;
}

struct web_frame *web_frame_copy(struct web_frame_pool *pool, const struct pinhole_frame *source)
{
    struct web_frame *frame = web_frame_new(pool, source->jpeg_bytes);
    if (frame == NULL)
        return NULL;
    frame->meta = *source;
    frame->meta.jpeg = frame->bytes;
    memcpy(frame->bytes, source->jpeg, source->jpeg_bytes);
    (void)jpeg_shape_read(&frame->shape, source->jpeg, source->jpeg_bytes);
    return frame;
}

struct web_frame *web_frame_ref(struct web_frame *frame)
{
    pthread_mutex_lock(&frame->pool->lock);
    frame->references++;
    pthread_mutex_unlock(&frame->pool->lock);
    return frame;
}

void web_frame_unref(struct web_frame *frame)
{
    if (frame == NULL)
        return;
    struct web_frame_pool *pool = frame->pool;
    struct web_frame *colour = NULL;
    pthread_mutex_lock(&pool->lock);
    bool is_last = --frame->references == 0;
    bool is_kept = is_last && pool->free_count < WEB_FRAMES_KEPT;
    if (is_last) {
        pool->live--;
        colour = frame->colour;
    }
    if (is_kept) {
        frame->next_free = pool->free;
        pool->free = frame;
        pool->free_count++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (is_last && !is_kept)
        free_frame(frame);
    web_frame_unref(colour);
}

void web_frame_drop_colour(struct web_frame *frame)
{
    if (frame == NULL)
        return;
    web_frame_unref(frame->colour);
    frame->colour = NULL;
}

// --- metadata as headers ---------------------------------------------------------------------

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

void web_frame_flags(uint32_t flags, char *out, size_t size)
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

void web_frame_headers(const struct web_frame *frame,
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
    web_frame_flags(meta->flags, flags, sizeof flags);
    if (*flags != '\0')
        put(&sink, "X-Flags", "%s", flags);
}
