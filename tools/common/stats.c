// SPDX-License-Identifier: MIT
#include "tools/common/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int stats_text(struct pinhole *p, char **out)
{
    size_t size = 65536;
    for (;;) {
        *out = malloc(size);
        if (*out == NULL)
            return -ENOMEM;
        int length = pinhole_stats(p, *out, size);
        if (length >= 0 && (size_t)length < size)
            return length;
        free(*out);
        *out = NULL;
        if (length < 0)
            return length;
        size = (size_t)length * 2;
    }
}

double stats_sample(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtod(line + length, NULL);
    }
    return 0;
}
