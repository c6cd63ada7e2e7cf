// SPDX-License-Identifier: MIT
#include "hal/libcamera/features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hal/feature.h"

#define AUTOMATIC_CHOICES "Off|Once|Continuous"

/** Where the camera does not report convergence, a result that is steady this long counts as it. */
#define STEADY_FRAMES   10
#define SETTLING_FRAMES 120

#define FEATURE(name, type, unit, control, part, live, owner, writable)                            \
    {#name, HAL_FEATURE_##type, unit, control, part, live, owner, writable},
const struct libcamera_row libcamera_rows[] = {
#include "hal/libcamera/features.def"
};
const unsigned libcamera_row_count = ARRAY_SIZE(libcamera_rows);

_Static_assert(ARRAY_SIZE(libcamera_rows) <= HAL_CAMERA_FEATURES_MAX,
               "raise HAL_CAMERA_FEATURES_MAX: libcamera_features.def has more rows");

static const char *const pattern_names[] = {
    "Off", "SolidColor", "ColorBars", "ColorBarsFadeToGray", "PN9", "CustomImage",
};

static bool is_automatic(const struct libcamera_feature *feature)
{
    return feature->row->part == PART_AUTO_EXPOSURE || feature->row->part == PART_AUTO_WHITE ||
           feature->row->part == PART_AUTO_FOCUS;
}

void libcamera_features_clear(struct libcamera_features *features)
{
    memset(features, 0, sizeof *features);
}

struct libcamera_feature *libcamera_features_find(struct libcamera_features *features,
                                                  const char *name)
{
    for (unsigned i = 0; i < features->count; i++)
        if (strcmp(features->feature[i].hal.name, name) == 0)
            return &features->feature[i];
    return NULL;
}

struct libcamera_feature *libcamera_features_add(struct libcamera_features *features,
                                                 const struct libcamera_row *row, unsigned control,
                                                 int type, double min, double max, double value)
{
    if (features->count == HAL_CAMERA_FEATURES_MAX)
        return NULL;
    const struct libcamera_feature *owner =
        row->owner != NULL ? libcamera_features_find(features, row->owner) : NULL;
    struct libcamera_feature *feature = &features->feature[features->count++];
    *feature = (struct libcamera_feature){
        .hal = {row->name, row->type, row->unit, min, max, row->type == HAL_FEATURE_FLOAT ? 0 : 1,
                NULL, row->is_writable},
        .row = row,
        .control = control,
        .type = type,
        .value = value,
        .owner = owner != NULL ? (int)(owner - features->feature) : -1,
    };
    if (is_automatic(feature))
        feature->hal.choices = AUTOMATIC_CHOICES;
    return feature;
}

void libcamera_feature_choose(struct libcamera_feature *feature, const int32_t *values,
                              unsigned count)
{
    size_t used = 0;
    for (unsigned i = 0; i < count && feature->choice_count < LIBCAMERA_CHOICES_MAX; i++) {
        if (values[i] < 0 || (size_t)values[i] >= ARRAY_SIZE(pattern_names))
            continue;
        int length = snprintf(feature->choices + used, sizeof feature->choices - used, "%s%s",
                              used > 0 ? "|" : "", pattern_names[values[i]]);
        if (length < 0 || (size_t)length >= sizeof feature->choices - used) {
            feature->choices[used] = '\0';
            break;
        }
        used += (size_t)length;
        feature->choice[feature->choice_count++] = values[i];
    }
    feature->hal.choices = feature->choices;
    feature->hal.min = 0;
    feature->hal.max = feature->choice_count > 0 ? feature->choice_count - 1 : 0;
}

static bool is_live(const struct libcamera_features *features, const struct libcamera_feature *f)
{
    return f->row->live != LIVE_NONE && (features->live_mask >> f->row->live & 1) != 0;
}

static bool is_owned(const struct libcamera_features *features, const struct libcamera_feature *f)
{
    return f->owner >= 0 && features->feature[f->owner].value > AUTO_OFF;
}

int libcamera_features_get(const struct libcamera_features *features, unsigned index, double *value)
{
    if (index >= features->count)
        return -EINVAL;
    const struct libcamera_feature *f = &features->feature[index];
    // A value that was set reads back at once, though the sensor follows some frames later. A value
    // that was never set, or that an automatic mode owns, reads as the camera last reported it.
    bool is_reported = is_live(features, f) && (!f->is_wanted || is_owned(features, f));
    *value = is_reported ? features->live[f->row->live] : f->value;
    return 0;
}

static void want(struct libcamera_features *features, struct libcamera_feature *f, double value)
{
    f->value = value;
    f->is_wanted = true;
    f->is_changed = true;
    features->is_changed = true;
}

/** Leaving an automatic mode keeps what it had chosen, entering it gives up what was set. Where one
 * switch is behind two modes both move. */
static void want_automatic(struct libcamera_features *features, struct libcamera_feature *f,
                           double mode)
{
    for (unsigned i = 0; i < features->count; i++) {
        struct libcamera_feature *other = &features->feature[i];
        if (other != f && !(is_automatic(other) && other->control == f->control))
            continue;
        want(features, other, mode);
        other->settling = 0;
        other->steady = 0;
    }
    for (unsigned i = 0; i < features->count; i++) {
        struct libcamera_feature *owned = &features->feature[i];
        if (owned->owner < 0 || features->feature[owned->owner].control != f->control)
            continue;
        if (mode > AUTO_OFF) {
            owned->is_wanted = false;
            owned->is_changed = false;
        } else if (is_live(features, owned)) {
            want(features, owned, features->live[owned->row->live]);
        }
    }
}

int libcamera_features_set(struct libcamera_features *features, unsigned index, double value)
{
    if (index >= features->count)
        return -EINVAL;
    struct libcamera_feature *f = &features->feature[index];
    if (!hal_feature_allows(&f->hal, value))
        return -EINVAL;
    if (!f->hal.is_writable || is_owned(features, f))
        return -EACCES;
    if (is_automatic(f))
        want_automatic(features, f, (double)(int)value);
    else
        want(features, f, f->hal.type == HAL_FEATURE_FLOAT ? value : (double)(int64_t)value);
    return 0;
}

static const struct libcamera_feature *first_owned(const struct libcamera_features *features,
                                                   const struct libcamera_feature *f)
{
    for (unsigned i = 0; i < features->count; i++)
        if (features->feature[i].owner >= 0 && &features->feature[features->feature[i].owner] == f)
            return &features->feature[i];
    return NULL;
}

static void settle(struct libcamera_features *features, struct libcamera_feature *f)
{
    const struct libcamera_feature *owned = first_owned(features, f);
    if (owned != NULL && is_live(features, owned)) {
        double now = features->live[owned->row->live];
        f->steady = now == f->last ? f->steady + 1 : 0;
        f->last = now;
    }
    f->settling++;
    bool says_so =
        f->row->part == PART_AUTO_EXPOSURE && (features->live_mask >> LIVE_SETTLED & 1) != 0;
    bool has_settled = says_so ? f->settling > STEADY_FRAMES && features->live[LIVE_SETTLED] > 0
                               : f->steady >= STEADY_FRAMES;
    if (has_settled || f->settling >= SETTLING_FRAMES)
        want_automatic(features, f, AUTO_OFF);
}

void libcamera_features_frame(struct libcamera_features *features,
                              const struct libcamera_completion *completion)
{
    features->live_mask = completion->live_mask;
    memcpy(features->live, completion->live, sizeof features->live);
    for (unsigned i = 0; i < features->count; i++) {
        struct libcamera_feature *f = &features->feature[i];
        if (is_automatic(f) && (int)f->value == AUTO_ONCE && !f->is_changed)
            settle(features, f);
    }
}

void libcamera_features_keep(struct libcamera_features *features,
                             const struct libcamera_features *before)
{
    for (unsigned i = 0; i < before->count; i++) {
        const struct libcamera_feature *old = &before->feature[i];
        struct libcamera_feature *f = libcamera_features_find(features, old->row->name);
        if (f == NULL || !old->is_wanted)
            continue;
        double value = hal_feature_clamp(&f->hal, old->value);
        if (hal_feature_allows(&f->hal, value))
            want(features, f, value);
    }
}

void libcamera_features_resend(struct libcamera_features *features)
{
    for (unsigned i = 0; i < features->count; i++) {
        struct libcamera_feature *f = &features->feature[i];
        f->is_changed = f->is_wanted;
        features->is_changed = features->is_changed || f->is_wanted;
    }
}
