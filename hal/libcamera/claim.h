// SPDX-License-Identifier: MIT
// One process owns one camera: a claim that the kernel takes back when its owner ends, however it
// ends. It is a listening socket in the abstract namespace, named for the camera, so it leaves no
// file behind and needs no writable folder. libcamera's own lock covers only cameras with device
// nodes and does not say who holds it.
#ifndef PINHOLE_HAL_LIBCAMERA_CLAIM_H
#define PINHOLE_HAL_LIBCAMERA_CLAIM_H

#include "hal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Claims camera `id`. Returns a descriptor that holds the claim until it is closed, or -errno.
 * With -EBUSY *owner is the owner's process id, 0 when it is not known. Any thread. */
int camera_claim(const char *id, int *owner);

#ifdef __cplusplus
}
#endif

#endif
