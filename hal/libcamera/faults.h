// SPDX-License-Identifier: MIT
// Faults on demand, for tests of recovery. They exist only in objects built with
// PINHOLE_FAULT_HOOKS (tests/host/support/libcamera_faults.c answers there); in a release build the
// question is a constant.
#ifndef PINHOLE_HAL_LIBCAMERA_FAULTS_H
#define PINHOLE_HAL_LIBCAMERA_FAULTS_H

#include "hal/base.h"

enum libcamera_fault {
    FAULT_ABSENT,    /**< asked once per open(): the camera is not there */
    FAULT_START,     /**< once per start(): libcamera refuses */
    FAULT_ALLOCATOR, /**< once per configure(): the pipeline's own buffers are not to be had */
    FAULT_CANCEL,    /**< once per completion: the request comes back cancelled */
    FAULT_SILENCE,   /**< once per completion: it never arrives */
    FAULT_UNPLUG,    /**< once per completion: libcamera's "disconnected" signal follows it */
    FAULT_HALT,      /**< once per acquired frame: libcamera stops the camera behind our back */
    FAULT_TORN,      /**< once per completion: the buffer carries an error */
    FAULT_BOOTTIME,  /**< once per completion: its time is that of a machine that slept for a day */
    FAULTS
};

#ifdef PINHOLE_FAULT_HOOKS
#ifdef __cplusplus
extern "C" {
#endif
/** True when the script wants `fault` at this, the next, occasion. Any thread. */
bool libcamera_fault(enum libcamera_fault fault);
/** Told for each acquired frame when its completion handler ran. */
void libcamera_handed_over(uint64_t arrived_ns);
#ifdef __cplusplus
}
#endif
#else
static inline bool libcamera_fault(enum libcamera_fault fault)
{
    (void)fault;
    return false;
}
static inline void libcamera_handed_over(uint64_t arrived_ns)
{
    (void)arrived_ns;
}
#endif

#endif
