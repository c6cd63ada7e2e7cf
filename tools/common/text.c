// SPDX-License-Identifier: MIT
#include "tools/common/text.h"

#include <string.h>

size_t text_utf8_bytes(const char *text)
{
    static const struct {
        unsigned char first, last, second_min, second_max;
        size_t bytes;
    } forms[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (s[0] < forms[i].first || s[0] > forms[i].last)
            continue;
        if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].bytes; k++)
            if (s[k] < 0x80 || s[k] > 0xBF)
                return 0;
        return forms[i].bytes;
    }
    return 0;
}

/** What replaces the bytes of the sequence; 0: it may stay. */
static char substitute(const char *text, size_t bytes, bool keeps_lines)
{
    const unsigned char *s = (const unsigned char *)text;
    if (bytes == 0)
        return '?';
    if (keeps_lines && *s == '\n')
        return 0;
    return *s < ' ' || *s == 0x7F || (*s == 0xC2 && s[1] < 0xA0) ? ' ' : 0;
}

void text_clean(char *text, bool keeps_lines)
{
    while (*text != '\0') {
        size_t bytes = text_utf8_bytes(text);
        char instead = substitute(text, bytes, keeps_lines);
        bytes += bytes == 0;
        if (instead != 0)
            memset(text, instead, bytes);
        text += bytes;
    }
}

static void print(FILE *out, const char *text, bool keeps_lines)
{
    while (*text != '\0') {
        size_t bytes = text_utf8_bytes(text);
        char instead = substitute(text, bytes, keeps_lines);
        bytes += bytes == 0;
        if (instead == 0)
            fwrite(text, 1, bytes, out);
        for (size_t i = 0; instead != 0 && i < bytes; i++)
            fputc(instead, out);
        text += bytes;
    }
}

void text_print(FILE *out, const char *text)
{
    print(out, text, false);
}

void text_print_lines(FILE *out, const char *text)
{
    print(out, text, true);
}
