// SPDX-License-Identifier: MIT
// The threads of the fleet page, in place of those that serve one node.
#ifndef PINHOLE_TOOLS_WEB_FLEET_RUN_H
#define PINHOLE_TOOLS_WEB_FLEET_RUN_H

#include "tools/web/gateway.h"

struct web_fleet_threads {
    pthread_t follower, discoverer;
};

/** 0 or -errno. */
int web_fleet_start(struct web *web, struct web_fleet_threads *threads);
/** Waits for them; `is_stopping` is set. */
void web_fleet_join(const struct web_fleet_threads *threads);

#endif
