// SPDX-License-Identifier: MIT
// The drawn camera, and what tests may ask of it beyond the camera contract.
#ifndef PINHOLE_HAL_FAKE_CAMERA_FAKE_H
#define PINHOLE_HAL_FAKE_CAMERA_FAKE_H

#include "hal/camera.h"

extern const struct hal_camera_ops hal_camera_fake; /**< the backend "fake" */

/** Loads a fault script (hal/fake/script.h) from memory and forgets all progress; the next open("")
 * plays it. "" takes every fault away and plugs the camera in again. Call while closed. 0, or
 * -EINVAL with the reason in last_error(). */
int camera_fake_script(const char *text);

#endif
