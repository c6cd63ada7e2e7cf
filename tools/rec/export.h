// SPDX-License-Identifier: MIT
// Pictures that were found, written as files: each as a JPEG, or those of a camera as one film.
#ifndef PINHOLE_TOOLS_REC_EXPORT_H
#define PINHOLE_TOOLS_REC_EXPORT_H

#include "tools/rec/index.h"
#include "tools/rec/picture.h"

/** Starts with folder and container set, the rest zeroed. */
struct rec_export {
    const char *folder;
    enum rec_container container; /**< REC_JPEG: files of their own */
    struct rec_film *films;       /**< of each camera the one that is being written */
};

/** Writes a picture: CAMERA_TIME_SEQUENCE.jpg, or behind the others of its camera in a film that
 * has the name of its first one. A picture of another shape begins a film. Pictures of a camera
 * come in the order of their times. False after saying what was wrong. */
bool rec_export_put(struct rec_export *self, const struct rec_hit *hit);
/** Completes the films. False after saying what was wrong. */
bool rec_export_end(struct rec_export *self);

#endif
