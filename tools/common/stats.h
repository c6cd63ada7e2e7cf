// SPDX-License-Identifier: MIT
// A node's counters as it tells them: Prometheus text.
#ifndef PINHOLE_TOOLS_COMMON_STATS_H
#define PINHOLE_TOOLS_COMMON_STATS_H

#include "net/client/pinhole.h"

/** Asks the node. The length of the text, which the caller frees, or -errno and *out NULL. */
int stats_text(struct pinhole *p, char **out);
/** A sample by its name with labels; 0: the text has none, or is NULL. */
double stats_sample(const char *text, const char *name);

#endif
