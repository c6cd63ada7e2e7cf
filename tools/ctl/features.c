// SPDX-License-Identifier: MIT
// pinholectl get, set, features.
#include "tools/ctl/ctl.h"

#include "tools/common/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_BYTES = 4096 };

/** All features in memory of its own; the caller frees. Returns how many, or -errno. */
static int fetch(struct pinhole *p, struct pinhole_feature **out)
{
    int room = 128;
    for (;;) {
        *out = calloc((size_t)room, sizeof **out);
        if (*out == NULL)
            return -ENOMEM;
        int count = pinhole_features(p, *out, room);
        if (count >= 0 && count <= room)
            return count;
        free(*out);
        *out = NULL;
        if (count < 0)
            return count;
        room = count * 2;
    }
}

static void print_json(const struct pinhole_feature *f)
{
    json_t *line = json_object();
    json_put_text(&line, "name", f->name);
    json_put_text(&line, "value", f->value);
    json_put_text(&line, "type", f->type);
    json_put_text(&line, "unit", f->unit);
    json_put_text(&line, "min", f->min);
    json_put_text(&line, "max", f->max);
    json_put_text(&line, "increment", f->increment);
    json_put_text(&line, "choices", f->choices);
    json_put_flag(&line, "writable", f->writable);
    json_put_text(&line, "help", f->help);
    ctl_print_json(line);
}

struct columns {
    int name, value, unit, range;
};

static void describe_range(const struct pinhole_feature *f, char *out, size_t size)
{
    out[0] = '\0';
    if (f->choices[0] != '\0')
        snprintf(out, size, "%s", f->choices);
    else if (f->min[0] != '\0' || f->max[0] != '\0')
        snprintf(out, size, "%s..%s%s%s", f->min, f->max, f->increment[0] != '\0' ? " step " : "",
                 f->increment);
}

static void widen(int *width, const char *text)
{
    const int most = 40; // one long value does not move all the others
    int length = (int)strlen(text);
    if (length > *width)
        *width = length < most ? length : most;
}

static void print_table(const struct pinhole_feature *features, int count)
{
    struct columns c = {0};
    char range[256], row[1024];
    for (int i = 0; i < count; i++) {
        describe_range(&features[i], range, sizeof range);
        widen(&c.name, features[i].name);
        widen(&c.value, features[i].value);
        widen(&c.unit, features[i].unit);
        widen(&c.range, range);
    }
    for (int i = 0; i < count; i++) {
        const struct pinhole_feature *f = &features[i];
        describe_range(f, range, sizeof range);
        snprintf(row, sizeof row, "%-*s  %-*s %-*s  %s  %-*s  %s", c.name, f->name, c.value,
                 f->value, c.unit, f->unit, f->writable ? "rw" : "ro", c.range, range, f->help);
        text_print(stdout, row);
        putchar('\n');
    }
}

static int print_all(struct pinhole *p, bool wants_json, bool wants_lines)
{
    struct pinhole_feature *features;
    int count = fetch(p, &features);
    if (count < 0)
        return ctl_failed(p, count);
    if (!wants_json && !wants_lines)
        print_table(features, count);
    for (int i = 0; i < count; i++) {
        if (wants_json) {
            print_json(&features[i]);
        } else if (wants_lines) {
            text_print(stdout, features[i].name);
            putchar('=');
            text_print(stdout, features[i].value);
            putchar('\n');
        }
    }
    free(features);
    pinhole_close(p);
    return CTL_OK;
}

static int run_features(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {CTL_LONG};
    int letter = ctl_option(ctl, argc, argv, CTL_SHORT, options);
    if (letter < 0)
        return ctl_option_exit(letter);
    if (optind < argc)
        return ctl_usage_error("features takes no argument '%s'; `get %s` prints one", argv[optind],
                               argv[optind]);
    struct pinhole *p;
    int code = ctl_open(ctl, &p, -1);
    return code != CTL_OK ? code : print_all(p, ctl->wants_json, false);
}

const struct ctl_command ctl_features = {
    "features", run_features, "", "Lists all features with value, unit, access, range and meaning",
    "Names follow the GenICam SFNC where it has one. With --json one object a feature.\n"};

static int run_get(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {CTL_LONG};
    int letter = ctl_option(ctl, argc, argv, CTL_SHORT, options);
    if (letter < 0)
        return ctl_option_exit(letter);
    struct pinhole *p;
    int code = ctl_open(ctl, &p, -1);
    if (code != CTL_OK)
        return code;
    if (optind == argc)
        return print_all(p, ctl->wants_json, true);
    for (int i = optind; i < argc; i++) {
        char value[1024];
        int error = pinhole_get(p, argv[i], value, sizeof value);
        if (error < 0)
            return ctl_failed(p, error);
        if (ctl->wants_json) {
            json_t *line = json_object();
            json_put_text(&line, "name", argv[i]);
            json_put_text(&line, "value", value);
            ctl_print_json(line);
            continue;
        }
        if (argc - optind > 1)
            printf("%s=", argv[i]);
        text_print(stdout, value);
        putchar('\n');
    }
    pinhole_close(p);
    return CTL_OK;
}

const struct ctl_command ctl_get = {
    "get", run_get, "[NAME]...", "Prints values of features",
    "One NAME: its value alone. Several: a line NAME=VALUE each. None: all features.\n"};

static bool is_same_value(const char *a, const char *b)
{
    char *a_end, *b_end;
    double a_number = strtod(a, &a_end), b_number = strtod(b, &b_end);
    bool are_numbers = a_end != a && *a_end == '\0' && b_end != b && *b_end == '\0';
    return are_numbers ? a_number == b_number : strcmp(a, b) == 0;
}

/** Says what is in force where it is not what was asked: the node rounds, and settings limit each
 * other. `line` is "NAME=VALUE". */
static void compare_with_wish(struct pinhole *p, const char *line)
{
    struct pinhole_feature feature;
    char name[sizeof feature.name], value[sizeof feature.value];
    const char *equals = strchr(line, '=');
    snprintf(name, sizeof name, "%.*s", (int)(equals - line), line);
    if (pinhole_get(p, name, value, sizeof value) < 0 || is_same_value(value, equals + 1) ||
        pinhole_find_feature(p, name, &feature) < 0 || strcmp(feature.type, "Command") == 0)
        return;
    char range[256] = "", text[1024];
    describe_range(&feature, range, sizeof range);
    snprintf(text, sizeof text, "pinholectl: %s: %s was asked, %s is in force%s%s%s", name,
             equals + 1, value, *range != '\0' ? " (" : "", range, *range != '\0' ? ")" : "");
    text_print(stderr, text);
    fputc('\n', stderr);
}

static int run_set(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {CTL_LONG};
    char lines[SETTINGS_BYTES];
    size_t used = 0;
    int letter = ctl_option(ctl, argc, argv, CTL_SHORT, options);
    if (letter < 0)
        return ctl_option_exit(letter);
    if (optind == argc)
        return ctl_usage_error("set what? `pinholectl set NAME=VALUE...`");
    for (int i = optind; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        if (equals == NULL || equals == argv[i] || strchr(argv[i], '\n') != NULL)
            return ctl_usage_error("'%s' is not NAME=VALUE", argv[i]);
        int length = snprintf(lines + used, sizeof lines - used, "%s\n", argv[i]);
        if ((size_t)length >= sizeof lines - used)
            return ctl_usage_error("more than %d bytes of settings", SETTINGS_BYTES);
        used += (size_t)length;
    }
    struct pinhole *p;
    int code = ctl_open(ctl, &p, -1);
    if (code != CTL_OK)
        return code;
    int error = pinhole_set_lines(p, lines);
    if (error < 0)
        return ctl_failed(p, error);
    for (int i = optind; i < argc; i++)
        compare_with_wish(p, argv[i]);
    pinhole_close(p);
    return CTL_OK;
}

const struct ctl_command ctl_set = {
    "set", run_set, "NAME=VALUE...", "Sets features: all of them, or none if one is refused",
    "Prints nothing if all values are in force as asked. A value that is in force otherwise, as "
    "it\n"
    "was rounded or another setting limits it, is reported on stderr with its range. What was\n"
    "refused, and why, is the node's own sentence.\n"
    "Settings last until the node restarts; its configuration file is what it starts with.\n"};
