// SPDX-License-Identifier: MIT
#include "app/frame_queue.h"

#include <string.h>

static void remove_at(struct frame_queue *queue, unsigned index, struct queued_frame *out)
{
    *out = queue->waiting[index];
    queue->count--;
    memmove(&queue->waiting[index], &queue->waiting[index + 1],
            (queue->count - index) * sizeof queue->waiting[0]);
}

/** Gives up the oldest frame that answers no trigger. False when all of them do. */
static bool displace(struct frame_queue *queue, struct queued_frame *lost)
{
    for (unsigned i = 0; i < queue->count; i++) {
        if (queue->waiting[i].decision.verdict == TRIGGER_ANSWER)
            continue;
        remove_at(queue, i, lost);
        return true;
    }
    return false;
}

bool frame_queue_offer(struct frame_queue *queue, const struct queued_frame *offered,
                       unsigned buffers, bool is_encoding, struct queued_frame *lost)
{
    enum trigger_verdict verdict = offered->decision.verdict;
    unsigned room = buffers > FRAME_QUEUE_SENSOR_KEEPS ? buffers - FRAME_QUEUE_SENSOR_KEEPS : 1;
    bool is_full = queue->count + (is_encoding ? 1 : 0) >= room;
    bool has_lost = false;
    if ((verdict == TRIGGER_FREE && queue->count > 0) || (is_full && verdict == TRIGGER_ANSWER)) {
        has_lost = displace(queue, lost);
        is_full = !has_lost;
    }
    // With a single spare buffer the encoder holds it: one frame more is still better than none.
    if (is_full && queue->count == 0 && verdict != TRIGGER_HOLD)
        is_full = false;
    if (is_full) {
        *lost = *offered;
        return true;
    }
    queue->waiting[queue->count++] = *offered;
    queue->used_max = base_max_u32(queue->used_max, queue->count);
    return has_lost;
}

bool frame_queue_take(struct frame_queue *queue, struct queued_frame *out)
{
    if (queue->count == 0)
        return false;
    remove_at(queue, 0, out);
    return true;
}
