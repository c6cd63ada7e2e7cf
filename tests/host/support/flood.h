// SPDX-License-Identifier: MIT
// A node that echoes PING, answers every other request with an empty reply and, to who subscribes,
// sends frames as fast as they are taken: for tests that start, stop and close a client in the
// midst of them.
#ifndef PINHOLE_TEST_SUPPORT_FLOOD_H
#define PINHOLE_TEST_SUPPORT_FLOOD_H

#include <pthread.h>
#include <stdatomic.h>

struct flood {
    int listener;
    char address[32]; /**< for pinhole_open() */
    pthread_t thread;
    atomic_bool is_over;
    atomic_uint frames_a_link; /**< after so many it hangs up; 0 = never */
    const char *wrong;         /**< why it ended early; NULL: it did not */
};

/** Listens on an ephemeral loopback port and serves in a thread. */
void flood_start(struct flood *flood);
void flood_stop(struct flood *flood);

#endif
