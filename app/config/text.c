// SPDX-License-Identifier: MIT
#include "app/config/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void text_begin(struct text *text, int fd)
{
    text->fd = fd;
    text->error = 0;
    text->used = 0;
    text->column = 0;
}

static void flush(struct text *text)
{
    size_t done = 0;
    while (done < text->used && text->error == 0) {
        ssize_t n = write(text->fd, text->buffer + done, text->used - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0)
            text->error = -EIO;
        else if (errno != EINTR)
            text->error = -errno;
    }
    text->used = 0;
}

static void add_bytes(struct text *text, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text->used == sizeof text->buffer)
            flush(text);
        text->buffer[text->used++] = bytes[i];
        text->column = bytes[i] == '\n' ? 0 : text->column + 1;
    }
}

void text_add(struct text *text, const char *format, ...)
{
    char line[1001];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > 0)
        add_bytes(text, line, strlen(line));
}

void text_indent(struct text *text, size_t column)
{
    if (text->column > column)
        add_bytes(text, "\n", 1);
    while (text->column < column)
        add_bytes(text, " ", 1);
}

void text_wrap(struct text *text, const char *prefix, const char *words)
{
    bool has_word = false;
    for (const char *word = words; *word != '\0';) {
        size_t length = strcspn(word, " ");
        if (has_word && text->column + 1 + length > TEXT_COLUMNS) {
            text_add(text, "\n%s", prefix);
            has_word = false;
        }
        if (has_word)
            add_bytes(text, " ", 1);
        add_bytes(text, word, length);
        has_word = true;
        word += length + strspn(word + length, " ");
    }
    add_bytes(text, "\n", 1);
}

int text_end(struct text *text)
{
    flush(text);
    return text->error;
}
