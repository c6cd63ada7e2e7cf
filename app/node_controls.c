// SPDX-License-Identifier: MIT
#include "app/node_controls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hal/os/log.h"

/** Sets a control within its range, which *value is brought into. 0 or negative errno. */
static int set_within_range(const struct hal_camera_ops *camera, unsigned index,
                            const struct hal_feature *feature, double *value)
{
    *value = hal_feature_clamp(feature, *value);
    return camera->feature_set(index, *value);
}

static void warn_refused(const struct hal_camera_ops *camera, const char *name, double value)
{
    log_warning("camera refused %s=%g: %s", name, value, camera->last_error());
}

bool node_controls_set(const struct hal_camera_ops *camera, const char *name, double *wanted)
{
    unsigned index;
    double allowed = *wanted;
    const struct hal_feature *feature = hal_feature_find(camera, name, &index);
    if (feature == NULL)
        return false;
    if (set_within_range(camera, index, feature, &allowed) < 0)
        warn_refused(camera, name, allowed);
    else if (allowed < *wanted || allowed > *wanted)
        log_warning("%s=%g is outside the camera's range, using %g", name, *wanted, allowed);
    *wanted = allowed;
    return true;
}

/** Sets a control to what it was. An automatic mode that governs it is what was wanted, too. */
static void set_again(const struct hal_camera_ops *camera, unsigned index,
                      const struct hal_feature *feature, double value)
{
    int status = set_within_range(camera, index, feature, &value);
    if (status < 0 && status != -EACCES)
        warn_refused(camera, feature->name, value);
}

void node_controls_note(struct node_controls *controls, const char *name, double value)
{
    unsigned i = 0;
    while (i < controls->count && strcmp(controls->item[i].name, name) != 0)
        i++;
    if (i == ARRAY_SIZE(controls->item))
        return; // another camera's names: the newest camera has no more than that
    if (i == controls->count)
        controls->count++;
    snprintf(controls->item[i].name, sizeof controls->item[i].name, "%s", name);
    controls->item[i].value = value;
}

void node_controls_apply(const struct node_controls *controls, const struct hal_camera_ops *camera)
{
    const struct hal_feature *feature;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; (feature = camera->feature(i)) != NULL; i++)
            for (unsigned k = 0; k < controls->count; k++)
                if (hal_feature_is_mode(feature) == (pass == 0) &&
                    strcmp(controls->item[k].name, feature->name) == 0)
                    set_again(camera, i, feature, controls->item[k].value);
}

void node_controls_save(const struct node_controls *controls, const struct hal_camera_ops *camera,
                        struct node_snapshot *snapshot)
{
    snapshot->controls = *controls;
    snapshot->count = 0;
    if (camera == NULL)
        return;
    for (unsigned i = 0; i < HAL_CAMERA_FEATURES_MAX && camera->feature(i) != NULL; i++) {
        snapshot->is_known[i] = camera->feature_get(i, &snapshot->value[i]) == 0;
        snapshot->count = i + 1;
    }
}

void node_controls_restore(struct node_controls *controls, const struct hal_camera_ops *camera,
                           const struct node_snapshot *snapshot)
{
    const struct hal_feature *feature;
    *controls = snapshot->controls;
    if (camera == NULL)
        return;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < snapshot->count && (feature = camera->feature(i)) != NULL; i++)
            if (snapshot->is_known[i] && feature->is_writable &&
                hal_feature_is_mode(feature) == (pass == 0))
                set_again(camera, i, feature, snapshot->value[i]);
}
