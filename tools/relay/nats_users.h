// SPDX-License-Identifier: MIT
// Users of the hub: each leaf with a key of its own and rights to its own subjects, and `fleet`,
// which may do everything: recorders and --gather.
#ifndef PINHOLE_TOOLS_RELAY_NATS_USERS_H
#define PINHOLE_TOOLS_RELAY_NATS_USERS_H

#include "tools/nats/nkey.h"
#include "tools/relay/settings.h"

#include <stdio.h>

/** The user who is no leaf. */
#define RELAY_FLEET_USER "fleet"

/** Public keys: [0] of fleet, then of the settings' leaves. */
struct relay_users {
    char (*keys)[NKEY_PUBLIC_BYTES]; /**< on the heap, the caller's after a failure, too */
};

/** Reads the keys of the folder, and makes those that are absent. -EINVAL with a sentence in `why`.
 */
int relay_users_make(struct relay_users *out, const struct relay_settings *settings,
                     char why[RELAY_WHY_BYTES]);
/** Writes the hub's accounts. */
void relay_users_print(FILE *out, const struct relay_users *users,
                       const struct relay_settings *settings);

#endif
