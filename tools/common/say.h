// SPDX-License-Identifier: MIT
// Lines for people on stderr, and a progress line below them.
#ifndef PINHOLE_TOOLS_COMMON_SAY_H
#define PINHOLE_TOOLS_COMMON_SAY_H

/** Prints a line about what happens after the program's name, cleaned by text_clean(), unharmed by
 * the progress line. Any thread. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Replaces the progress line; "" takes it away. Only on a terminal. Any thread. */
void say_progress(const char *text);

#endif
