// SPDX-License-Identifier: MIT
#include "hal/feature.h"

#include <string.h>

const struct hal_feature *hal_feature_find(const struct hal_camera_ops *camera, const char *name,
                                           unsigned *index)
{
    const struct hal_feature *feature;
    for (unsigned i = 0; (feature = camera->feature(i)) != NULL; i++) {
        if (strcmp(feature->name, name) != 0)
            continue;
        if (index != NULL)
            *index = i;
        return feature;
    }
    return NULL;
}

bool hal_feature_is_mode(const struct hal_feature *feature)
{
    return feature->type == HAL_FEATURE_BOOLEAN || feature->type == HAL_FEATURE_ENUM;
}

bool hal_feature_allows(const struct hal_feature *feature, double value)
{
    return value >= feature->min && value <= feature->max;
}

double hal_feature_clamp(const struct hal_feature *feature, double value)
{
    if (hal_feature_is_mode(feature))
        return value;
    if (!(value >= feature->min))
        return feature->min;
    return value > feature->max ? feature->max : value;
}
