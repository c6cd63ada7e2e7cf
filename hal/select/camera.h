// SPDX-License-Identifier: MIT
// The camera backends of this build, and which of them a user means.
#ifndef PINHOLE_HAL_SELECT_CAMERA_H
#define PINHOLE_HAL_SELECT_CAMERA_H

#include "hal/camera.h"

/** The index-th backend of this build, best first: libcamera if built, then fake, replay. NULL past
 * the last. The first call for libcamera loads its plug-in. */
const struct hal_camera_ops *hal_camera_backend(unsigned index);

/** Splits "backend:argument" ("replay:/photos", "libcamera", "fake:faults.txt"). Returns the
 * backend and points *argument into `spec`, or NULL when this build has no such backend. The first
 * call for libcamera loads its plug-in. */
const struct hal_camera_ops *hal_camera_find(const char *spec, const char **argument);

/** Whether a camera of any backend can have a control of that name. The open camera may lack it. */
bool hal_camera_knows_feature(const char *name);

#endif
