// SPDX-License-Identifier: MIT
// Features by GenICam SFNC name. Those of the node are views onto its configuration, those of the
// camera come from its backend. Here they are listed, read and checked as protocol text
// (net/SPEC.md); app/node_set.c sets them.
#ifndef PINHOLE_APP_FEATURES_H
#define PINHOLE_APP_FEATURES_H

#include "app/node_camera.h"
#include "app/reply.h"

/** What has to follow when a node feature changed. */
enum features_apply {
    FEATURES_APPLY_NOTHING = 0,
    FEATURES_APPLY_CAMERA = 1u << 0,  /**< configure and restart the stream */
    FEATURES_APPLY_TRIGGER = 1u << 1, /**< the trigger engine */
    FEATURES_APPLY_RATE = 1u << 2,    /**< rate control */
    FEATURES_APPLY_SOFTWARE_TRIGGER = 1u << 3,
    FEATURES_APPLY_FRAMERATE = 1u << 4, /**< the camera's rate, without a restart where it can */
};

/** All features, one line each, as FEATURES answers. */
void features_list(const struct node_camera *camera, struct reply *out);

/** `Name=value` lines for the names in `text`, one a line; all that can be read now when it is
 * empty. 0, or with the sentence as the reply -WIRE_ERROR_UNKNOWN_FEATURE, or
 * -WIRE_ERROR_UNAVAILABLE for what cameras have while there is none. */
int features_get(const struct node_camera *camera, char *text, struct reply *out);

#define FEATURES_LINES_MAX 48

enum features_target { FEATURES_TARGET_NODE, FEATURES_TARGET_CAMERA, FEATURES_TARGET_COMMAND };

/** One line of a SET, checked. */
struct features_change {
    const char *name, *text; /**< in the text of the SET */
    enum features_target target;
    unsigned index; /**< CAMERA: of the feature */
    double value;   /**< CAMERA */
    bool is_mode;   /**< CAMERA: decides what else can be set */
};

/** All that a SET wants. */
struct features_wish {
    struct features_change change[FEATURES_LINES_MAX];
    unsigned count;
    struct config config; /**< the live one with the node's features set */
    unsigned apply;       /**< enum features_apply: what has to follow */
};

/** Checks the `Name=value` lines of `text` (modified) without setting anything. 0, or the negative
 * of a wire_error_code with the sentence as the reply. */
int features_parse(const struct node_camera *camera, char *text, struct features_wish *wish,
                   struct reply *out);

/** `Name=value` lines of what was set, as it is now: for when all has been applied. */
void features_report(const struct node_camera *camera, const struct features_wish *wish,
                     struct reply *out);

/** Makes "NAME: WHY" the whole reply. Returns -code. */
int features_refuse(struct reply *out, int code, const char *name, const char *why);

#endif
