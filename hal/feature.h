// SPDX-License-Identifier: MIT
// Controls of a camera by name and range, for everyone who sets one. Pure, apart from the camera's
// own feature().
#ifndef PINHOLE_HAL_FEATURE_H
#define PINHOLE_HAL_FEATURE_H

#include "hal/camera.h"

/** The camera's control of that name, with its index in *index unless that is NULL. NULL when the
 * camera lacks it. */
const struct hal_feature *hal_feature_find(const struct hal_camera_ops *camera, const char *name,
                                           unsigned *index);

/** True for BOOLEAN and ENUM: a choice, which has no nearest value. */
bool hal_feature_is_mode(const struct hal_feature *feature);
/** True when the value is within the control's range. False for NaN. */
bool hal_feature_allows(const struct hal_feature *feature, double value);
/** The nearest value within the range; NaN becomes the minimum. A mode's value stays unchanged: the
 * camera refuses a wrong one. */
double hal_feature_clamp(const struct hal_feature *feature, double value);

#endif
