// SPDX-License-Identifier: MIT
#include "tools/web/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct web_text *text, size_t wanted)
{
    if (text->failed)
        return false;
    if (text->length + wanted + 1 <= text->capacity)
        return true;
    size_t capacity = (text->length + wanted + 1) * 2;
    char *bytes = realloc(text->bytes, capacity);
    if (bytes == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void web_text_add_bytes(struct web_text *text, const char *bytes, size_t length)
{
    if (!make_room(text, length))
        return;
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void web_text_add(struct web_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (wanted < 0 || !make_room(text, (size_t)wanted))
        return;
    va_start(arguments, format);
    vsnprintf(text->bytes + text->length, text->capacity - text->length, format, arguments);
    va_end(arguments);
    text->length += (size_t)wanted;
}

/** Length of the UTF-8 sequence at `s`, 0 when there is none (overlong forms and surrogates
 * too). */
static size_t sequence_length(const unsigned char *s)
{
    static const struct {
        unsigned char first, last, second_min, second_max;
        size_t length;
    } forms[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    if (s[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (s[0] < forms[i].first || s[0] > forms[i].last)
            continue;
        if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if (s[k] < 0x80 || s[k] > 0xBF)
                return 0;
        return forms[i].length;
    }
    return 0;
}

void web_text_add_json(struct web_text *text, const char *string)
{
    web_text_add_bytes(text, "\"", 1);
    for (const unsigned char *s = (const unsigned char *)string; *s != '\0';) {
        size_t length = sequence_length(s);
        if (length == 0)
            web_text_add_bytes(text, "\xEF\xBF\xBD", 3);
        else if (*s == '"' || *s == '\\')
            web_text_add(text, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7F)
            web_text_add(text, "\\u%04x", *s);
        else
            web_text_add_bytes(text, (const char *)s, length);
        s += length == 0 ? 1 : length;
    }
    web_text_add_bytes(text, "\"", 1);
}

void web_text_add_comma(struct web_text *text)
{
    char last = text->length == 0 ? '{' : text->bytes[text->length - 1];
    if (last != '{' && last != '[' && last != ':')
        web_text_add_bytes(text, ",", 1);
}

void web_text_add_name(struct web_text *text, const char *name)
{
    web_text_add_comma(text);
    web_text_add_json(text, name);
    web_text_add_bytes(text, ":", 1);
}

void web_text_add_member(struct web_text *text, const char *name, const char *value)
{
    web_text_add_name(text, name);
    web_text_add_json(text, value);
}

static const char *skip_digits(const char *s)
{
    while (isdigit((unsigned char)*s))
        s++;
    return s;
}

bool web_text_is_number(const char *string)
{
    const char *s = string + (*string == '-');
    const char *end = skip_digits(s);
    if (end == s || (*s == '0' && end != s + 1))
        return false;
    if (*end == '.') {
        s = end + 1;
        end = skip_digits(s);
        if (end == s)
            return false;
    }
    if (*end == 'e' || *end == 'E') {
        s = end + 1;
        s += *s == '+' || *s == '-';
        end = skip_digits(s);
        if (end == s)
            return false;
    }
    return *end == '\0';
}
