// SPDX-License-Identifier: MIT
// The signals that end a program in its own time: SIGINT, SIGTERM, SIGHUP.
#ifndef PINHOLE_TOOLS_COMMON_STOP_H
#define PINHOLE_TOOLS_COMMON_STOP_H

#include <signal.h>

/** Blocks them in this thread and in all that it makes. *out is the set for one thread to wait
 * for. */
static inline void stop_signals_block(sigset_t *out)
{
    sigemptyset(out);
    sigaddset(out, SIGINT);
    sigaddset(out, SIGTERM);
    sigaddset(out, SIGHUP);
    pthread_sigmask(SIG_BLOCK, out, NULL);
}

#endif
