// SPDX-License-Identifier: MIT
// The libcamera backend is a plug-in, pinhole-libcamera.so, loaded on first use. libcamera brings
// two dozen libraries, which allocate memory as they are loaded; a node without a libcamera camera
// saves that.
#ifndef PINHOLE_HAL_LIBCAMERA_LOAD_H
#define PINHOLE_HAL_LIBCAMERA_LOAD_H

#include "hal/camera.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The backend itself, as the plug-in exports it. Only when HAVE_LIBCAMERA; a program that links it
 * needs no loading. */
BASE_EXPORT extern const struct hal_camera_ops hal_camera_libcamera;

/** The libcamera backend, loaded by the first call from the program's own folder (a build) or from
 * ../lib/pinhole/ beside that (an installation), and never unloaded. When it cannot be loaded, a
 * backend whose every call fails with -ENOENT and says why in last_error(). Not NULL. Call before
 * the loop: loading takes memory. In programs that link the backend itself nothing is loaded. */
const struct hal_camera_ops *camera_load_libcamera(void);

#ifdef __cplusplus
}
#endif

#endif
