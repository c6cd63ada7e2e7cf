// SPDX-License-Identifier: MIT
// The camera that shows a folder of photographs; its open() takes the folder.
#ifndef PINHOLE_HAL_REPLAY_CAMERA_REPLAY_H
#define PINHOLE_HAL_REPLAY_CAMERA_REPLAY_H

#include "hal/camera.h"

extern const struct hal_camera_ops hal_camera_replay; /**< the backend "replay" */

#endif
