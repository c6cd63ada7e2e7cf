// SPDX-License-Identifier: MIT
// Building JSON with jansson. Members keep the order in which they are put.
//
// The functions that put take an object or list by its handle. When memory runs out they free it
// and set the handle to NULL, and all later ones do nothing. So a caller checks once, at the end.
#ifndef PINHOLE_TOOLS_COMMON_JSON_H
#define PINHOLE_TOOLS_COMMON_JSON_H

#include "net/client/pinhole.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** Puts a member and takes over the value's reference. NULL counts as out of memory. */
void json_put(json_t **object, const char *name, json_t *value);
/** Text from anywhere. Each byte that is not UTF-8 becomes U+FFFD. */
void json_put_text(json_t **object, const char *name, const char *text);
/** An exact integer. Above INT64_MAX, which jansson cannot hold, it is a string of digits. */
void json_put_u64(json_t **object, const char *name, uint64_t value);
/** An exact integer. */
void json_put_i64(json_t **object, const char *name, int64_t value);
/** A time as whole seconds NAME_s and the rest NAME_frac_ns. Readers that keep 53 bits of a number
 * (JavaScript, jq 1.6, pandas where a line lacks the member) keep both exactly. */
void json_put_time(json_t **object, const char *name, uint64_t ns);
/** A number with three decimals. What is not finite becomes null. */
void json_put_real(json_t **object, const char *name, double value);
/** true or false. */
void json_put_flag(json_t **object, const char *name, bool is_true);
/** A boot id as 16 hexadecimal digits, because readers keep only 53 bits of a number. */
void json_put_id(json_t **object, const char *name, uint64_t value);
/** The number that a text holds, exactly for integers. Another text stays text; "" is null. */
void json_put_number(json_t **object, const char *name, const char *text);
/** Appends to a list and takes over the value's reference. */
void json_put_item(json_t **list, json_t *value);
/** The value as jansson's, for a list. */
json_t *json_from_text(const char *text);

/** Puts all that is known of a frame, without its JPEG. */
void json_put_frame(json_t **object, const struct pinhole_frame *frame);

/** Reads a member that json_put_u64() has put. False: it is absent, or not such a number. */
bool json_get_u64(const json_t *object, const char *name, uint64_t *out);

/** The text of a member, as long as the object lives; "": it is absent, or no text. */
const char *json_get_text(const json_t *object, const char *name);

/** A value's text, which the caller frees; flags as json_dumps(). NULL: out of memory. */
char *json_text(const json_t *value, size_t flags);
/** Frees the document. Returns its text in ASCII on one line, with a newline, which the caller
 * frees. NULL: out of memory, here or earlier. */
char *json_line(json_t *document);

#endif
