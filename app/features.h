// SPDX-License-Identifier: MIT
// Features by GenICam SFNC name: those of the node are views onto its configuration, those of the
// camera come from its backend. Listing, reading and setting them as protocol text (net/SPEC.md).
#ifndef PINHOLE_APP_FEATURES_H
#define PINHOLE_APP_FEATURES_H

#include "app/reply.h"
#include "hal/base.h"

struct node;

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
void features_list(const struct node *node, struct reply *out);

/** `Name=value` lines for the names in `text`, one a line; all that can be read now when it is
 * empty. 0, or with the sentence as the reply -WIRE_ERROR_UNKNOWN_FEATURE, or
 * -WIRE_ERROR_UNAVAILABLE for what cameras have while there is none. */
int features_get(const struct node *node, char *text, struct reply *out);

#define FEATURES_LINES_MAX 48

/** What a SET has set, and what has to follow. */
struct features_set {
    unsigned apply; /**< enum features_apply */
    unsigned count;
    const char *name[FEATURES_LINES_MAX]; /**< in the text of the SET */
};

/** Sets the `Name=value` lines of `text` (modified): all are checked before the first is applied.
 * On success *done says what the caller has to follow up. Otherwise the negative of a
 * wire_error_code, with the sentence as the reply. */
int features_set(struct node *node, char *text, struct reply *out, struct features_set *done);

/** `Name=value` lines of what was set, as it is now: for when all has been followed up. */
void features_report(const struct node *node, const struct features_set *done, struct reply *out);

#endif
