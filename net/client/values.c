// SPDX-License-Identifier: MIT
// Features as numbers, truth values and names, and the ranges of the numbers.
#include "net/client/client.h"

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

/** Reads a whole text as a value of one type. False when it is none. */
typedef bool reader(const char *text, void *value);

static bool read_int(const char *text, void *out)
{
    int64_t *value = out;
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

static bool read_float(const char *text, void *out)
{
    double *value = out;
    char *end;
    *value = parse_double(text, &end);
    return end != text && *end == '\0';
}

static bool read_bool(const char *text, void *out)
{
    int *value = out;
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return false;
    *value = text[0] == '1';
    return true;
}

static int not_a(struct pinhole *p, const char *name, const char *text, const char *what)
{
    client_enter(p);
    return client_leave(
        p, client_fail(p, EINVAL, "%.64s is '%.96s', which is no %s", name, text, what));
}

static int get_as(struct pinhole *p, const char *name, reader *read, const char *what, void *value)
{
    char text[VALUE_BYTES];
    int error = pinhole_get(p, name, text, sizeof text);
    if (error < 0)
        return error;
    return read(text, value) ? 0 : not_a(p, name, text, what);
}

int pinhole_get_int(struct pinhole *p, const char *name, int64_t *value)
{
    return get_as(p, name, read_int, "integer", value);
}

int pinhole_get_float(struct pinhole *p, const char *name, double *value)
{
    return get_as(p, name, read_float, "number", value);
}

int pinhole_get_bool(struct pinhole *p, const char *name, int *value)
{
    return get_as(p, name, read_bool, "boolean", value);
}

static int find_enum(struct pinhole *p, const char *name, struct pinhole_feature *feature)
{
    int error = pinhole_find_feature(p, name, feature);
    if (error < 0)
        return error;
    return strcmp(feature->type, "Enum") == 0 ? 0 : not_a(p, name, feature->value, "enumeration");
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
    int error = find_enum(p, name, &feature);
    if (error < 0)
        return error;
    if (is_choice(feature.choices, value))
        return pinhole_set(p, name, value);
    client_enter(p);
    return client_leave(p, client_fail(p, ERANGE, "%.48s: '%.48s' is none of %.160s", name, value,
                                       feature.choices));
}

static int read_range(struct pinhole *p, const char *name, bool is_float, void *low, void *high,
                      void *step)
{
    struct pinhole_feature feature;
    reader *read = is_float ? read_float : read_int;
    int error = pinhole_find_feature(p, name, &feature);
    if (error < 0)
        return error;
    bool is_number =
        strcmp(feature.type, "Integer") == 0 || (is_float && strcmp(feature.type, "Float") == 0);
    if (is_number && read(feature.min, low) && read(feature.max, high) &&
        read(feature.increment[0] != '\0' ? feature.increment : "0", step))
        return 0;
    client_enter(p);
    return client_leave(p, client_fail(p, ENODATA, "%.64s has no range of numbers", name));
}

int pinhole_range_int(struct pinhole *p, const char *name, int64_t *min, int64_t *max,
                      int64_t *increment)
{
    int64_t spare;
    return read_range(p, name, false, min != NULL ? min : &spare, max != NULL ? max : &spare,
                      increment != NULL ? increment : &spare);
}

int pinhole_range_float(struct pinhole *p, const char *name, double *min, double *max,
                        double *increment)
{
    double spare;
    return read_range(p, name, true, min != NULL ? min : &spare, max != NULL ? max : &spare,
                      increment != NULL ? increment : &spare);
}
