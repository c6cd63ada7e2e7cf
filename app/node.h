// SPDX-License-Identifier: MIT
// The node: camera, encoder, store and server on one thread and one loop.
#ifndef PINHOLE_APP_NODE_H
#define PINHOLE_APP_NODE_H

#include <signal.h>

#include "app/config/config.h"
#include "hal/camera.h"

/** The signals that the node reads from a descriptor. TERM, INT, HUP and QUIT end it: it drains and
 * exits with 0. USR1 and USR2 do nothing. CONT says that it had been stopped. */
void node_signals(sigset_t *set);

/** Runs until a signal ends it. `camera` and `camera_id` are what config->camera was resolved to.
 * The signals of node_signals() must be blocked. Returns the exit status: 0 after a signal, 1 when
 * the node could not start (reason logged), 3 when it gave up on its camera. */
int node_run(const struct config *config, const struct hal_camera_ops *camera,
             const char *camera_id);

/** Prints every fixed pool with its size, as `pinhole --memory` shows it. 0 or -errno. */
int node_print_memory(int fd, const struct config *config);

#endif
