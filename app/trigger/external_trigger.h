// SPDX-License-Identifier: MIT
// What software can set for a sensor that the wire itself triggers (trigger.rule = external). That
// is the imx296 module's trigger mode, a long timeout for libcamera's Raspberry Pi pipeline, and
// fixed exposure and gain. Wiring and voltage are in board/EXTERNAL-TRIGGER.md.
#ifndef PINHOLE_APP_TRIGGER_EXTERNAL_TRIGGER_H
#define PINHOLE_APP_TRIGGER_EXTERNAL_TRIGGER_H

#include "app/config/config.h"

/** Used when shutter_us or gain leave it to the camera. */
#define EXTERNAL_TRIGGER_SHUTTER_US 1000
#define EXTERNAL_TRIGGER_GAIN       1.0
/** Longer than any pause between triggers: eleven days. */
#define EXTERNAL_TRIGGER_TIMEOUT_MS "1000000000"

/** Call before the first use of libcamera. Does nothing unless the trigger is external; what cannot
 * be set is logged with what to do about it, and is no error. `root` goes before the absolute paths
 * of the system's files: "" but in tests. */
void external_trigger_prepare(struct config *config, const char *root);

#endif
