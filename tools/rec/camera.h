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
    /** Where another recorder goes on if this one does not acknowledge: makes sure of what is
     * written. Called before a segment is completed. NULL: the node keeps what is not written. On
     * -errno the recording is given up, as by a crash. */
    int (*commit)(struct rec_camera *camera);
    const struct rec_options *options;
    struct rec_keeper *keeper;

    pthread_mutex_t lock; /**< of what follows, up to the counters */
    struct rec_segment *segment;
    dev_t device; /**< with `inode`: the folder that serial_next is of */
    ino_t inode;
    uint64_t serial_next;
    struct rec_position position;
    char *pending; /**< sidecar lines to be written first thing; heap, NULL = none */
    uint64_t dropped_first,
        dropped_last; /**< could not be written, not yet in a sidecar; 0 = none */
    bool is_failing;  /**< writing does not work now */
    int given_up;     /**< with `commit`: why nothing is written any more, -errno; 0 = it is */
    bool was_repeat_said;
    uint64_t retry_ns;
    double changes_left; /**< new segments for another shape that may begin now */
    uint64_t changes_counted_ns;

    atomic_ullong frames, bytes, missing, dropped, repeated; /**< since the start */
    atomic_bool was_reached, is_linked;
    atomic_bool has_left_part; /**< a segment that the next start completes */
};

/** Prepares the camera. Its folder is `name`, or with an address made at once; its position is what
 * the folder's sidecars say. -errno after saying what was wrong. */
int rec_camera_init(struct rec_camera *camera, const char *name, const char *address,
                    const struct rec_options *options, struct rec_keeper *keeper);
/** The node of this HELLO is linked now. Fills in from where its records are wanted. A recording
 * that is ahead of the node's log is put right. */
void rec_camera_greet(struct rec_camera *camera, const struct pinhole_info *info,
                      struct pinhole_subscription *wish);
/** Writes one record, or notes that it could not be written. */
void rec_camera_take(struct rec_camera *camera, const struct pinhole_record *record);
/** Notes in the sidecar what the link does: "up", "down", "stalled". */
void rec_camera_note_link(struct rec_camera *camera, const char *state, const char *text);
/** Completes the open segment, or removes it when `should_discard`. */
void rec_camera_close_segment(struct rec_camera *camera, const char *reason, bool should_discard);
/** Completes a segment whose time is up though no record comes. */
void rec_camera_tick(struct rec_camera *camera);
/** With `commit`: makes sure of all that was taken so far. -errno: the recording is given up. */
int rec_camera_commit(struct rec_camera *camera);
/** Adds what a camera has done to another's. */
void rec_camera_move_counts(struct rec_camera *to, struct rec_camera *from);
/** Frees what rec_camera_init() made. The segment is closed already. */
void rec_camera_free(struct rec_camera *camera);

#endif
