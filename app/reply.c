// SPDX-License-Identifier: MIT
#include "app/reply.h"

#include <stdarg.h>
#include <stdio.h>

struct reply reply_begin(char *data, size_t size)
{
    data[0] = '\0';
    return (struct reply){.data = data, .size = size};
}

void reply_add(struct reply *reply, const char *format, ...)
{
    size_t room = reply->size - reply->used;
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(reply->data + reply->used, room, format, arguments);
    va_end(arguments);
    if (wanted >= 0 && (size_t)wanted < room)
        reply->used += (size_t)wanted;
    else
        reply->data[reply->used] = '\0';
}
