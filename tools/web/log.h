// SPDX-License-Identifier: MIT
// Lines on stderr, one write each; with journald's <N> in front when stderr is no terminal.
#ifndef PINHOLE_TOOLS_WEB_LOG_H
#define PINHOLE_TOOLS_WEB_LOG_H

/** syslog's numbers. */
enum web_log_level { WEB_ERROR = 3, WEB_WARNING = 4, WEB_INFO = 6, WEB_DEBUG = 7 };

/** The least severe level that is written; WEB_INFO until it is set. */
void web_log_set_level(enum web_log_level level);
/** Any thread. */
void web_log(enum web_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
