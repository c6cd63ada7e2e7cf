// SPDX-License-Identifier: MIT
// One camera's recording. It outlives its links, and its lock guards it.
#ifndef PINHOLE_TOOLS_REC_CAMERA_H
#define PINHOLE_TOOLS_REC_CAMERA_H

#include "tools/rec/keeper.h"
#include "tools/rec/segment.h"

#include <pthread.h>
#include <stdatomic.h>

struct rec_camera {
    struct rec_source source;
    const struct rec_options *options;
    struct rec_keeper *keeper;

    pthread_mutex_t lock; /**< of what follows, up to the counters */
    struct rec_segment *segment;
    uint64_t serial_next;
    struct rec_position position;
    char *pending; /**< sidecar lines to be written first thing; heap, NULL = none */
    uint64_t dropped_first,
        dropped_last; /**< could not be written, not yet in a sidecar; 0 = none */
    bool is_failing;  /**< writing does not work now */
    uint64_t retry_ns;
    unsigned width, height;

    atomic_ullong frames, bytes, missing, dropped; /**< since the start */
    atomic_bool was_reached, is_linked;
    atomic_ullong last_record_ns; /**< CLOCK_MONOTONIC */
};

/** Prepares the camera: its folder, its next serial number, its position. -errno. */
int rec_camera_init(struct rec_camera *camera, const char *name, const char *address,
                    const struct rec_options *options, struct rec_keeper *keeper);
/** Writes one record, or notes that it could not be written. */
void rec_camera_take(struct rec_camera *camera, const struct pinhole_record *record);
/** Completes the open segment, or removes it when `discard`. */
void rec_camera_close_segment(struct rec_camera *camera, const char *reason, bool discard);
/** Completes a segment whose time is up though no record comes. */
void rec_camera_tick(struct rec_camera *camera);
/** Frees what rec_camera_init() made. The segment is closed already. */
void rec_camera_free(struct rec_camera *camera);

#endif
