// SPDX-License-Identifier: MIT
// What tests may ask of the fake camera beyond the camera contract.
#ifndef PINHOLE_HAL_FAKE_CAMERA_FAKE_H
#define PINHOLE_HAL_FAKE_CAMERA_FAKE_H

/** Loads a fault script (hal/fake/script.h) from memory and forgets all progress; the next open("")
 * plays it. "" takes every fault away and plugs the camera in again. Call while closed. 0, or
 * -EINVAL with the reason in last_error(). */
int camera_fake_script(const char *text);

#endif
