// SPDX-License-Identifier: MIT
// The camera's own features across its restarts: what clients have set stays set when the camera is
// opened anew, and a SET that fails half way leaves no trace.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/node_private.h"

const struct hal_feature *node_controls_find(const struct node *node, const char *name,
                                             unsigned *index)
{
    const struct hal_feature *feature;
    if (!node->is_camera_open)
        return NULL;
    for (*index = 0; (feature = node->camera->feature(*index)) != NULL; ++*index)
        if (strcmp(feature->name, name) == 0)
            return feature;
    return NULL;
}

void node_controls_note(struct node *node, const char *name, double value)
{
    struct node_controls *controls = &node->controls;
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

/** Modes such as ExposureAuto go first: they decide what else can be set. */
static bool is_mode(const struct hal_feature *feature)
{
    return feature->type == HAL_FEATURE_ENUM || feature->type == HAL_FEATURE_BOOLEAN;
}

static void set_one(struct node *node, unsigned index, const struct hal_feature *feature,
                    double value)
{
    double allowed = value;
    if (!is_mode(feature) && allowed < feature->min)
        allowed = feature->min;
    if (!is_mode(feature) && allowed > feature->max)
        allowed = feature->max;
    int status = node->camera->feature_set(index, allowed);
    // An automatic mode that governs the feature is what was wanted, too.
    if (status < 0 && status != -EACCES)
        log_warning("camera refused %s=%g: %s", feature->name, allowed, node->camera->last_error());
}

void node_controls_apply(struct node *node)
{
    const struct hal_feature *feature;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; (feature = node->camera->feature(i)) != NULL; i++)
            for (unsigned k = 0; k < node->controls.count; k++)
                if (is_mode(feature) == (pass == 0) &&
                    strcmp(node->controls.item[k].name, feature->name) == 0)
                    set_one(node, i, feature, node->controls.item[k].value);
}

void node_controls_save(const struct node *node, struct node_snapshot *snapshot)
{
    snapshot->controls = node->controls;
    snapshot->count = 0;
    if (!node->is_camera_open)
        return;
    for (unsigned i = 0; i < HAL_CAMERA_FEATURES_MAX && node->camera->feature(i) != NULL; i++) {
        snapshot->is_known[i] = node->camera->feature_get(i, &snapshot->value[i]) == 0;
        snapshot->count = i + 1;
    }
}

void node_controls_restore(struct node *node, const struct node_snapshot *snapshot)
{
    const struct hal_feature *feature;
    node->controls = snapshot->controls;
    if (!node->is_camera_open)
        return;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < snapshot->count && (feature = node->camera->feature(i)) != NULL;
             i++)
            if (snapshot->is_known[i] && feature->writable && is_mode(feature) == (pass == 0))
                set_one(node, i, feature, snapshot->value[i]);
}
