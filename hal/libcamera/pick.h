// SPDX-License-Identifier: MIT
// Which camera a user means by an id, an index or a part of a model's name. Pure: a function of the
// list and of what was chosen before.
#ifndef PINHOLE_HAL_LIBCAMERA_PICK_H
#define PINHOLE_HAL_LIBCAMERA_PICK_H

#include "hal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One camera of the list, as a user may call it. Borrowed strings. */
struct camera_name {
    const char *id;
    const char *model;
};

/** What the last successful open() was asked for and found; empty strings before the first. */
struct camera_choice {
    char spec[128];
    char id[128];
};

/** Returns the index in `names` of the camera that `spec` means, -ENODEV, or -EINVAL when it could
 * be several. On failure `why` has the sentence, which lists the cameras. The order: an exact id;
 * the choice of `before` for the same spec; an index; a model's whole name; a part of a model's
 * name or id. Empty: the first. An index keeps meaning the camera it meant before, even while that
 * is unplugged. */
int camera_pick(const struct camera_name *names, unsigned count, const char *spec,
                const struct camera_choice *before, char *why, size_t why_bytes);

#ifdef __cplusplus
}
#endif

#endif
