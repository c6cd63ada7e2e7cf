// SPDX-License-Identifier: MIT
// A growing text buffer for answers, and the writing of JSON into it.
#ifndef PINHOLE_TOOLS_WEB_TEXT_H
#define PINHOLE_TOOLS_WEB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Starts zeroed. `bytes` is 0-terminated as soon as something was added; free() it. */
struct web_text {
    char *bytes;
    size_t length, capacity;
    bool failed; /**< memory ran out: what follows is ignored */
};

/** Adds as printf() does. */
void web_text_add(struct web_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Adds `length` bytes. */
void web_text_add_bytes(struct web_text *text, const char *bytes, size_t length);
/** Adds a JSON string with its quotes. What is not UTF-8 becomes U+FFFD. */
void web_text_add_json(struct web_text *text, const char *string);
/** Adds `"name":"value"` with a comma before it unless an object or list has just begun. */
void web_text_add_member(struct web_text *text, const char *name, const char *value);
/** Adds `"name":` the same way; the caller adds the value. */
void web_text_add_name(struct web_text *text, const char *name);
/** Adds a comma unless an object or list has just begun. */
void web_text_add_comma(struct web_text *text);
/** Is this a number as JSON writes it? */
bool web_text_is_number(const char *string);

#endif
