// SPDX-License-Identifier: MIT
#include "app/features.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config/config.h"
#include "hal/select/camera.h"

#define VALUE_BYTES (CONFIG_STRING_BYTES + 1)

/** A feature of the node: a key of the configuration under its SFNC name. */
struct binding {
    const char *name, *key;
    double increment;
    unsigned apply;
    bool is_writable;
};

static const struct binding bindings[] = {
    {"DeviceUserID", "node.name", 0, FEATURES_APPLY_NOTHING, false},
    {"Width", "camera.width", 2, FEATURES_APPLY_CAMERA, true},
    {"Height", "camera.height", 2, FEATURES_APPLY_CAMERA, true},
    {"PixelFormat", "camera.format", 0, FEATURES_APPLY_CAMERA, true},
    {"ReverseX", "camera.hflip", 0, FEATURES_APPLY_CAMERA, true},
    {"ReverseY", "camera.vflip", 0, FEATURES_APPLY_CAMERA, true},
    {"AcquisitionFrameRate", "camera.framerate", 0, FEATURES_APPLY_FRAMERATE, true},
    {"ImageCompressionQuality", "jpeg.quality", 1, FEATURES_APPLY_RATE, true},
    {"ImageCompressionQualityMin", "jpeg.quality_min", 1, FEATURES_APPLY_RATE, true},
    {"ImageCompressionBitrate", "jpeg.bit_rate", 1, FEATURES_APPLY_RATE, true},
    {"PayloadSizeMax", "jpeg.frame_bytes_max", 1, FEATURES_APPLY_NOTHING, false},
    {"TriggerMode", "trigger.mode", 0, FEATURES_APPLY_TRIGGER | FEATURES_APPLY_RATE, true},
    {"TriggerSource", "trigger.source", 0, FEATURES_APPLY_TRIGGER, true},
    {"TriggerActivation", "trigger.activation", 0, FEATURES_APPLY_TRIGGER, true},
    {"TriggerDelay", "trigger.delay_us", 1, FEATURES_APPLY_TRIGGER, true},
    {"TriggerDivider", "trigger.divider", 1, FEATURES_APPLY_TRIGGER, true},
    {"TriggerHoldOff", "trigger.hold_off_us", 1, FEATURES_APPLY_TRIGGER, true},
    {"TriggerTimerPeriod", "trigger.timer_period_ms", 1, FEATURES_APPLY_TRIGGER, true},
    {"AcquisitionBurstFrameCount", "trigger.burst_frames", 1, FEATURES_APPLY_TRIGGER, true},
    {"PretriggerFrameCount", "trigger.pretrigger_frames", 1, FEATURES_APPLY_TRIGGER, true},
};

static const struct binding *find_binding(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(bindings); i++)
        if (strcmp(bindings[i].name, name) == 0)
            return &bindings[i];
    return NULL;
}

/** The open camera's own feature of that name, unless the node has one of the same name. */
static const struct hal_feature *find_camera_feature(const struct node_camera *camera,
                                                     const char *name, unsigned *index)
{
    if (!camera->is_open || find_binding(name) != NULL)
        return NULL;
    return hal_feature_find(camera->ops, name, index);
}

/** The value that is in force: of the frame rate it may be less than what was wished for. */
static void format_binding(const struct node_camera *camera, const struct binding *binding,
                           char *out)
{
    const struct config *config = camera->config;
    const struct config_key *key = config_find(binding->key);
    double rate = node_camera_framerate(camera);
    if (binding->apply == FEATURES_APPLY_FRAMERATE && rate < config->framerate)
        snprintf(out, VALUE_BYTES, "%.10g", rate);
    else if (key->type == CONFIG_BOOLEAN)
        snprintf(out, VALUE_BYTES, "%d", *(const bool *)((const char *)config + key->offset));
    else if (key->type == CONFIG_SIZE)
        snprintf(out, VALUE_BYTES, "%llu",
                 (unsigned long long)*(const uint64_t *)(const void *)((const char *)config +
                                                                       key->offset));
    else
        config_format(config, key, out, VALUE_BYTES);
}

/** The n-th of "Off|Once|Continuous" as a length and a pointer; length 0 past the last. */
static int choice_at(const char *choices, unsigned n, const char **at)
{
    while (n-- > 0) {
        choices = strchr(choices, '|');
        if (choices == NULL)
            return 0;
        choices++;
    }
    *at = choices;
    return (int)strcspn(choices, "|");
}

static void format_camera(const struct hal_feature *feature, double value, char *out)
{
    const char *choice = "";
    if (feature->type == HAL_FEATURE_ENUM) {
        int length = choice_at(feature->choices, (unsigned)value, &choice);
        snprintf(out, VALUE_BYTES, "%.*s", length, choice);
    } else {
        snprintf(out, VALUE_BYTES, "%.10g", value);
    }
}

static const char *config_type_name(enum config_type type)
{
    switch (type) {
    case CONFIG_INTEGER:
    case CONFIG_SIZE: return "Integer";
    case CONFIG_FLOAT: return "Float";
    case CONFIG_BOOLEAN: return "Boolean";
    case CONFIG_ENUM: return "Enum";
    case CONFIG_STRING: break;
    }
    return "String";
}

static void list_binding(const struct node_camera *camera, const struct binding *binding,
                         struct reply *out)
{
    const struct config_key *key = config_find(binding->key);
    char value[VALUE_BYTES], range[64] = "\t", increment[24] = "";
    format_binding(camera, binding, value);
    bool is_number = key->type <= CONFIG_FLOAT;
    if (is_number)
        snprintf(range, sizeof range, "%.10g\t%.10g", key->min, key->max);
    if (binding->increment > 0)
        snprintf(increment, sizeof increment, "%g", binding->increment);
    reply_add(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", binding->name, value,
              config_type_name(key->type), is_number ? key->unit : "", range, increment,
              binding->is_writable ? "rw" : "ro", key->type == CONFIG_ENUM ? key->unit : "",
              key->help);
}

/** The camera's feature with the range that it has under these settings. The frame rate wins over
 * the exposure: that ends with the frame period, unless the sensor is triggered itself. */
static struct hal_feature limit_feature(const struct node_camera *camera,
                                        const struct config *config,
                                        const struct hal_feature *feature)
{
    struct hal_feature limited = *feature;
    bool has_rate =
        config->trigger_mode == CONFIG_TRIGGER_OFF || config->trigger_rule != CONFIG_RULE_EXTERNAL;
    if (!has_rate || strcmp(feature->name, "ExposureTime") != 0)
        return limited;
    bool is_new_rate = config->framerate < camera->config->framerate ||
                       config->framerate > camera->config->framerate;
    double rate = is_new_rate ? config->framerate : camera->got.framerate;
    if (rate > 0 && 1e6 / rate < limited.max)
        limited.max = 1e6 / rate;
    return limited;
}

static void list_camera(const struct node_camera *camera, unsigned index,
                        const struct hal_feature *any, struct reply *out)
{
    const struct hal_feature limited = limit_feature(camera, camera->config, any);
    const struct hal_feature *feature = &limited;
    static const char *const types[] = {"Integer", "Float", "Boolean", "Enum"};
    double number = 0;
    char value[VALUE_BYTES] = "", range[64] = "\t", increment[24] = "";
    if (camera->ops->feature_get(index, &number) == 0)
        format_camera(feature, number, value);
    if (feature->type == HAL_FEATURE_INTEGER || feature->type == HAL_FEATURE_FLOAT) {
        snprintf(range, sizeof range, "%.10g\t%.10g", feature->min, feature->max);
        if (feature->increment > 0)
            snprintf(increment, sizeof increment, "%g", feature->increment);
    }
    reply_add(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", feature->name, value, types[feature->type],
              feature->unit, range, increment, feature->is_writable ? "rw" : "ro",
              feature->choices != NULL ? feature->choices : "");
}

/** Features that are no setting. */
static void list_fixed(const struct node_camera *camera, struct reply *out)
{
    reply_add(out, "DeviceModelName\t%s\tString\t\t\t\t\tro\t\tThe camera\n", camera->model);
    reply_add(out,
              "DeviceSerialNumber\t%s\tString\t\t\t\t\tro\t\tThe camera's id where one is "
              "configured, else the machine's\n",
              camera->serial);
    reply_add(out, "DeviceFirmwareVersion\t%s\tString\t\t\t\t\tro\t\tVersion of the node\n",
              PINHOLE_VERSION);
    reply_add(out, "TriggerSoftware\t\tCommand\t\t\t\t\two\t\tTriggers once\n");
}

void features_list(const struct node_camera *camera, struct reply *out)
{
    list_fixed(camera, out);
    for (unsigned i = 0; i < ARRAY_SIZE(bindings); i++)
        list_binding(camera, &bindings[i], out);
    const struct hal_feature *feature;
    for (unsigned i = 0; camera->is_open && (feature = camera->ops->feature(i)) != NULL; i++)
        if (find_binding(feature->name) == NULL)
            list_camera(camera, i, feature, out);
}

/** Appends one `Name=value` line. False when there is no such feature, or not now. */
static bool add_value(const struct node_camera *camera, const char *name, struct reply *out)
{
    char value[VALUE_BYTES];
    unsigned index;
    double number;
    const struct hal_feature *feature;
    const struct binding *binding = find_binding(name);
    if (binding != NULL)
        format_binding(camera, binding, value);
    else if (strcmp(name, "DeviceModelName") == 0)
        snprintf(value, sizeof value, "%s", camera->model);
    else if (strcmp(name, "DeviceSerialNumber") == 0)
        snprintf(value, sizeof value, "%s", camera->serial);
    else if (strcmp(name, "DeviceFirmwareVersion") == 0)
        snprintf(value, sizeof value, "%s", PINHOLE_VERSION);
    else if ((feature = find_camera_feature(camera, name, &index)) != NULL &&
             camera->ops->feature_get(index, &number) == 0)
        format_camera(feature, number, value);
    else
        return false;
    reply_add(out, "%s=%s\n", name, value);
    return true;
}

int features_refuse(struct reply *out, int code, const char *name, const char *why)
{
    *out = reply_begin(out->data, out->size);
    reply_add(out, "%.64s: %s", name, why);
    return -code;
}

/** Why a feature cannot be had: there is no such, or it is the business of a camera that is not
 * there now. */
static int refuse_absent(const struct node_camera *camera, struct reply *out, const char *name)
{
    unsigned index;
    if (!camera->is_open && hal_camera_knows_feature(name))
        return features_refuse(out, WIRE_ERROR_UNAVAILABLE, name, "the camera is not there now");
    if (find_camera_feature(camera, name, &index) != NULL)
        return features_refuse(out, WIRE_ERROR_UNAVAILABLE, name, "the camera cannot tell now");
    return features_refuse(out, WIRE_ERROR_UNKNOWN_FEATURE, name, "no such feature");
}

static void add_all(const struct node_camera *camera, struct reply *out)
{
    static const char *const fixed[] = {"DeviceModelName", "DeviceSerialNumber",
                                        "DeviceFirmwareVersion"};
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
        add_value(camera, fixed[i], out);
    for (unsigned i = 0; i < ARRAY_SIZE(bindings); i++)
        add_value(camera, bindings[i].name, out);
    const struct hal_feature *feature;
    for (unsigned i = 0; camera->is_open && (feature = camera->ops->feature(i)) != NULL; i++)
        if (find_binding(feature->name) == NULL)
            add_value(camera, feature->name, out);
}

int features_get(const struct node_camera *camera, char *text, struct reply *out)
{
    char *rest = text, *name;
    if (text[0] == '\0')
        add_all(camera, out);
    while ((name = strsep(&rest, "\n")) != NULL)
        if (name[0] != '\0' && !add_value(camera, name, out))
            return refuse_absent(camera, out, name);
    return 0;
}

/** Reads a camera feature's value from text and checks its range. */
static int parse_camera(const struct hal_feature *feature, struct features_change *change,
                        struct reply *out)
{
    char why[160];
    if (!feature->is_writable)
        return features_refuse(out, WIRE_ERROR_READ_ONLY, change->name, "is read only");
    if (feature->type == HAL_FEATURE_ENUM) {
        const char *choice = "";
        for (unsigned i = 0;; i++) {
            int length = choice_at(feature->choices, i, &choice);
            if (length == 0)
                break;
            if (strlen(change->text) == (size_t)length &&
                strncmp(choice, change->text, (size_t)length) == 0) {
                change->value = i;
                return 0;
            }
        }
        snprintf(why, sizeof why, "\"%.32s\" is not one of %.90s", change->text, feature->choices);
        return features_refuse(out, WIRE_ERROR_BAD_VALUE, change->name, why);
    }
    char *end;
    change->value = strtod(change->text, &end);
    if (end == change->text || *end != '\0') {
        snprintf(why, sizeof why, "\"%.32s\" is not a number", change->text);
        return features_refuse(out, WIRE_ERROR_BAD_VALUE, change->name, why);
    }
    if (!hal_feature_allows(feature, change->value)) {
        snprintf(why, sizeof why, "%.32s is outside %.10g to %.10g %s%s", change->text,
                 feature->min, feature->max, feature->unit,
                 strcmp(feature->name, "ExposureTime") == 0
                     ? "; AcquisitionFrameRate sets the end of the range"
                     : "");
        return features_refuse(out, WIRE_ERROR_BAD_VALUE, change->name, why);
    }
    return 0;
}

/** Checks a line that sets a key of the configuration, and sets it in the wish. */
static int check_binding(const struct binding *binding, struct features_change *change,
                         struct features_wish *wish, struct reply *out)
{
    struct config_error error;
    if (!binding->is_writable)
        return features_refuse(out, WIRE_ERROR_READ_ONLY, change->name, "is read only");
    if (config_set(&wish->config, binding->key, change->text, change->name, &error) < 0) {
        *out = reply_begin(out->data, out->size);
        reply_add(out, "%s", error.text);
        return -WIRE_ERROR_BAD_VALUE;
    }
    const struct config_key *key = config_find(binding->key);
    const uint32_t *number = (const void *)((const char *)&wish->config + key->offset);
    uint32_t increment = (uint32_t)binding->increment;
    if (key->type == CONFIG_INTEGER && increment > 1 && *number % increment != 0)
        return features_refuse(out, WIRE_ERROR_BAD_VALUE, change->name, "is not an even number");
    change->target = FEATURES_TARGET_NODE;
    wish->apply |= binding->apply;
    return 0;
}

/** Checks one line against the wish's configuration or the camera's ranges. */
static int check_change(const struct node_camera *camera, struct features_change *change,
                        struct features_wish *wish, struct reply *out)
{
    const struct binding *binding = find_binding(change->name);
    if (binding != NULL)
        return check_binding(binding, change, wish, out);
    if (strcmp(change->name, "TriggerSoftware") == 0) {
        change->target = FEATURES_TARGET_COMMAND;
        wish->apply |= FEATURES_APPLY_SOFTWARE_TRIGGER;
        return 0;
    }
    const struct hal_feature *feature = find_camera_feature(camera, change->name, &change->index);
    if (feature != NULL) {
        change->target = FEATURES_TARGET_CAMERA;
        change->is_mode = hal_feature_is_mode(feature);
        struct hal_feature limited = limit_feature(camera, &wish->config, feature);
        return parse_camera(&limited, change, out);
    }
    if (strncmp(change->name, "Device", 6) == 0)
        return features_refuse(out, WIRE_ERROR_READ_ONLY, change->name, "is read only");
    return refuse_absent(camera, out, change->name);
}

/** Splits the text into lines of name and value. 0 or the negative of a wire_error_code. */
static int split(char *text, struct features_wish *wish, struct reply *out)
{
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (line[0] == '\0')
            continue;
        char *value = strchr(line, '=');
        if (value == NULL)
            return features_refuse(out, WIRE_ERROR_BAD_VALUE, line, "this is not Name=value");
        if (wish->count == FEATURES_LINES_MAX)
            return features_refuse(out, WIRE_ERROR_BAD_VALUE, line, "too many lines in one SET");
        *value = '\0';
        wish->change[wish->count++] = (struct features_change){.name = line, .text = value + 1};
    }
    return 0;
}

int features_parse(const struct node_camera *camera, char *text, struct features_wish *wish,
                   struct reply *out)
{
    struct config_error error;
    wish->config = *camera->config;
    wish->apply = wish->count = 0;
    int status = split(text, wish, out);
    // The node's own features first, because the camera's ranges depend on them.
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; status == 0 && i < wish->count; i++)
            if ((find_binding(wish->change[i].name) != NULL) == (pass == 0))
                status = check_change(camera, &wish->change[i], wish, out);
    if (status < 0)
        return status;
    if (config_check(&wish->config, &error) < 0) {
        reply_add(out, "%s", error.text);
        return -WIRE_ERROR_BAD_VALUE;
    }
    return 0;
}

void features_report(const struct node_camera *camera, const struct features_wish *wish,
                     struct reply *out)
{
    for (unsigned i = 0; i < wish->count; i++)
        if (wish->change[i].target != FEATURES_TARGET_COMMAND)
            add_value(camera, wish->change[i].name, out);
}
