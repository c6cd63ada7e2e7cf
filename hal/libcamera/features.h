// SPDX-License-Identifier: MIT
// The features of a libcamera camera as numbers under SFNC names: the wanted value, the reported
// value, and the automatic mode that owns it. Pure state, no libcamera: the backend binds rows to
// the controls that the camera lists, and turns changed features into control values.
#ifndef PINHOLE_HAL_LIBCAMERA_FEATURES_H
#define PINHOLE_HAL_LIBCAMERA_FEATURES_H

#include "hal/base.h"
#include "hal/camera.h"
#include "hal/libcamera/ring.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a feature's number sits in its control's value. */
enum libcamera_part {
    PART_NUMBER, /**< the value itself, of whatever numeric type */
    PART_FIRST,  /**< first of an array */
    PART_SECOND, /**< second of an array of two */
    PART_RATE,   /**< 1e6 / both frame duration limits */
    PART_CROP_X, /**< of a rectangle */
    PART_CROP_Y,
    PART_CROP_WIDTH,
    PART_CROP_HEIGHT,
    PART_AUTO_EXPOSURE, /**< Off, Once, Continuous from a mode (0 automatic, 1 manual) or a switch
                         */
    PART_AUTO_WHITE,    /**< the same from a switch */
    PART_AUTO_FOCUS,    /**< the same from AfMode (0 manual, 1 once, 2 continuous) */
    PART_CHOICE,        /**< one of the integers that the camera lists */
};

/** Values of an automatic mode: the index into "Off|Once|Continuous". */
#define AUTO_OFF        0
#define AUTO_ONCE       1
#define AUTO_CONTINUOUS 2

#define LIBCAMERA_CHOICES_MAX 8

struct libcamera_row {
    const char *name;
    enum hal_feature_type type;
    const char *unit;
    const char *control; /**< "name" or "name|older name" */
    enum libcamera_part part;
    enum libcamera_live live;
    const char *owner;
    bool is_writable;
};

extern const struct libcamera_row libcamera_rows[];
extern const unsigned libcamera_row_count;

struct libcamera_feature {
    struct hal_feature hal;
    const struct libcamera_row *row;
    unsigned control;  /**< libcamera's id of it */
    int type;          /**< libcamera's ControlType of it */
    bool is_switch;    /**< an automatic mode behind a boolean control */
    double value;      /**< wanted, or the camera's default */
    bool is_wanted;    /**< it was set: sent at each start */
    bool is_changed;   /**< not sent yet */
    int owner;         /**< index of the automatic mode, or -1 */
    unsigned settling; /**< frames since Once was asked for */
    unsigned steady;   /**< of them the last so many with the same result */
    double last;       /**< the result that was steady */
    unsigned choice_count;
    int32_t choice[LIBCAMERA_CHOICES_MAX];
    char choices[128];
};

struct libcamera_features {
    unsigned count;
    bool is_changed; /**< at least one feature is */
    uint32_t live_mask;
    double live[LIVE_VALUES];
    struct libcamera_feature feature[HAL_CAMERA_FEATURES_MAX];
};

/** Forgets everything. */
void libcamera_features_clear(struct libcamera_features *features);

/** Adds a row bound to a control; `value` is the camera's default. NULL when the table is full.
 * Rows come in the table's order: an owner before what it owns. */
struct libcamera_feature *libcamera_features_add(struct libcamera_features *features,
                                                 const struct libcamera_row *row, unsigned control,
                                                 int type, double min, double max, double value);

/** Makes the choices of an ENUM from the integers that a camera lists; names are the pattern names
 * of Android and libcamera. */
void libcamera_feature_choose(struct libcamera_feature *feature, const int32_t *values,
                              unsigned count);

/** The feature of that name or NULL. */
struct libcamera_feature *libcamera_features_find(struct libcamera_features *features,
                                                  const char *name);

/** What the contract's feature_get and feature_set promise. */
int libcamera_features_get(const struct libcamera_features *features, unsigned index,
                           double *value);
int libcamera_features_set(struct libcamera_features *features, unsigned index, double value);

/** Takes what a frame reported and lets Once come to its end. */
void libcamera_features_frame(struct libcamera_features *features,
                              const struct libcamera_completion *completion);

/** After a new configuration: what was wanted `before` is wanted still, within the new ranges. */
void libcamera_features_keep(struct libcamera_features *features,
                             const struct libcamera_features *before);

/** Marks every wanted value as not sent. Call before each start. */
void libcamera_features_resend(struct libcamera_features *features);

#ifdef __cplusplus
}
#endif

#endif
