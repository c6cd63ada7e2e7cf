// SPDX-License-Identifier: MIT
// Text for people, to a file descriptor: collected in a fixed buffer, wrapped at a column.
#ifndef PINHOLE_APP_CONFIG_TEXT_H
#define PINHOLE_APP_CONFIG_TEXT_H

#include "hal/base.h"

#define TEXT_COLUMNS 100

struct text {
    int fd;
    int error;     /**< the first failure of write(2), negative; what follows is dropped */
    size_t used;   /**< bytes waiting in the buffer */
    size_t column; /**< of the next byte, from 0 */
    char buffer[2048];
};

void text_begin(struct text *text, int fd);
/** Adds formatted text of at most 1000 bytes. */
void text_add(struct text *text, const char *format, ...) BASE_PRINTF(2, 3);
/** Adds blanks up to a column, or a new line and blanks when the text is past it already. */
void text_indent(struct text *text, size_t column);
/** Adds words separated by single blanks; before one that would pass TEXT_COLUMNS it starts a new
 * line with `prefix`. Ends the line. */
void text_wrap(struct text *text, const char *prefix, const char *words);
/** Writes what waits. 0 or the first negative errno. */
int text_end(struct text *text);

#endif
