// SPDX-License-Identifier: MIT
#include "tools/web/frame.h"

#include <stdbool.h>
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
static struct web_frame *take(struct web_frame_pool *pool)
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

struct web_frame *web_frame_copy(struct web_frame_pool *pool, const struct pinhole_frame *source)
{
    struct web_frame *frame = take(pool);
    if (frame == NULL)
        return NULL;
    if (frame->capacity < source->jpeg_bytes) {
        size_t capacity = (source->jpeg_bytes + GRAIN_BYTES - 1) / GRAIN_BYTES * GRAIN_BYTES;
        free(frame->bytes);
        frame->bytes = malloc(capacity);
        frame->capacity = capacity;
        if (frame->bytes == NULL) {
            free(frame);
            return NULL;
        }
    }
    frame->meta = *source;
    frame->meta.jpeg = frame->bytes;
    memcpy(frame->bytes, source->jpeg, source->jpeg_bytes);
    frame->pool = pool;
    frame->references = 1;
    pthread_mutex_lock(&pool->lock);
    pool->live++;
    if (pool->live > pool->live_max)
        pool->live_max = pool->live;
    pthread_mutex_unlock(&pool->lock);
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
    pthread_mutex_lock(&pool->lock);
    bool is_last = --frame->references == 0;
    bool is_kept = is_last && pool->free_count < WEB_FRAMES_KEPT;
    if (is_last)
        pool->live--;
    if (is_kept) {
        frame->next_free = pool->free;
        pool->free = frame;
        pool->free_count++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (is_last && !is_kept)
        free_frame(frame);
}
