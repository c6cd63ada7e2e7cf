// SPDX-License-Identifier: MIT
#include "tools/web/frame.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void web_frame_pool_init(struct web_frame_pool *pool)
{
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
}

void web_frame_pool_destroy(struct web_frame_pool *pool)
{
    pthread_mutex_destroy(&pool->lock);
}

void web_frame_pool_count(struct web_frame_pool *pool, unsigned *live, unsigned *live_max)
{
    pthread_mutex_lock(&pool->lock);
    *live = pool->live;
    *live_max = pool->live_max;
    pthread_mutex_unlock(&pool->lock);
}

struct web_lender *web_lender_open(struct web_frame_pool *pool, struct pinhole *node)
{
    struct web_lender *lender = calloc(1, sizeof *lender);
    if (lender == NULL)
        return NULL;
    lender->pool = pool;
    lender->node = node;
    return lender;
}

/** The lock is held in this and the next. */
static void forget(struct web_frame *frame)
{
    frame->lender->lent--;
    frame->lender->pool->live--;
    free(frame);
}

static void settle(struct web_lender *lender)
{
    while (lender->returned != NULL) {
        struct web_frame *frame = lender->returned;
        lender->returned = frame->next_returned;
        if (frame->record != NULL)
            pinhole_release(lender->node, frame->record);
        forget(frame);
    }
}

void web_lender_settle(struct web_lender *lender)
{
    pthread_mutex_lock(&lender->pool->lock);
    settle(lender);
    pthread_mutex_unlock(&lender->pool->lock);
}

static void free_lender(struct web_lender *lender)
{
    pinhole_close(lender->node);
    free(lender);
}

void web_lender_close(struct web_lender *lender)
{
    pthread_mutex_lock(&lender->pool->lock);
    settle(lender);
    lender->is_left = true;
    const bool is_over = lender->lent == 0;
    pthread_mutex_unlock(&lender->pool->lock);
    if (is_over)
        free_lender(lender);
}

struct web_frame *web_frame_new(struct web_lender *lender, size_t bytes)
{
    struct web_frame *frame = malloc(sizeof *frame + bytes);
    if (frame == NULL)
        return NULL;
    memset(frame, 0, sizeof *frame);
    frame->meta.jpeg = frame->bytes;
    frame->lender = lender;
    frame->references = 1;
    struct web_frame_pool *pool = lender->pool;
    pthread_mutex_lock(&pool->lock);
    lender->lent++;
    pool->live++;
    if (pool->live > pool->live_max)
        pool->live_max = pool->live;
    pthread_mutex_unlock(&pool->lock);
    return frame;
}

struct web_frame *web_frame_borrow(struct web_lender *lender, struct pinhole_record *record)
{
    struct web_frame *frame = web_frame_new(lender, 0);
    if (frame == NULL)
        return NULL;
    frame->meta = record->frame;
    (void)jpeg_shape_read(&frame->shape, frame->meta.jpeg, frame->meta.jpeg_bytes);
    frame->record = record;
    return frame;
}

struct web_frame *web_frame_ref(struct web_frame *frame)
{
    pthread_mutex_lock(&frame->lender->pool->lock);
    frame->references++;
    pthread_mutex_unlock(&frame->lender->pool->lock);
    return frame;
}

void web_frame_unref(struct web_frame *frame)
{
    if (frame == NULL)
        return;
    struct web_lender *lender = frame->lender;
    pthread_mutex_t *lock = &lender->pool->lock;
    bool is_over = false;
    struct web_frame *colour = NULL;
    pthread_mutex_lock(lock);
    if (--frame->references == 0) {
        colour = frame->colour;
        if (!lender->is_left) {
            frame->next_returned = lender->returned;
            lender->returned = frame;
        } else {
            forget(frame);
            is_over = lender->lent == 0;
        }
    }
    pthread_mutex_unlock(lock);
    web_frame_unref(colour);
    if (is_over)
        free_lender(lender);
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
