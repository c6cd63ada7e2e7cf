// SPDX-License-Identifier: MIT
// Text that came from outside: names, messages, request paths. Before it reaches a terminal or a
// log it goes through text_clean(), because control characters can drive a terminal or forge a
// line.
#ifndef PINHOLE_TOOLS_COMMON_TEXT_H
#define PINHOLE_TOOLS_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** Bytes of the well-formed UTF-8 sequence at `text` (0-terminated); 0: there is none. */
size_t text_utf8_bytes(const char *text);
/** Replaces each byte of a control character (C0, DEL, C1) with a space, and each byte that is not
 * UTF-8 with '?'. The length stays. A newline stays if `keeps_lines`. */
void text_clean(char *text, bool keeps_lines);
/** Prints text as text_clean() leaves it. */
void text_print(FILE *out, const char *text);
/** The same with its newlines. */
void text_print_lines(FILE *out, const char *text);

#endif
