// SPDX-License-Identifier: MIT
// Configurations of nats-server for both sides of store and forward.
#ifndef PINHOLE_TOOLS_RELAY_NATS_CONFIG_H
#define PINHOLE_TOOLS_RELAY_NATS_CONFIG_H

#include "tools/relay/settings.h"

#include <stdio.h>

/** Writes the leaf's (RELAY_PRINT_LEAF) or a hub server's configuration. -EINVAL with a sentence in
 * `why`: a user's key cannot be read or made. */
int relay_nats_config_print(FILE *out, const struct relay_settings *settings,
                            char why[RELAY_WHY_BYTES]);

#endif
