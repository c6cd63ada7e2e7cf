// SPDX-License-Identifier: MIT
// Log lines to stderr, one write(2) each, with the `<N>` priority prefix that journald reads.
#ifndef PINHOLE_HAL_OS_LOG_H
#define PINHOLE_HAL_OS_LOG_H

#include "hal/base.h"

/** syslog(3) priorities that the project uses. */
enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/** Lines above `level` are not written. Default LOG_LEVEL_INFO. The `<N>` prefix is written only
 * when stderr is no terminal (a person does not want it, journald does). Call before the loop. */
void log_set_level(enum log_level level);

/** Writes one line of at most 512 bytes; a longer one is cut. Never allocates, never waits. If
 * stderr is not writable, the line is dropped and counted; the next line reports the count. Any
 * thread. `format` carries no newline. */
BASE_EXPORT void log_write(enum log_level level, const char *format, ...) BASE_PRINTF(2, 3);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/** True at most `burst` times per `period_ns` for one `struct log_limit`; the first line after a
 * silent period should say `suppressed`. For causes that a peer controls (floods, garbage). */
struct log_limit {
    uint64_t window_start_ns;
    uint32_t count;
    uint32_t suppressed; /**< lines refused since the last one allowed; reset by the caller */
};
bool log_allow(struct log_limit *limit, uint32_t burst, uint64_t period_ns, uint64_t now_ns);

#endif
