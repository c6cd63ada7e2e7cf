// SPDX-License-Identifier: MIT
#include "tools/web/form.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 48, VALUE_BYTES = 128 };

struct reader {
    const char *at;
    char *lines;
    size_t used, size;
    char *why;
    size_t why_size;
};

static int fail(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct reader *reader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->why, reader->why_size, format, arguments);
    va_end(arguments);
    return -1;
}

static int add_line(struct reader *reader, const char *name, const char *value)
{
    if (*name == '\0')
        return fail(reader, "a feature's name is missing");
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return fail(reader, "'%s' is no feature's name", name);
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return fail(reader, "the value of %s has a control character", name);
    size_t room = reader->size - reader->used;
    int wanted = snprintf(reader->lines + reader->used, room, "%s=%s\n", name, value);
    if (wanted < 0 || (size_t)wanted >= room)
        return fail(reader, "too many features at once");
    reader->used += (size_t)wanted;
    return 0;
}

/** One byte more of a name or value; -1 when it is full. */
static int put(char *out, size_t size, size_t *used, unsigned byte)
{
    if (*used + 1 >= size)
        return -1;
    out[(*used)++] = (char)byte;
    out[*used] = '\0';
    return 0;
}

// --- forms -----------------------------------------------------------------------------------

static int hex_value(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** One name or value, up to a character of `end`. */
static int read_escaped(struct reader *reader, const char *end, char *out, size_t size)
{
    size_t used = 0;
    *out = '\0';
    while (*reader->at != '\0' && strchr(end, *reader->at) == NULL) {
        unsigned byte = (unsigned char)*reader->at++;
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            int high = hex_value(reader->at[0]);
            int low = high < 0 ? -1 : hex_value(reader->at[1]);
            if (low < 0)
                return fail(reader, "a %% without two hexadecimal digits after it");
            byte = (unsigned)(high * 16 + low);
            reader->at += 2;
        }
        if (byte == 0)
            return fail(reader, "a value has a control character");
        if (put(out, size, &used, byte) < 0)
            return fail(reader, "a name or value is longer than %zu bytes", size - 1);
    }
    return 0;
}

static int read_form(struct reader *reader)
{
    char name[NAME_BYTES] = "", value[VALUE_BYTES] = "";
    while (*reader->at != '\0') {
        if (read_escaped(reader, "=&", name, sizeof name) < 0)
            return -1;
        if (*reader->at != '=')
            return fail(reader, "'%s' has no value: write Name=value", name);
        reader->at++;
        if (read_escaped(reader, "&\r\n", value, sizeof value) < 0 ||
            add_line(reader, name, value) < 0)
            return -1;
        reader->at += strspn(reader->at, "&\r\n");
    }
    return 0;
}

// --- JSON ------------------------------------------------------------------------------------

static void skip_space(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

static bool take(struct reader *reader, char c)
{
    skip_space(reader);
    if (*reader->at != c)
        return false;
    reader->at++;
    return true;
}

static int put_utf8(char *out, size_t size, size_t *used, uint32_t code)
{
    if (code < 0x80)
        return put(out, size, used, code);
    if (code < 0x800)
        return put(out, size, used, 0xC0 | code >> 6) | put(out, size, used, 0x80 | (code & 0x3F));
    return put(out, size, used, 0xE0 | code >> 12) |
           put(out, size, used, 0x80 | (code >> 6 & 0x3F)) |
           put(out, size, used, 0x80 | (code & 0x3F));
}

/** After the backslash. -1: no such escape; -2: no room. */
static int read_escape(struct reader *reader, char *out, size_t size, size_t *used)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *reader->at;
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (found != NULL) {
        reader->at++;
        return put(out, size, used, (unsigned char)to[found - from]) < 0 ? -2 : 0;
    }
    if (c != 'u')
        return -1;
    uint32_t code = 0;
    for (int i = 1; i <= 4; i++) {
        int digit = hex_value(reader->at[i]);
        if (digit < 0)
            return -1;
        code = code * 16 + (uint32_t)digit;
    }
    // Halves of a pair: no feature's value has a character beyond the first plane.
    if (code == 0 || (code >= 0xD800 && code < 0xE000))
        return -1;
    reader->at += 5;
    return put_utf8(out, size, used, code) < 0 ? -2 : 0;
}

static int read_string(struct reader *reader, char *out, size_t size)
{
    size_t used = 0;
    *out = '\0';
    if (!take(reader, '"'))
        return fail(reader, "the JSON lacks a string at '%.20s'", reader->at);
    while (*reader->at != '"') {
        int error;
        if (*reader->at == '\\') {
            reader->at++;
            error = read_escape(reader, out, size, &used);
        } else if ((unsigned char)*reader->at < 0x20) {
            error = -1;
        } else {
            error = put(out, size, &used, (unsigned char)*reader->at++) < 0 ? -2 : 0;
        }
        if (error == -1)
            return fail(reader, "the JSON has a broken string");
        if (error == -2)
            return fail(reader, "a name or value is longer than %zu bytes", size - 1);
    }
    reader->at++;
    return 0;
}

static int read_value(struct reader *reader, const char *name, char *out, size_t size)
{
    skip_space(reader);
    if (*reader->at == '"')
        return read_string(reader, out, size);
    size_t length = strcspn(reader->at, ",} \t\r\n");
    if (length == 0 || length >= size)
        return fail(reader, "the JSON has no value for %s", name);
    snprintf(out, size, "%.*s", (int)length, reader->at);
    reader->at += length;
    if (strcmp(out, "true") == 0 || strcmp(out, "false") == 0)
        snprintf(out, size, "%d", *out == 't');
    else if (strspn(out, "0123456789+-.eE") != length)
        return fail(reader, "the value of %s is no string, number or boolean: %s", name, out);
    return 0;
}

static int read_json(struct reader *reader)
{
    char name[NAME_BYTES] = "", value[VALUE_BYTES] = "";
    reader->at++; // the brace
    bool is_empty = take(reader, '}');
    while (!is_empty) {
        if (read_string(reader, name, sizeof name) < 0)
            return -1;
        if (!take(reader, ':'))
            return fail(reader, "the JSON lacks a colon after %s", name);
        if (read_value(reader, name, value, sizeof value) < 0 || add_line(reader, name, value) < 0)
            return -1;
        if (take(reader, '}'))
            break;
        if (!take(reader, ','))
            return fail(reader, "the JSON lacks a comma or brace after %s", name);
    }
    skip_space(reader);
    return *reader->at == '\0' ? 0 : fail(reader, "there is more after the JSON object");
}

int web_form_read(const char *body, char *lines, size_t lines_size, char *why, size_t why_size)
{
    struct reader reader = {
        .at = body, .lines = lines, .size = lines_size, .why = why, .why_size = why_size};
    *lines = '\0';
    skip_space(&reader);
    int error = *reader.at == '{' ? read_json(&reader) : read_form(&reader);
    if (error == 0 && reader.used == 0)
        return fail(&reader, "no feature is named: write Name=value");
    return error;
}
