// SPDX-License-Identifier: MIT
// Answers the fault hooks of the libcamera backend (hal/libcamera/faults.h) from a script, in
// programs that link the backend built with PINHOLE_FAULT_HOOKS.
#ifndef PINHOLE_TEST_SUPPORT_LIBCAMERA_FAULTS_H
#define PINHOLE_TEST_SUPPORT_LIBCAMERA_FAULTS_H

#include "hal/base.h"

/** "cancel@100,absent@2x3": the 100th completion comes back cancelled, the camera is absent at the
 * 2nd to 4th open. Counting starts here. NULL or "": no faults. False when the script makes no
 * sense. Without a call the script is the environment's PINHOLE_LIBCAMERA_FAULTS. */
bool libcamera_faults_script(const char *script);

/** When the completion handler of the last acquired frame ran; 0 before the first. */
uint64_t libcamera_faults_handed_over_ns(void);

#endif
