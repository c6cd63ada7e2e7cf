// SPDX-License-Identifier: MIT
// The peer that the node dials. As a client it wants every record once, over all its connections.
// As a peer it refuses, hangs, comes late, hangs up, is silent, stops reading or speaks nonsense,
// and checks that the node dials again when it should.
#ifndef PINHOLE_TEST_SIM_COLLECTOR_H
#define PINHOLE_TEST_SIM_COLLECTOR_H

#include "tests/host/sim/client.h"

#define COLLECTOR_ADDRESS "10.9.0.1:7448"
#define COLLECTOR_SECRET  "simulated secret of an uplink"

/** Before the node starts. It refuses the first `refusals` attempts. The node may end at `end_ns`.
 */
void collector_start(const struct client_limits *limits, unsigned refusals, uint64_t end_ns);
/** From here on it accepts, reads fast and breaks nothing. */
void collector_calm_down(void);
/** Shortly before the node ends: a connection that has stood for some seconds has delivered all. */
void collector_check_flow(void);

#endif
