// SPDX-License-Identifier: MIT
// What a completed request brings from libcamera's thread to the loop, and its ring. One producer
// (the completion handler), one consumer (acquire), no lock. There are more cells than requests, so
// it is never full.
#ifndef PINHOLE_HAL_LIBCAMERA_RING_H
#define PINHOLE_HAL_LIBCAMERA_RING_H

#include "hal/base.h"

#define LIBCAMERA_RING_CELLS 16u

/** What the camera reports per frame and a feature may read back. */
enum libcamera_live {
    LIVE_EXPOSURE_US,
    LIVE_GAIN,
    LIVE_DIGITAL_GAIN,
    LIVE_DURATION_US,
    LIVE_TEMPERATURE_K,
    LIVE_LUX,
    LIVE_LENS,
    LIVE_RED,
    LIVE_BLUE,
    LIVE_CROP_X,
    LIVE_CROP_Y,
    LIVE_CROP_WIDTH,
    LIVE_CROP_HEIGHT,
    LIVE_BLACK,
    LIVE_SETTLED, /**< 1: automatic exposure says that it has converged */
    LIVE_VALUES,
    LIVE_NONE = LIVE_VALUES
};

struct libcamera_completion {
    uint32_t slot;
    bool is_cancelled;
    bool is_torn;
    uint32_t sequence;
    uint32_t bytes;
    uint32_t live_mask; /**< bit i: live[i] was reported */
    uint64_t timestamp_ns;
    uint64_t arrived_ns; /**< CLOCK_MONOTONIC when the handler ran */
    double live[LIVE_VALUES];
};

struct libcamera_ring {
    uint32_t head; /**< cells written; only the producer writes it */
    uint32_t tail; /**< cells read; only the consumer writes it */
    struct libcamera_completion cell[LIBCAMERA_RING_CELLS];
};

/** False when the ring is full, which means a request completed twice. */
static inline bool libcamera_ring_push(struct libcamera_ring *ring,
                                       const struct libcamera_completion *completion)
{
    uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
    if (head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == LIBCAMERA_RING_CELLS)
        return false;
    ring->cell[head % LIBCAMERA_RING_CELLS] = *completion;
    __atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
    return true;
}

static inline bool libcamera_ring_pop(struct libcamera_ring *ring,
                                      struct libcamera_completion *completion)
{
    uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
    if (tail == __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE))
        return false;
    *completion = ring->cell[tail % LIBCAMERA_RING_CELLS];
    __atomic_store_n(&ring->tail, tail + 1, __ATOMIC_RELEASE);
    return true;
}

#endif
