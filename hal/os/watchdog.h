// SPDX-License-Identifier: MIT
// The service manager's watchdog: sd_notify(3) datagrams, written here because they are one
// sendto(2) and libsystemd would be the node's largest dependency.
#ifndef PINHOLE_HAL_OS_WATCHDOG_H
#define PINHOLE_HAL_OS_WATCHDOG_H

#include "hal/base.h"

/** Reads NOTIFY_SOCKET and WATCHDOG_USEC. Returns the interval at which to kick (half of
 * WATCHDOG_USEC), or 0 when no watchdog is asked for. -errno when NOTIFY_SOCKET is unusable. */
int64_t watchdog_open(void);

/** "READY=1" with a status line. A no-op without NOTIFY_SOCKET. */
void watchdog_ready(const char *status);

/** "WATCHDOG=1". */
void watchdog_kick(void);

/** "STOPPING=1", then closes the socket. */
void watchdog_close(void);

#endif
