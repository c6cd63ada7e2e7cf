// SPDX-License-Identifier: MIT
// Features as numbers, truth values and names, and the ranges of the numbers.
#include "net/client.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES = 192 };

/** Decimal points are points on the wire, whatever the program's locale says. */
static double parse_double(const char *text, char **end)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(c);
    double value = strtod(text, end);
    uselocale(before);
    if (c != (locale_t)0)
        freelocale(c);
    return value;
}

static void format_double(double value, char *out, size_t size)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(c);
    snprintf(out, size, "%.17g", value);
    uselocale(before);
    if (c != (locale_t)0)
        freelocale(c);
}

static bool read_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0)
        return true;
    // "1e+06" and "5.0": a node may write a large bound so.
    double number = parse_double(text, &end);
    if (end == text || *end != '\0' || !(fabs(number) < 0x1p63) || number != floor(number))
        return false;
    *value = (int64_t)number;
    return true;
}

static bool read_float(const char *text, double *value)
{
    char *end;
    *value = parse_double(text, &end);
    return end != text && *end == '\0';
}

static int not_a(struct pinhole *p, const char *name, const char *text, const char *what)
{
    client_enter(p);
    return client_leave(
        p, client_fail(p, EINVAL, "%.64s is '%.96s', which is no %s", name, text, what));
}

int pinhole_get_int(struct pinhole *p, const char *name, int64_t *value)
{
    char text[VALUE_BYTES];
    int error = pinhole_get(p, name, text, sizeof text);
    if (error < 0)
        return error;
    return read_int(text, value) ? 0 : not_a(p, name, text, "integer");
}

int pinhole_get_float(struct pinhole *p, const char *name, double *value)
{
    char text[VALUE_BYTES];
    int error = pinhole_get(p, name, text, sizeof text);
    if (error < 0)
        return error;
    return read_float(text, value) ? 0 : not_a(p, name, text, "number");
}

int pinhole_get_bool(struct pinhole *p, const char *name, int *value)
{
    char text[VALUE_BYTES];
    int error = pinhole_get(p, name, text, sizeof text);
    if (error < 0)
        return error;
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return not_a(p, name, text, "boolean");
    *value = text[0] == '1';
    return 0;
}

int pinhole_get_enum(struct pinhole *p, const char *name, char *value, size_t value_size)
{
    struct pinhole_feature feature;
    int error = pinhole_find_feature(p, name, &feature);
    if (error < 0)
        return error;
    if (strcmp(feature.type, "Enum") != 0)
        return not_a(p, name, feature.value, "enumeration");
    return pinhole_get(p, name, value, value_size);
}

int pinhole_set_int(struct pinhole *p, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return pinhole_set(p, name, text);
}

int pinhole_set_float(struct pinhole *p, const char *name, double value)
{
    char text[40];
    format_double(value, text, sizeof text);
    return pinhole_set(p, name, text);
}

int pinhole_set_bool(struct pinhole *p, const char *name, int value)
{
    return pinhole_set(p, name, value ? "1" : "0");
}

static bool is_choice(const char *choices, const char *value)
{
    const size_t length = strlen(value);
    for (const char *at = choices; length > 0 && *at != '\0';) {
        const size_t span = strcspn(at, "|");
        if (span == length && strncmp(at, value, length) == 0)
            return true;
        at += span + (at[span] == '|');
    }
    return false;
}

int pinhole_set_enum(struct pinhole *p, const char *name, const char *value)
{
    struct pinhole_feature feature;
    int error = pinhole_find_feature(p, name, &feature);
    if (error < 0)
        return error;
    if (strcmp(feature.type, "Enum") != 0)
        return not_a(p, name, feature.value, "enumeration");
    if (is_choice(feature.choices, value))
        return pinhole_set(p, name, value);
    client_enter(p);
    return client_leave(p, client_fail(p, ERANGE, "%.48s: '%.48s' is none of %.160s", name, value,
                                       feature.choices));
}

static int no_range(struct pinhole *p, const char *name)
{
    client_enter(p);
    return client_leave(p, client_fail(p, ENODATA, "%.64s has no range of numbers", name));
}

int pinhole_range_int(struct pinhole *p, const char *name, int64_t *min, int64_t *max,
                      int64_t *increment)
{
    struct pinhole_feature feature;
    int64_t low, high, step = 0;
    int error = pinhole_find_feature(p, name, &feature);
    if (error < 0)
        return error;
    if (strcmp(feature.type, "Integer") != 0 || !read_int(feature.min, &low) ||
        !read_int(feature.max, &high))
        return no_range(p, name);
    if (feature.increment[0] != '\0' && !read_int(feature.increment, &step))
        return no_range(p, name);
    if (min != NULL)
        *min = low;
    if (max != NULL)
        *max = high;
    if (increment != NULL)
        *increment = step;
    return 0;
}

int pinhole_range_float(struct pinhole *p, const char *name, double *min, double *max,
                        double *increment)
{
    struct pinhole_feature feature;
    double low, high, step = 0;
    int error = pinhole_find_feature(p, name, &feature);
    if (error < 0)
        return error;
    const bool is_number =
        strcmp(feature.type, "Integer") == 0 || strcmp(feature.type, "Float") == 0;
    if (!is_number || !read_float(feature.min, &low) || !read_float(feature.max, &high))
        return no_range(p, name);
    if (feature.increment[0] != '\0' && !read_float(feature.increment, &step))
        return no_range(p, name);
    if (min != NULL)
        *min = low;
    if (max != NULL)
        *max = high;
    if (increment != NULL)
        *increment = step;
    return 0;
}
