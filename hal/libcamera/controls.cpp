// SPDX-License-Identifier: MIT
#include "hal/libcamera/backend.hpp"

#include <array>
#include <cmath>

namespace pinhole
{

namespace
{

// The automatic modes of libcamera 0.5 and later, and AfMode, AfTrigger, as its control ids give
// them.
constexpr int MODE_AUTOMATIC = 0, MODE_MANUAL = 1;
constexpr int FOCUS_MANUAL = 0, FOCUS_ONCE = 1, FOCUS_CONTINUOUS = 2;

struct control_names {
    std::string newer, older; // older is empty for most
};

control_names names_of(const libcamera_row &row)
{
    const std::string names = row.control;
    size_t bar = names.find('|');
    return {names.substr(0, bar), bar == std::string::npos ? "" : names.substr(bar + 1)};
}

// The control of a row, or null. An older control covers all the newer ones that replaced it. A
// camera that lists one of those still lists the older control, which then has no effect on the
// others. Example: AeEnable on USB cameras, whose exposure is automatic and whose gain is not.
const ControlInfo *find_row_control(const Camera &camera, const libcamera_row &row,
                                    const ControlId **id)
{
    const control_names names = names_of(row);
    const ControlInfo *info = control_find(camera, names.newer, id);
    if (info != nullptr || names.older.empty())
        return info;
    for (unsigned i = 0; i < libcamera_row_count; i++) {
        const control_names others = names_of(libcamera_rows[i]);
        if (others.older == names.older && control_find(camera, others.newer, id) != nullptr)
            return nullptr;
    }
    return control_find(camera, names.older, id);
}

double crop_element(const Rectangle &crop, libcamera_part part)
{
    switch (part) {
    case PART_CROP_X: return crop.x;
    case PART_CROP_Y: return crop.y;
    case PART_CROP_WIDTH: return crop.width;
    default: return crop.height;
    }
}

struct range {
    double min, max, value;
};

// A rectangle's limits are its smallest and its largest one; the default is the largest.
range crop_range(const ControlInfo &info, libcamera_part part)
{
    if (info.max().type() != ControlTypeRectangle || info.min().type() != ControlTypeRectangle)
        return {NAN, NAN, NAN};
    const Rectangle least = info.min().get<Rectangle>(), most = info.max().get<Rectangle>();
    double value = crop_element(most, part);
    switch (part) {
    case PART_CROP_X: return {value, value + most.width - least.width, value};
    case PART_CROP_Y: return {value, value + most.height - least.height, value};
    default: return {crop_element(least, part), value, value};
    }
}

range automatic_range(double most, bool is_off)
{
    return {double{AUTO_OFF}, most, is_off ? double{AUTO_OFF} : double{AUTO_CONTINUOUS}};
}

range range_of(const ControlInfo &info, const libcamera_row &row)
{
    double min = control_number(info.min()), max = control_number(info.max()),
           value = control_number(info.def());
    bool is_switch = info.max().type() == ControlTypeBool;
    switch (row.part) {
    case PART_RATE: return {1e6 / max, 1e6 / min, 1e6 / min};
    case PART_AUTO_EXPOSURE:
    case PART_AUTO_WHITE:
        return automatic_range(AUTO_CONTINUOUS, value == (is_switch ? 0.0 : double{MODE_MANUAL}));
    case PART_AUTO_FOCUS:
        return automatic_range(max < FOCUS_CONTINUOUS ? double{AUTO_ONCE} : double{AUTO_CONTINUOUS},
                               value != double{FOCUS_CONTINUOUS});
    case PART_CROP_X:
    case PART_CROP_Y:
    case PART_CROP_WIDTH:
    case PART_CROP_HEIGHT: return crop_range(info, row.part);
    case PART_CHOICE: return {0, 0, 0};
    default: return {min, max, std::isnan(value) ? min : value};
    }
}

void bind_choices(libcamera_feature *feature, const ControlInfo &info)
{
    int32_t values[LIBCAMERA_CHOICES_MAX];
    unsigned count = 0;
    for (const ControlValue &value : info.values())
        if (count < LIBCAMERA_CHOICES_MAX)
            values[count++] = static_cast<int32_t>(control_number(value));
    libcamera_feature_choose(feature, values, count);
}

double sibling(const libcamera_features &features, const libcamera_feature &feature,
               libcamera_part part)
{
    for (unsigned i = 0; i < features.count; i++) {
        double value = 0;
        if (features.feature[i].control == feature.control &&
            features.feature[i].row->part == part &&
            libcamera_features_get(&features, i, &value) == 0)
            return value;
    }
    return 0;
}

ControlValue number_value(int type, double value)
{
    switch (type) {
    case ControlTypeBool: return ControlValue(value != 0);
    case ControlTypeByte: return ControlValue(static_cast<uint8_t>(value));
    case ControlTypeInteger64: return ControlValue(static_cast<int64_t>(std::llround(value)));
    case ControlTypeFloat: return ControlValue(static_cast<float>(value));
    default: return ControlValue(static_cast<int32_t>(std::lround(value)));
    }
}

ControlValue automatic_value(const libcamera_feature &feature)
{
    int mode = static_cast<int>(feature.value);
    if (feature.row->part == PART_AUTO_FOCUS)
        return ControlValue(int32_t{mode == AUTO_OFF    ? FOCUS_MANUAL
                                    : mode == AUTO_ONCE ? FOCUS_ONCE
                                                        : FOCUS_CONTINUOUS});
    if (feature.type == ControlTypeBool)
        return ControlValue(mode != AUTO_OFF);
    return ControlValue(int32_t{mode == AUTO_OFF ? MODE_MANUAL : MODE_AUTOMATIC});
}

ControlValue value_of(const libcamera_features &features, const libcamera_feature &f)
{
    switch (f.row->part) {
    case PART_FIRST:
    case PART_SECOND: {
        const float pair[2] = {static_cast<float>(sibling(features, f, PART_FIRST)),
                               static_cast<float>(sibling(features, f, PART_SECOND))};
        return ControlValue(Span<const float, 2>(pair));
    }
    case PART_RATE: {
        const int64_t duration = std::llround(1e6 / f.value);
        const int64_t limits[2] = {duration, duration};
        return ControlValue(Span<const int64_t, 2>(limits));
    }
    case PART_CROP_X:
    case PART_CROP_Y:
    case PART_CROP_WIDTH:
    case PART_CROP_HEIGHT:
        return ControlValue(
            Rectangle(static_cast<int>(sibling(features, f, PART_CROP_X)),
                      static_cast<int>(sibling(features, f, PART_CROP_Y)),
                      static_cast<unsigned>(sibling(features, f, PART_CROP_WIDTH)),
                      static_cast<unsigned>(sibling(features, f, PART_CROP_HEIGHT))));
    case PART_AUTO_EXPOSURE:
    case PART_AUTO_WHITE:
    case PART_AUTO_FOCUS: return automatic_value(f);
    case PART_CHOICE: return ControlValue(f.choice[static_cast<unsigned>(f.value)]);
    default: return number_value(f.type, f.value);
    }
}

struct metadata_row {
    unsigned id;
    libcamera_live live;
    unsigned element;
};

// Ids by name: AeLocked (to 0.4) and AeState (from 0.5) do not exist in every version.
unsigned control_id(const char *name)
{
    for (const auto &[id, control] : controls::controls)
        if (control->name() == name)
            return id;
    return 0;
}

const auto &metadata_rows()
{
    static const std::array<metadata_row, 11> rows = {{
        {controls::ExposureTime.id(), LIVE_EXPOSURE_US, 0},
        {controls::AnalogueGain.id(), LIVE_GAIN, 0},
        {controls::DigitalGain.id(), LIVE_DIGITAL_GAIN, 0},
        {controls::FrameDuration.id(), LIVE_DURATION_US, 0},
        {controls::ColourTemperature.id(), LIVE_TEMPERATURE_K, 0},
        {controls::Lux.id(), LIVE_LUX, 0},
        {controls::LensPosition.id(), LIVE_LENS, 0},
        {controls::ColourGains.id(), LIVE_RED, 0},
        {controls::ColourGains.id(), LIVE_BLUE, 1},
        {controls::SensorBlackLevels.id(), LIVE_BLACK, 0},
        {control_id("AeLocked"), LIVE_SETTLED, 0},
    }};
    return rows;
}

void note(libcamera_completion *completion, libcamera_live live, double value)
{
    if (!std::isfinite(value))
        return;
    completion->live[live] = value;
    completion->live_mask |= 1u << live;
}

} // namespace

void controls_bind(const Camera &camera, libcamera_features *features)
{
    libcamera_features_clear(features);
    for (unsigned i = 0; i < libcamera_row_count; i++) {
        const ControlId *id;
        const ControlInfo *info = find_row_control(camera, libcamera_rows[i], &id);
        if (info == nullptr)
            continue;
        range limits = range_of(*info, libcamera_rows[i]);
        // A range that says nothing offers nothing to set.
        if (!(limits.min <= limits.max) || !std::isfinite(limits.min) || !std::isfinite(limits.max))
            continue;
        libcamera_feature *feature =
            libcamera_features_add(features, &libcamera_rows[i], id->id(), id->type(), limits.min,
                                   limits.max, limits.value);
        if (feature != nullptr && libcamera_rows[i].part == PART_CHOICE)
            bind_choices(feature, *info);
    }
}

void controls_send(libcamera_features *features, ControlList *controls)
{
    for (unsigned i = 0; i < features->count; i++) {
        libcamera_feature &feature = features->feature[i];
        if (!feature.is_changed)
            continue;
        controls->set(feature.control, value_of(*features, feature));
        if (feature.row->part == PART_AUTO_FOCUS && static_cast<int>(feature.value) == AUTO_ONCE)
            controls->set(controls::AfTrigger, static_cast<int32_t>(controls::AfTriggerStart));
        feature.is_changed = false;
    }
    features->is_changed = false;
}

void controls_read(const ControlList &metadata, libcamera_completion *completion)
{
    static const unsigned ae_state = control_id("AeState");
    constexpr int ae_converged = 2;
    for (const metadata_row &row : metadata_rows())
        if (row.id != 0 && metadata.contains(row.id))
            note(completion, row.live, control_number(metadata.get(row.id), row.element));
    if (ae_state != 0 && metadata.contains(ae_state))
        note(completion, LIVE_SETTLED, control_number(metadata.get(ae_state)) == ae_converged);
    if (const auto crop = metadata.get(controls::ScalerCrop)) {
        note(completion, LIVE_CROP_X, crop->x);
        note(completion, LIVE_CROP_Y, crop->y);
        note(completion, LIVE_CROP_WIDTH, crop->width);
        note(completion, LIVE_CROP_HEIGHT, crop->height);
    }
    completion->timestamp_ns =
        static_cast<uint64_t>(metadata.get(controls::SensorTimestamp).value_or(0));
}

} // namespace pinhole
