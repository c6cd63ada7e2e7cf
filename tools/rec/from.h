// SPDX-License-Identifier: MIT
// Records from a stream of NATS JetStream, whose cameras the recorders of a group share.
//
// One thread looks after the group's entries and takes cameras that are free. Each camera that this
// recorder has is written by a thread of its own, over a connection of its own. What is synced is
// acknowledged: first in the entry, then to the consumer.
#ifndef PINHOLE_TOOLS_REC_FROM_H
#define PINHOLE_TOOLS_REC_FROM_H

#include "tools/rec/camera.h"

struct rec_from;
/** -errno after saying what was wrong. */
int rec_from_start(struct rec_from **out, const struct rec_options *options,
                   struct rec_keeper *keeper);
/** Calls `visit` for each camera that this recorder has or had. */
void rec_from_each(struct rec_from *from, void (*visit)(struct rec_camera *camera, void *user),
                   void *user);
/** Waits for its threads (rec_is_stopping is set): all is acknowledged, or given up. */
void rec_from_stop(struct rec_from *from);
/** Was there ever a stream? */
bool rec_from_was_reached(const struct rec_from *from);
/** NULL is allowed. */
void rec_from_free(struct rec_from *from);

#endif
