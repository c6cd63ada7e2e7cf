// SPDX-License-Identifier: MIT
#include "tools/common/json.h"

#include "tools/common/frame_members.h"
#include "tools/common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** What a double keeps of a decimal number. */
enum { REAL_DIGITS = 15 };

#define NS_PER_S UINT64_C(1000000000)

void json_put(json_t **object, const char *name, json_t *value)
{
    if (*object == NULL) {
        json_decref(value);
    } else if (json_object_set_new(*object, name, value) < 0) {
        json_decref(*object);
        *object = NULL;
    }
}

void json_put_item(json_t **list, json_t *value)
{
    if (*list == NULL) {
        json_decref(value);
    } else if (json_array_append_new(*list, value) < 0) {
        json_decref(*list);
        *list = NULL;
    }
}

static json_t *from_broken_text(const char *text)
{
    static const char replacement[] = "\xEF\xBF\xBD"; // U+FFFD
    char *repaired = malloc(3 * strlen(text) + 1), *end = repaired;
    if (repaired == NULL)
        return NULL;
    while (*text != '\0') {
        size_t bytes = text_utf8_bytes(text);
        memcpy(end, bytes == 0 ? replacement : text, bytes == 0 ? 3 : bytes);
        end += bytes == 0 ? 3 : bytes;
        text += bytes == 0 ? 1 : bytes;
    }
    json_t *value = json_stringn(repaired, (size_t)(end - repaired));
    free(repaired);
    return value;
}

json_t *json_from_text(const char *text)
{
    json_t *value = json_string(text); // NULL, too, for what is not UTF-8
    return value != NULL ? value : from_broken_text(text);
}

void json_put_text(json_t **object, const char *name, const char *text)
{
    json_put(object, name, json_from_text(text));
}

void json_put_u64(json_t **object, const char *name, uint64_t value)
{
    if (value <= INT64_MAX)
        json_put(object, name, json_integer((json_int_t)value));
    else
        json_put(object, name, json_sprintf("%" PRIu64, value));
}

void json_put_i64(json_t **object, const char *name, int64_t value)
{
    json_put(object, name, json_integer(value));
}

void json_put_time(json_t **object, const char *name, uint64_t ns)
{
    char member[48];
    snprintf(member, sizeof member, "%s_s", name);
    json_put_u64(object, member, ns / NS_PER_S);
    snprintf(member, sizeof member, "%s_frac_ns", name);
    json_put_u64(object, member, ns % NS_PER_S);
}

void json_put_real(json_t **object, const char *name, double value)
{
    json_put(object, name, isfinite(value) ? json_real(round(value * 1e3) / 1e3) : json_null());
}

void json_put_flag(json_t **object, const char *name, bool is_true)
{
    json_put(object, name, json_boolean(is_true));
}

void json_put_id(json_t **object, const char *name, uint64_t value)
{
    json_put(object, name, json_sprintf("%016" PRIx64, value));
}

void json_put_number(json_t **object, const char *name, const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_number(value)) {
        json_put(object, name, value);
        return;
    }
    json_decref(value);
    if (*text == '\0')
        json_put(object, name, json_null());
    else
        json_put_text(object, name, text);
}

const char *json_get_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

bool json_get_u64(const json_t *object, const char *name, uint64_t *out)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *digits = json_string_value(value);
    char *end;
    if (digits == NULL || *digits < '0' || *digits > '9')
        return false;
    errno = 0;
    *out = strtoull(digits, &end, 10);
    return *end == '\0' && errno == 0;
}

void json_put_frame(json_t **object, const struct pinhole_frame *frame)
{
    struct frame_member members[FRAME_MEMBERS_MAX];
    const unsigned count = frame_members(members, frame);
    for (unsigned i = 0; i < count; i++) {
        const struct frame_member *member = &members[i];
        if (member->is_number)
            json_put_i64(object, member->name, strtoll(member->text, NULL, 10));
        else
            json_put_text(object, member->name, member->text);
    }
}

char *json_text(const json_t *value, size_t flags)
{
    // json_dumps() may leave out what it has no memory for, and go on (findings/jansson-dumps...).
    const size_t bytes = json_dumpb(value, NULL, 0, flags);
    char *text = bytes > 0 ? malloc(bytes + 2) : NULL; // with room for an end of line
    if (text == NULL)
        return NULL;
    if (json_dumpb(value, text, bytes, flags) != bytes) {
        free(text);
        return NULL;
    }
    text[bytes] = '\0';
    return text;
}

char *json_line(json_t *document)
{
    char *text =
        json_text(document, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(REAL_DIGITS));
    json_decref(document);
    if (text != NULL)
        strcat(text, "\n");
    return text;
}
