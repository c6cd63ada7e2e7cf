// SPDX-License-Identifier: MIT
// Values and ranges back into text.
#include "app/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int format_size(uint64_t value, char *out, size_t bytes)
{
    static const char suffixes[] = {'\0', 'K', 'M', 'G'};
    unsigned unit = 0;
    while (unit < 3 && value != 0 && value % 1024 == 0) {
        value /= 1024;
        unit++;
    }
    return snprintf(out, bytes, "%llu%.1s", (unsigned long long)value, &suffixes[unit]);
}

/** The shortest decimal, from 6 digits on, that reads back as the same double. */
static int format_float(double value, char *out, size_t bytes)
{
    int length = 0;
    for (int digits = 6; digits <= 17; digits++) {
        length = snprintf(out, bytes, "%.*g", digits, value);
        double back = strtod(out, NULL);
        if (memcmp(&back, &value, sizeof value) == 0)
            break;
    }
    return length;
}

static int format_enum(unsigned value, const char *choices, char *out, size_t bytes)
{
    const char *choice = choices;
    for (unsigned i = 0; i < value && *choice != '\0'; i++) {
        choice += strcspn(choice, "|");
        choice += *choice == '|';
    }
    return snprintf(out, bytes, "%.*s", (int)strcspn(choice, "|"), choice);
}

int config_format(const struct config *config, const struct config_key *key, char *out,
                  size_t bytes)
{
    const void *member = (const char *)config + key->offset;
    switch (key->type) {
    case CONFIG_INTEGER: return snprintf(out, bytes, "%u", *(const uint32_t *)member);
    case CONFIG_SIZE: return format_size(*(const uint64_t *)member, out, bytes);
    case CONFIG_FLOAT: return format_float(*(const double *)member, out, bytes);
    case CONFIG_BOOLEAN: return snprintf(out, bytes, "%s", *(const bool *)member ? "yes" : "no");
    case CONFIG_ENUM: return format_enum(*(const unsigned *)member, key->unit, out, bytes);
    case CONFIG_STRING: return snprintf(out, bytes, "%s", (const char *)member);
    }
    return 0;
}

int config_format_range(const struct config_key *key, char *out, size_t bytes)
{
    const char *blank = key->unit[0] != '\0' ? " " : "";
    char low[32], high[32];
    switch (key->type) {
    case CONFIG_BOOLEAN: return snprintf(out, bytes, "yes or no");
    case CONFIG_ENUM: {
        size_t used = 0;
        for (const char *c = key->unit; *c != '\0' && used + 3 < bytes; c++) {
            out[used++] = *c == '|' ? ',' : *c;
            if (*c == '|')
                out[used++] = ' ';
        }
        out[used] = '\0';
        return (int)used;
    }
    case CONFIG_STRING:
        return snprintf(out, bytes, "%s%.0f bytes of text", key->min > 0 ? "1 to " : "at most ",
                        key->max);
    case CONFIG_SIZE:
        format_size((uint64_t)key->min, low, sizeof low);
        format_size((uint64_t)key->max, high, sizeof high);
        return snprintf(out, bytes, "%s to %s%s%s", low, high, blank, key->unit);
    case CONFIG_INTEGER:
        return snprintf(out, bytes, "%.0f to %.0f%s%s", key->min, key->max, blank, key->unit);
    case CONFIG_FLOAT:
        return snprintf(out, bytes, "%g to %g%s%s", key->min, key->max, blank, key->unit);
    }
    return 0;
}
