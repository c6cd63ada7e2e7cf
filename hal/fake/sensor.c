// SPDX-License-Identifier: MIT
#include "hal/fake/sensor.h"

#include <errno.h>

#include "hal/feature.h"

#define AUTOMATIC_CHOICES "Off|Once|Continuous"

enum { AUTOMATIC_OFF, AUTOMATIC_ONCE, AUTOMATIC_CONTINUOUS };

enum {
    EXPOSURE_TIME,
    EXPOSURE_AUTO,
    GAIN,
    GAIN_AUTO,
    FRAME_RATE,
    TEST_PATTERN,
    EXPOSURE_MIN,
    EXPOSURE_MAX,
};

static const struct hal_feature features[] = {
    [EXPOSURE_TIME] = {"ExposureTime", HAL_FEATURE_FLOAT, "us", 10, 1000000, 1, NULL, true},
    [EXPOSURE_AUTO] = {"ExposureAuto", HAL_FEATURE_ENUM, "", 0, 2, 1, AUTOMATIC_CHOICES, true},
    [GAIN] = {"Gain", HAL_FEATURE_FLOAT, "", 1, 16, 0, NULL, true},
    [GAIN_AUTO] = {"GainAuto", HAL_FEATURE_ENUM, "", 0, 2, 1, AUTOMATIC_CHOICES, true},
    [FRAME_RATE] = {"AcquisitionFrameRate", HAL_FEATURE_FLOAT, "Hz", FAKE_SENSOR_FRAMERATE_MIN,
                    FAKE_SENSOR_FRAMERATE_MAX, 0, NULL, true},
    [TEST_PATTERN] = {"TestPattern", HAL_FEATURE_ENUM, "", 0, 2, 1, "Off|Bars|Noise", true},
    [EXPOSURE_MIN] = {"AutoExposureTimeLowerLimit", HAL_FEATURE_FLOAT, "us", 10, 1000000, 1, NULL,
                      true},
    [EXPOSURE_MAX] = {"AutoExposureTimeUpperLimit", HAL_FEATURE_FLOAT, "us", 10, 1000000, 1, NULL,
                      true},
};

static double clamp(double value, double min, double max)
{
    return value < min ? min : value > max ? max : value;
}

void fake_sensor_init(struct fake_sensor *sensor, double framerate)
{
    *sensor = (struct fake_sensor){
        .exposure_us = FAKE_SENSOR_NOMINAL_US,
        .gain = 1,
        .is_exposure_auto = true,
        .is_gain_auto = true,
        .exposure_auto_min_us = features[EXPOSURE_MIN].min,
        .exposure_auto_max_us = features[EXPOSURE_MAX].max,
        .framerate = clamp(framerate, FAKE_SENSOR_FRAMERATE_MIN, FAKE_SENSOR_FRAMERATE_MAX),
    };
}

double fake_sensor_exposure_us(const struct fake_sensor *sensor)
{
    double period_us = 1e6 / sensor->framerate;
    double wanted = sensor->exposure_us;
    if (sensor->is_exposure_auto)
        wanted = clamp(FAKE_SENSOR_NOMINAL_US / (sensor->is_gain_auto ? 1 : sensor->gain),
                       sensor->exposure_auto_min_us, sensor->exposure_auto_max_us);
    return wanted < period_us ? wanted : period_us;
}

double fake_sensor_gain(const struct fake_sensor *sensor)
{
    if (!sensor->is_gain_auto)
        return sensor->gain;
    return clamp(FAKE_SENSOR_NOMINAL_US / fake_sensor_exposure_us(sensor), features[GAIN].min,
                 features[GAIN].max);
}

uint32_t fake_sensor_brightness_milli(const struct fake_sensor *sensor)
{
    double light = fake_sensor_exposure_us(sensor) * fake_sensor_gain(sensor);
    return (uint32_t)(light * 1000 / FAKE_SENSOR_NOMINAL_US + 0.5);
}

uint64_t fake_sensor_period_ns(const struct fake_sensor *sensor)
{
    return (uint64_t)(1e9 / sensor->framerate + 0.5);
}

const struct hal_feature *fake_sensor_feature(unsigned index)
{
    return index < ARRAY_SIZE(features) ? &features[index] : NULL;
}

int fake_sensor_get(const struct fake_sensor *sensor, unsigned index, double *value)
{
    switch (index) {
    case EXPOSURE_TIME: *value = fake_sensor_exposure_us(sensor); return 0;
    case EXPOSURE_AUTO:
        *value = sensor->is_exposure_auto ? AUTOMATIC_CONTINUOUS : AUTOMATIC_OFF;
        return 0;
    case GAIN: *value = fake_sensor_gain(sensor); return 0;
    case GAIN_AUTO: *value = sensor->is_gain_auto ? AUTOMATIC_CONTINUOUS : AUTOMATIC_OFF; return 0;
    case FRAME_RATE: *value = sensor->framerate; return 0;
    case TEST_PATTERN: *value = sensor->pattern; return 0;
    case EXPOSURE_MIN: *value = sensor->exposure_auto_min_us; return 0;
    case EXPOSURE_MAX: *value = sensor->exposure_auto_max_us; return 0;
    default: return -EINVAL;
    }
}

/** Leaving an automatic mode keeps what it had chosen; "Once" chooses and is back at "Off". */
static void set_exposure_auto(struct fake_sensor *sensor, int mode)
{
    if (mode == AUTOMATIC_ONCE)
        sensor->is_exposure_auto = true;
    if (mode != AUTOMATIC_CONTINUOUS)
        sensor->exposure_us = fake_sensor_exposure_us(sensor);
    sensor->is_exposure_auto = mode == AUTOMATIC_CONTINUOUS;
}

static void set_gain_auto(struct fake_sensor *sensor, int mode)
{
    if (mode == AUTOMATIC_ONCE)
        sensor->is_gain_auto = true;
    if (mode != AUTOMATIC_CONTINUOUS)
        sensor->gain = fake_sensor_gain(sensor);
    sensor->is_gain_auto = mode == AUTOMATIC_CONTINUOUS;
}

/** A limit takes the other one along where they would cross. */
static void set_exposure_limit(struct fake_sensor *sensor, unsigned index, double value)
{
    double *low = &sensor->exposure_auto_min_us, *high = &sensor->exposure_auto_max_us;
    if (index == EXPOSURE_MIN || *low > value)
        *low = value;
    if (index == EXPOSURE_MAX || *high < value)
        *high = value;
}

int fake_sensor_set(struct fake_sensor *sensor, unsigned index, double value)
{
    const struct hal_feature *feature = fake_sensor_feature(index);
    if (feature == NULL || !hal_feature_allows(feature, value))
        return -EINVAL;
    switch (index) {
    case EXPOSURE_TIME:
        if (sensor->is_exposure_auto)
            return -EACCES;
        sensor->exposure_us = value;
        return 0;
    case EXPOSURE_AUTO: set_exposure_auto(sensor, (int)value); return 0;
    case GAIN:
        if (sensor->is_gain_auto)
            return -EACCES;
        sensor->gain = value;
        return 0;
    case GAIN_AUTO: set_gain_auto(sensor, (int)value); return 0;
    case FRAME_RATE: sensor->framerate = value; return 0;
    case EXPOSURE_MIN:
    case EXPOSURE_MAX: set_exposure_limit(sensor, index, value); return 0;
    default: sensor->pattern = (enum fake_sensor_pattern)value; return 0;
    }
}
