// SPDX-License-Identifier: MIT
// The one road of a SET: check everything, apply it step by step, and on a refusal roll all of it
// back.
#ifndef PINHOLE_APP_NODE_SET_H
#define PINHOLE_APP_NODE_SET_H

#include "app/node_camera.h"
#include "app/reply.h"

/** Sets the `Name=value` lines and replies with the values in force. All or
 * nothing: 0, or the negative of a wire_error_code with the sentence as the reply. Subscribers get
 * an event with what changed. SERVER_REQUEST_LATER: the camera was reconfigured too often. */
int node_set(struct node_camera *camera, const char *lines, struct reply *out, uint64_t now_ns);

/** Triggers once. 0 and *id; or the negative of a wire_error_code with the sentence as the reply.
 */
int node_trigger_once(struct node_camera *camera, struct reply *out, uint64_t *id, uint64_t now_ns);

#endif
