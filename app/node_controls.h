// SPDX-License-Identifier: MIT
// The controls of the camera under their SFNC names, and what clients have set of them. That stays
// set when the camera is opened again, and a SET that fails half way leaves no trace.
#ifndef PINHOLE_APP_NODE_CONTROLS_H
#define PINHOLE_APP_NODE_CONTROLS_H

#include "hal/feature.h"

/** What clients have set, by name: the camera may be another one the next time. All zero is
 * nothing.
 */
struct node_controls {
    struct {
        char name[48];
        double value;
    } item[HAL_CAMERA_FEATURES_MAX];
    unsigned count;
};

/** All controls of the open camera at one moment, and what clients had set then. */
struct node_snapshot {
    struct node_controls controls;
    double value[HAL_CAMERA_FEATURES_MAX];
    bool is_known[HAL_CAMERA_FEATURES_MAX];
    unsigned count; /**< of the values; 0 when no camera was open */
};

/** Sets the camera's control of that name within its range, which *wanted is brought into. Logs
 * what the camera refuses or the range changes. False when the camera has none of that name. */
bool node_controls_set(const struct hal_camera_ops *camera, const char *name, double *wanted);

/** Remembers what a client has set. */
void node_controls_note(struct node_controls *controls, const char *name, double value);
/** Sets the open camera's controls as clients have set them. */
void node_controls_apply(const struct node_controls *controls, const struct hal_camera_ops *camera);
/** Notes all controls. `camera` is NULL when none is open. */
void node_controls_save(const struct node_controls *controls, const struct hal_camera_ops *camera,
                        struct node_snapshot *snapshot);
/** Sets all controls back as they were. `camera` is NULL when none is open. */
void node_controls_restore(struct node_controls *controls, const struct hal_camera_ops *camera,
                           const struct node_snapshot *snapshot);

#endif
