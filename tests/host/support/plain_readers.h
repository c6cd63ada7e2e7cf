// SPDX-License-Identifier: MIT
// What sending a frame takes without a node: one blocking call for each reader over loopback TCP,
// and readers in a process of their own that do nothing else. Functions that fail print why.
#ifndef PINHOLE_TEST_SUPPORT_PLAIN_READERS_H
#define PINHOLE_TEST_SUPPORT_PLAIN_READERS_H

#include "tests/host/support/latency.h"

#define PLAIN_READERS_MAX 16u

/** Starts the readers' process. Before the program has much memory, which it would share. 0 or
 * -errno. */
int plain_readers_start(unsigned count);
/** Sends one picture to each, with when the sender had it and what its encode took. 0 or -errno. */
int plain_readers_send(const void *jpeg, uint32_t bytes, uint64_t ready_ns, uint64_t encode_ns);
/** Waits until all is received. What was since the last time; valid until the next send.
 * NULL: the readers have ended. */
struct latency *plain_readers_finish(void);

#endif
