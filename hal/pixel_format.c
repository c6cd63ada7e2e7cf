// SPDX-License-Identifier: MIT
#include "hal/camera.h"

#include <errno.h>
#include <string.h>

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
