// SPDX-License-Identifier: MIT
// How records come: from nodes that are dialled, and from nodes that dial in.
#ifndef PINHOLE_TOOLS_REC_LINK_H
#define PINHOLE_TOOLS_REC_LINK_H

#include "tools/rec/camera.h"

/** Thread of a camera with an address: connects, for as long as it takes. */
void *rec_link_thread(void *camera);

/** Listens and records whoever dials in. */
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
