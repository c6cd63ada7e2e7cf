// SPDX-License-Identifier: MIT
#include "hal/camera.h"

#include <errno.h>
#include <string.h>

#include "hal/libcamera/features.h"
#include "hal/libcamera/load.h"

static const struct {
    const char *name;
    const struct hal_camera_ops *ops; // NULL: loaded when it is asked for
} backends[] = {
#ifdef HAVE_LIBCAMERA
    {"libcamera", NULL},
#endif
    {"fake", &hal_camera_fake},
    {"replay", &hal_camera_replay},
};

static const char *const format_names[HAL_PIXEL_FORMATS] = {
    [HAL_PIXEL_ANY] = "any",   [HAL_PIXEL_YUV420] = "YUV420", [HAL_PIXEL_NV12] = "NV12",
    [HAL_PIXEL_YUYV] = "YUYV", [HAL_PIXEL_GREY] = "GREY",     [HAL_PIXEL_MJPEG] = "MJPEG",
};

const char *hal_pixel_format_name(enum hal_pixel_format format)
{
    return (unsigned)format < HAL_PIXEL_FORMATS ? format_names[format] : "?";
}

int hal_pixel_format_parse(const char *name)
{
    for (int i = 0; i < HAL_PIXEL_FORMATS; i++)
        if (strcmp(name, format_names[i]) == 0)
            return i;
    return -EINVAL;
}

unsigned hal_pixel_format_planes(enum hal_pixel_format format)
{
    switch (format) {
    case HAL_PIXEL_YUV420: return 3;
    case HAL_PIXEL_NV12: return 2;
    case HAL_PIXEL_YUYV:
    case HAL_PIXEL_GREY: return 1;
    default: return 0;
    }
}

struct hal_plane hal_pixel_format_plane(enum hal_pixel_format format, uint32_t width,
                                        uint32_t height, unsigned plane)
{
    if (plane > 0)
        return (struct hal_plane){.stride = format == HAL_PIXEL_YUV420 ? width / 2 : width,
                                  .rows = height / 2};
    return (struct hal_plane){.stride = format == HAL_PIXEL_YUYV ? 2 * width : width,
                              .rows = height};
}

static bool has_feature(const struct hal_camera_ops *camera, const char *name)
{
    const struct hal_feature *feature;
    for (unsigned i = 0; (feature = camera->feature(i)) != NULL; i++)
        if (strcmp(feature->name, name) == 0)
            return true;
    return false;
}

bool hal_camera_knows_feature(const char *name)
{
    for (unsigned i = 0; i < libcamera_row_count; i++)
        if (strcmp(libcamera_rows[i].name, name) == 0)
            return true;
    // Each of their cameras has the same controls, so these two list them when none is open, too.
    return has_feature(&hal_camera_fake, name) || has_feature(&hal_camera_replay, name);
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
