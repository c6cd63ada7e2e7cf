// SPDX-License-Identifier: MIT
// The simulated camera: keeps the contract of hal/camera.h, and fails in every way that the
// contract allows. Each picture has its sensor sequence drawn into it.
#ifndef PINHOLE_TEST_SIM_CAMERA_H
#define PINHOLE_TEST_SIM_CAMERA_H

#include "hal/camera.h"

#define CAMERA_WIDTH_MAX  256u
#define CAMERA_HEIGHT_MAX 192u

extern const struct hal_camera_ops sim_camera;

/** What can be wrong with the camera, until it is set otherwise. */
struct camera_faults {
    bool is_gone;                                    /**< unplugged, or not there yet */
    bool is_silent;                                  /**< streams without a frame */
    bool is_stuck;                                   /**< start() and configure() fail */
    unsigned drop_one_in, tear_one_in, break_one_in; /**< 0 = never; of the frames */
};

/** Before the node starts. Small pictures need one block of the store, large ones several. */
void camera_init(uint32_t width, uint32_t height);
/** Faults from now on. */
void camera_set_faults(const struct camera_faults *faults);
/** The sensor sequence drawn into a JPEG of the camera; -1 when it cannot be decoded. */
int64_t camera_read_drawing(const uint8_t *jpeg, size_t bytes);

#endif
