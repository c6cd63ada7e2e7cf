// SPDX-License-Identifier: MIT
// The still part of the fake camera's scene: sky, hills, the conveyor's frame and the test chart;
// or one of the test patterns.
#ifndef PINHOLE_HAL_FAKE_BACKDROP_H
#define PINHOLE_HAL_FAKE_BACKDROP_H

#include "hal/fake/paint.h"
#include "hal/fake/sensor.h"

/** The belt's place, in thousandths of the height. */
#define BACKDROP_BELT_TOP  680
#define BACKDROP_BELT_HIGH 26

/** Covers the whole canvas. */
void backdrop_draw(const struct paint *paint, enum fake_sensor_pattern pattern);

#endif
