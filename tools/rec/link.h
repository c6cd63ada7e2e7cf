// SPDX-License-Identifier: MIT
// How records come: from nodes that are dialled, and from nodes that dial in.
#ifndef PINHOLE_TOOLS_REC_LINK_H
#define PINHOLE_TOOLS_REC_LINK_H

#include "tools/rec/camera.h"

/** One connection that records a camera. */
struct rec_link {
    struct rec_camera *camera;
    struct pinhole *p;
    atomic_bool is_asked; /**< set it to ask whether the node is alive; cleared by its answer */
    uint64_t heard_ns;    /**< last sign of life; of the thread that runs the link, as the rest */
    bool is_up, is_stalled;
};

/** Subscribes where the recording stands. -errno as pinhole_subscribe(). */
int rec_link_begin(struct rec_link *link, struct rec_camera *camera, struct pinhole *p);
/** Takes records until the link is broken for good, or the program ends (0). -ETIMEDOUT: the
 * node was asked and did not answer. */
int rec_link_run(struct rec_link *link);
/** Thread of a camera with an address: connects, as often as it takes. */
void *rec_link_thread(void *camera);

/** Listens, and records the nodes that dial in. */
struct rec_listener;
/** -errno after saying what was wrong. */
int rec_listen_start(struct rec_listener **out, const struct rec_options *options,
                     struct rec_keeper *keeper);
/** Calls `visit` for each camera that has dialled in. */
void rec_listen_each(struct rec_listener *listener,
                     void (*visit)(struct rec_camera *camera, void *user), void *user);
/** Waits for its threads (rec_is_stopping is set). */
void rec_listen_stop(struct rec_listener *listener);
/** Frees it with its cameras. */
void rec_listen_free(struct rec_listener *listener);

#endif
