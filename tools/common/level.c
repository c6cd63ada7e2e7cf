// SPDX-License-Identifier: MIT
#include "tools/common/level.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

/** Not isalnum(): what a letter is must not depend on the locale. */
static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

bool level_from_name(char *level, size_t bytes, const char *name)
{
    size_t used = 0;
    for (; *name != '\0'; name++) {
        const unsigned char c = (unsigned char)*name;
        const char forms[3][4] = {{*name}, {'_', '_'}, {'_', digits[c >> 4], digits[c & 15]}};
        const char *form = forms[is_plain(*name) ? 0 : c == '_' ? 1 : 2];
        const size_t length = strlen(form);
        if (used + length >= bytes)
            break;
        memcpy(level + used, form, length);
        used += length;
    }
    level[used] = '\0';
    return *name == '\0';
}

/** The value of a lower-case hexadecimal digit, or -1. */
static int digit(char c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

bool level_to_name(char *name, size_t bytes, const char *level)
{
    size_t used = 0;
    for (; *level != '\0' && used + 1 < bytes; used++) {
        if (is_plain(*level)) {
            name[used] = *level++;
        } else if (level[0] == '_' && level[1] == '_') {
            name[used] = '_';
            level += 2;
        } else if (level[0] == '_' && digit(level[1]) >= 0 && digit(level[2]) >= 0) {
            name[used] = (char)(digit(level[1]) << 4 | digit(level[2]));
            if (name[used] == '\0' || name[used] == '_' || is_plain(name[used]))
                return false;
            level += 3;
        } else {
            return false;
        }
    }
    name[used] = '\0';
    return *level == '\0';
}
