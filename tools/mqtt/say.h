// SPDX-License-Identifier: MIT
// Lines for people, the and the progress line.
#ifndef PINHOLE_TOOLS_MQTT_SAY_H
#define PINHOLE_TOOLS_MQTT_SAY_H

/** Prints a line to stderr, unharmed by the progress line. Any thread. */
void mqtt_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Replaces the progress line; "" takes it away. Only on a terminal. */
void mqtt_show_progress(const char *text);

#endif
