// SPDX-License-Identifier: MIT
#include "hal/libcamera/backend.hpp"

#if __has_include(<libcamera/orientation.h>)
#include <libcamera/orientation.h>
#define HAS_ORIENTATION 1
#else
#define HAS_ORIENTATION 0
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace pinhole
{

namespace
{

// What costs least to encode comes first. A function, because libcamera's own constants are
// initialised in no known order before main().
const auto &format_rows()
{
    static const std::array<format_row, 5> rows = {{{formats::YUV420, HAL_PIXEL_YUV420, 3},
                                                    {formats::NV12, HAL_PIXEL_NV12, 2},
                                                    {formats::YUYV, HAL_PIXEL_YUYV, 1},
                                                    {formats::MJPEG, HAL_PIXEL_MJPEG, 1},
                                                    {formats::R8, HAL_PIXEL_GREY, 1}}};
    return rows;
}

bool contains(const std::vector<PixelFormat> &pixels, PixelFormat pixel)
{
    return std::find(pixels.begin(), pixels.end(), pixel) != pixels.end();
}

// Shortest and longest frame of the camera, in us; false when it does not say.
bool frame_limits_us(const Camera &camera, double *shortest, double *longest)
{
    const ControlId *id;
    const ControlInfo *info = control_find(camera, "FrameDurationLimits", &id);
    *shortest = info != nullptr ? control_number(info->min()) : NAN;
    *longest = info != nullptr ? control_number(info->max()) : NAN;
    return *shortest > 0 && *longest >= *shortest;
}

bool is_offered(CameraConfiguration *config, const format_row &row, const Size &size)
{
    config->at(0).pixelFormat = row.pixel;
    config->at(0).size = size;
    return config->validate() != CameraConfiguration::Invalid && config->size() == 1 &&
           config->at(0).size == size && config->at(0).pixelFormat == row.pixel &&
           size.width % 2 == 0 && size.height % 2 == 0 && size.width <= HAL_CAMERA_DIMENSION_MAX &&
           size.height <= HAL_CAMERA_DIMENSION_MAX;
}

// Sizes, the largest first, that validate() leaves alone: libcamera derives its lists from ranges.
void list_modes(Camera &camera, hal_camera_info *info)
{
    double shortest_us, longest_us;
    double framerate_max =
        frame_limits_us(camera, &shortest_us, &longest_us) ? 1e6 / shortest_us : 0;
    std::unique_ptr<CameraConfiguration> config = camera_configuration(camera);
    if (!config)
        return;
    const StreamFormats offered = config->at(0).formats();
    const std::vector<PixelFormat> pixels = offered.pixelformats();
    std::vector<const format_row *> rows;
    for (const format_row &row : format_rows())
        if (contains(pixels, row.pixel))
            rows.push_back(&row);
    for (size_t i = 0; i < rows.size(); i++) {
        size_t places = HAL_CAMERA_MODES_MAX - info->mode_count;
        size_t until = info->mode_count + places / (rows.size() - i);
        std::vector<Size> sizes = offered.sizes(rows[i]->pixel);
        const Size largest = offered.range(rows[i]->pixel).max;
        if (std::find(sizes.begin(), sizes.end(), largest) == sizes.end())
            sizes.push_back(largest);
        for (auto size = sizes.rbegin(); size != sizes.rend() && info->mode_count < until; ++size)
            if (is_offered(config.get(), *rows[i], *size))
                info->mode[info->mode_count++] = {rows[i]->hal, size->width, size->height,
                                                  framerate_max};
    }
}

} // namespace

const format_row *format_find(PixelFormat pixel)
{
    for (const format_row &row : format_rows())
        if (row.pixel == pixel)
            return &row;
    return nullptr;
}

const format_row *format_choose(const std::vector<PixelFormat> &offered, hal_pixel_format wanted)
{
    const format_row *chosen = nullptr;
    for (const format_row &row : format_rows())
        if (contains(offered, row.pixel) && (chosen == nullptr || row.hal == wanted))
            chosen = &row;
    return chosen;
}

std::string camera_model(const Camera &camera)
{
    const std::string model(camera.properties().get(properties::Model).value_or(std::string()));
    return model.empty() ? camera.id() : model; // no pipeline handler has to set one
}

const ControlInfo *control_find(const Camera &camera, const std::string &name, const ControlId **id)
{
    for (const auto &[control, info] : camera.controls()) {
        if (control->name() != name)
            continue;
        *id = control;
        return &info;
    }
    return nullptr;
}

double control_number(const ControlValue &value, unsigned element)
{
    if (value.isNone() || value.numElements() <= element)
        return NAN;
    const void *data = value.data().data();
    switch (value.type()) {
    case ControlTypeBool: return static_cast<const bool *>(data)[element];
    case ControlTypeByte: return static_cast<const uint8_t *>(data)[element];
    case ControlTypeInteger32: return static_cast<const int32_t *>(data)[element];
    case ControlTypeInteger64:
        return static_cast<double>(static_cast<const int64_t *>(data)[element]);
    case ControlTypeFloat: return static_cast<double>(static_cast<const float *>(data)[element]);
    default: return NAN;
    }
}

// A libcamera too old to tell has only cameras with hardware.
bool camera_has_devices(const Camera &camera)
{
    for (const auto &[id, property] : properties::properties)
        if (property->name() == "SystemDevices")
            return camera.properties().contains(id) &&
                   camera.properties().get(id).numElements() > 0;
    return true;
}

std::unique_ptr<CameraConfiguration> camera_configuration(Camera &camera)
{
    for (StreamRole role : {StreamRole::VideoRecording, StreamRole::Viewfinder}) {
        std::unique_ptr<CameraConfiguration> config = camera.generateConfiguration({role});
        if (config && config->size() == 1)
            return config;
    }
    return nullptr;
}

void camera_describe(Camera &camera, hal_camera_info *info)
{
    static const char *const locations[] = {"front", "back", "external"};
    *info = {};
    (void)snprintf(info->id, sizeof info->id, "%s", camera.id().c_str());
    (void)snprintf(info->model, sizeof info->model, "%s", camera_model(camera).c_str());
    int32_t location = camera.properties().get(properties::Location).value_or(-1);
    if (location >= 0 && static_cast<size_t>(location) < ARRAY_SIZE(locations))
        (void)snprintf(info->location, sizeof info->location, "%s", locations[location]);
    int32_t rotation = camera.properties().get(properties::Rotation).value_or(0);
    info->rotation = static_cast<uint16_t>((rotation % 360 + 360) % 360);
    list_modes(camera, info);
}

void orientation_set(CameraConfiguration *config, bool hflip, bool vflip)
{
#if HAS_ORIENTATION
    config->orientation = hflip && vflip ? Orientation::Rotate180
                          : hflip        ? Orientation::Rotate0Mirror
                          : vflip        ? Orientation::Rotate180Mirror
                                         : Orientation::Rotate0;
#else
    config->transform = Transform::Identity;
    if (hflip)
        config->transform |= Transform::HFlip;
    if (vflip)
        config->transform |= Transform::VFlip;
#endif
}

void orientation_get(const CameraConfiguration &config, hal_camera_config *got)
{
#if HAS_ORIENTATION
    Orientation is = config.orientation;
    got->hflip = is == Orientation::Rotate0Mirror || is == Orientation::Rotate180;
    got->vflip = is == Orientation::Rotate180Mirror || is == Orientation::Rotate180;
#else
    got->hflip = !!(config.transform & Transform::HFlip);
    got->vflip = !!(config.transform & Transform::VFlip);
#endif
}

} // namespace pinhole
