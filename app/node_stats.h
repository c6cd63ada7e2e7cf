// SPDX-License-Identifier: MIT
// The node's numbers: metrics.def and pools.def, printed.
#ifndef PINHOLE_APP_NODE_STATS_H
#define PINHOLE_APP_NODE_STATS_H

#include "app/node_state.h"
#include "app/reply.h"

/** Everything that the node exports, as STATS answers: Prometheus text with HELP and TYPE. */
void node_stats_print(const struct node *n, struct reply *out, uint64_t now_ns);
/** Every fixed pool with its size, as `pinhole --memory` shows it. */
void node_stats_print_pools(const struct node *n, int fd);

#endif
