// SPDX-License-Identifier: MIT
#include "hal/select/camera.h"

#include <string.h>

#include "hal/fake/camera_fake.h"
#include "hal/feature.h"
#include "hal/libcamera/features.h"
#include "hal/libcamera/load.h"
#include "hal/replay/camera_replay.h"

static const struct {
    const char *name;
    const struct hal_camera_ops *ops; /**< NULL: loaded on demand */
} backends[] = {
#ifdef HAVE_LIBCAMERA
    {"libcamera", NULL},
#endif
    {"fake", &hal_camera_fake},
    {"replay", &hal_camera_replay},
};

bool hal_camera_knows_feature(const char *name)
{
    for (unsigned i = 0; i < libcamera_row_count; i++)
        if (strcmp(libcamera_rows[i].name, name) == 0)
            return true;
    // All cameras of these two have the same controls, and list them also while closed.
    return hal_feature_find(&hal_camera_fake, name, NULL) != NULL ||
           hal_feature_find(&hal_camera_replay, name, NULL) != NULL;
}

const struct hal_camera_ops *hal_camera_backend(unsigned index)
{
    if (index >= ARRAY_SIZE(backends))
        return NULL;
    return backends[index].ops != NULL ? backends[index].ops : camera_load_libcamera();
}

const struct hal_camera_ops *hal_camera_find(const char *spec, const char **argument)
{
    size_t length = strcspn(spec, ":");
    *argument = spec[length] == ':' ? spec + length + 1 : "";
    for (unsigned i = 0; i < ARRAY_SIZE(backends); i++) {
        const char *name = backends[i].name;
        if (strlen(name) == length && strncmp(name, spec, length) == 0)
            return hal_camera_backend(i);
    }
    return NULL;
}
