// SPDX-License-Identifier: MIT
// What a camera says about itself: formats, sizes, controls. Part of camera_libcamera.cpp, which
// includes libcamera before it; functions of their arguments.
#ifndef PINHOLE_HAL_LIBCAMERA_DESCRIBE_HPP
#define PINHOLE_HAL_LIBCAMERA_DESCRIBE_HPP

struct format_row {
    PixelFormat pixel;
    hal_pixel_format hal;
    unsigned planes;
};

// In order of preference: what costs least to encode comes first. A function, because libcamera's
// own constants are initialised in no known order before main().
static const auto &format_rows()
{
    static const std::array<format_row, 5> rows = {{{formats::YUV420, HAL_PIXEL_YUV420, 3},
                                                    {formats::NV12, HAL_PIXEL_NV12, 2},
                                                    {formats::YUYV, HAL_PIXEL_YUYV, 1},
                                                    {formats::MJPEG, HAL_PIXEL_MJPEG, 1},
                                                    {formats::R8, HAL_PIXEL_GREY, 1}}};
    return rows;
}

static const format_row *format_row_of(PixelFormat pixel)
{
    for (const format_row &row : format_rows())
        if (row.pixel == pixel)
            return &row;
    return nullptr;
}

static bool contains(const std::vector<PixelFormat> &pixels, PixelFormat pixel)
{
    return std::find(pixels.begin(), pixels.end(), pixel) != pixels.end();
}

static std::string model_of(const Camera &camera)
{
    const std::string model(camera.properties().get(properties::Model).value_or(std::string()));
    return model.empty() ? camera.id() : model; // no pipeline handler has to set one
}

/** A control of that name that the camera lists. Null when it lists none. */
static const ControlInfo *find_control(const Camera &camera, const std::string &name,
                                       const ControlId **id)
{
    for (const auto &[control, info] : camera.controls()) {
        if (control->name() != name)
            continue;
        *id = control;
        return &info;
    }
    return nullptr;
}

/** One element of a numeric value; NAN when there is none. */
static double number_of(const ControlValue &value, unsigned element = 0)
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

/** Shortest and longest frame that the camera makes, in us; false when it does not say. */
static bool frame_limits_us(const Camera &camera, double *shortest, double *longest)
{
    const ControlId *id;
    const ControlInfo *info = find_control(camera, "FrameDurationLimits", &id);
    *shortest = info != nullptr ? number_of(info->min()) : NAN;
    *longest = info != nullptr ? number_of(info->max()) : NAN;
    return *shortest > 0 && *longest >= *shortest;
}

/** True when there is hardware behind the camera. What has none is filled by the CPU, as fast as it
 * gets buffers. A libcamera too old to tell has no such cameras. */
static bool has_devices(const Camera &camera)
{
    for (const auto &[id, property] : properties::properties)
        if (property->name() == "SystemDevices")
            return camera.properties().contains(id) &&
                   camera.properties().get(id).numElements() > 0;
    return true;
}

static std::unique_ptr<CameraConfiguration> default_configuration(Camera &camera)
{
    for (StreamRole role : {StreamRole::VideoRecording, StreamRole::Viewfinder}) {
        std::unique_ptr<CameraConfiguration> config = camera.generateConfiguration({role});
        if (config && config->size() == 1)
            return config;
    }
    return nullptr;
}

static bool is_offered(CameraConfiguration *config, const format_row &row, const Size &size)
{
    config->at(0).pixelFormat = row.pixel;
    config->at(0).size = size;
    return config->validate() != CameraConfiguration::Invalid && config->size() == 1 &&
           config->at(0).size == size && config->at(0).pixelFormat == row.pixel &&
           size.width % 2 == 0 && size.height % 2 == 0 && size.width <= HAL_CAMERA_DIMENSION_MAX &&
           size.height <= HAL_CAMERA_DIMENSION_MAX;
}

/** Sizes, the largest first, that validate() leaves alone: libcamera derives its lists from ranges.
 */
static void list_modes(Camera &camera, hal_camera_info *info)
{
    double shortest_us, longest_us;
    double framerate_max =
        frame_limits_us(camera, &shortest_us, &longest_us) ? 1e6 / shortest_us : 0;
    std::unique_ptr<CameraConfiguration> config = default_configuration(camera);
    if (!config)
        return;
    const StreamFormats offered = config->at(0).formats();
    const std::vector<PixelFormat> pixels = offered.pixelformats();
    unsigned left = 0;
    for (const format_row &row : format_rows())
        left += contains(pixels, row.pixel);
    for (const format_row &row : format_rows()) {
        if (!contains(pixels, row.pixel))
            continue;
        unsigned until = info->mode_count + (HAL_CAMERA_MODES_MAX - info->mode_count) / left--;
        std::vector<Size> sizes = offered.sizes(row.pixel);
        const Size largest = offered.range(row.pixel).max;
        if (std::find(sizes.begin(), sizes.end(), largest) == sizes.end())
            sizes.push_back(largest);
        for (auto size = sizes.rbegin(); size != sizes.rend() && info->mode_count < until; ++size)
            if (is_offered(config.get(), row, *size))
                info->mode[info->mode_count++] = {row.hal, size->width, size->height,
                                                  framerate_max};
    }
}

static void describe_camera(Camera &camera, hal_camera_info *info)
{
    static const char *const locations[] = {"front", "back", "external"};
    *info = {};
    (void)snprintf(info->id, sizeof info->id, "%s", camera.id().c_str());
    (void)snprintf(info->model, sizeof info->model, "%s", model_of(camera).c_str());
    int32_t location = camera.properties().get(properties::Location).value_or(-1);
    if (location >= 0 && static_cast<size_t>(location) < ARRAY_SIZE(locations))
        (void)snprintf(info->location, sizeof info->location, "%s", locations[location]);
    int32_t rotation = camera.properties().get(properties::Rotation).value_or(0);
    info->rotation = static_cast<uint16_t>((rotation % 360 + 360) % 360);
    list_modes(camera, info);
}

static void set_orientation(CameraConfiguration *config, bool hflip, bool vflip)
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

static void get_orientation(const CameraConfiguration &config, hal_camera_config *got)
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

#endif
