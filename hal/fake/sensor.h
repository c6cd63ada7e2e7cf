// SPDX-License-Identifier: MIT
// The controls of the fake camera: exposure, gain, frame rate and their automatic modes. Pure.
#ifndef PINHOLE_HAL_FAKE_SENSOR_H
#define PINHOLE_HAL_FAKE_SENSOR_H

#include "hal/camera.h"

/** Exposure time x gain that shows the scene as it is meant to look; the automatic modes aim at it.
 * Twice as much light makes the scene twice as bright until it clips. */
#define FAKE_SENSOR_NOMINAL_US    8000
#define FAKE_SENSOR_FRAMERATE_MIN 0.1
#define FAKE_SENSOR_FRAMERATE_MAX 240.0

/** Feature TestPattern: what replaces the scene. */
enum fake_sensor_pattern { FAKE_PATTERN_OFF, FAKE_PATTERN_BARS, FAKE_PATTERN_NOISE };

struct fake_sensor {
    double exposure_us, gain; /**< as set by hand */
    bool is_exposure_auto, is_gain_auto;
    double exposure_auto_min_us, exposure_auto_max_us; /**< what ExposureAuto may choose */
    double framerate;
    enum fake_sensor_pattern pattern;
};

/** Both automatics on, pattern off. */
void fake_sensor_init(struct fake_sensor *sensor, double framerate);

/** What the next frame gets. Exposure never exceeds the frame period. */
double fake_sensor_exposure_us(const struct fake_sensor *sensor);
double fake_sensor_gain(const struct fake_sensor *sensor);
/** 1000 = as meant. */
uint32_t fake_sensor_brightness_milli(const struct fake_sensor *sensor);
uint64_t fake_sensor_period_ns(const struct fake_sensor *sensor);

/** As in hal_camera_ops; -EINVAL for an index past the last and a value out of range. */
const struct hal_feature *fake_sensor_feature(unsigned index);
int fake_sensor_get(const struct fake_sensor *sensor, unsigned index, double *value);
int fake_sensor_set(struct fake_sensor *sensor, unsigned index, double value);

#endif
