// SPDX-License-Identifier: MIT
#include "tools/common/keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(const struct key *key, const char *text, void *member)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value < key->min ||
        value > key->max)
        return false;
    const uint64_t wide = value;
    const uint32_t narrow = (uint32_t)value;
    memcpy(member, key->bytes == sizeof wide ? (const void *)&wide : &narrow, key->bytes);
    return true;
}

static bool read_flag(const char *text, bool *is_set)
{
    const bool is_yes = strcmp(text, "yes") == 0;
    *is_set = is_yes;
    return is_yes || strcmp(text, "no") == 0;
}

static bool read_choice(const struct key *key, const char *text, unsigned *out)
{
    const char *choice = key->choices;
    const size_t length = strlen(text);
    for (unsigned i = 0;; i++) {
        const size_t size = strcspn(choice, "|");
        if (size == length && strncmp(choice, text, length) == 0) {
            *out = i;
            return true;
        }
        if (choice[size] == '\0')
            return false;
        choice += size + 1;
    }
}

int key_set(void *group, const struct key *key, const char *text, const char *where, char *why,
            size_t why_bytes)
{
    void *member = (char *)group + key->offset;
    switch (key->kind) {
    case KEY_TEXT:
        if (strlen(text) < key->bytes) {
            memcpy(member, text, strlen(text) + 1);
            return 0;
        }
        snprintf(why, why_bytes, "%s: longer than %zu bytes", where, key->bytes - 1);
        break;
    case KEY_NUMBER:
        if (read_number(key, text, member))
            return 0;
        snprintf(why, why_bytes, "%s: '%.60s' is not a number from %llu to %llu", where, text,
                 (unsigned long long)key->min, (unsigned long long)key->max);
        break;
    case KEY_FLAG:
        if (read_flag(text, member))
            return 0;
        snprintf(why, why_bytes, "%s: '%.60s' is neither yes nor no", where, text);
        break;
    case KEY_CHOICE:
        if (read_choice(key, text, member))
            return 0;
        snprintf(why, why_bytes, "%s: '%.60s' is none of %s", where, text, key->choices);
        break;
    }
    return -EINVAL;
}

void key_options_make(struct key_options *out, const struct option *own, size_t own_count,
                      const struct key *keys, size_t count)
{
    if (own_count > KEYS_OWN_MAX || count > KEYS_MAX)
        abort();
    memset(out, 0, sizeof *out);
    memcpy(out->list, own, own_count * sizeof *own);
    for (size_t i = 0; i < count; i++) {
        char *name = out->names[i];
        snprintf(name, sizeof out->names[i], "%s", keys[i].name);
        for (char *c = name; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        out->list[own_count + i] =
            (struct option){name, required_argument, NULL, KEYS_FIRST_CODE + (int)i};
    }
}

int key_options_next(const struct key_options *options, int argc, char **argv, char *why,
                     size_t why_bytes)
{
    opterr = 0;
    const int code = getopt_long(argc, argv, ":", options->list, NULL);
    if (code == -1)
        return 0;
    if (code != '?' && code != ':')
        return code;
    snprintf(why, why_bytes, "%.80s: %s; see --help", argv[optind - 1],
             code == '?' ? "no such option" : "the value is missing");
    return -EINVAL;
}

void key_options_help(const struct key_options *options, const struct key *keys, size_t count,
                      bool has_sections)
{
    const char *group = "";
    for (size_t i = 0; i < count; i++) {
        const struct key *key = &keys[i];
        if (strcmp(group, key->group) != 0) {
            group = key->group;
            printf("\n%s%s%s\n", has_sections ? "[" : "", group, has_sections ? "]" : "");
        }
        printf("  --%s %s\n      %s (", options->names[i],
               key->kind == KEY_CHOICE   ? key->choices
               : key->kind == KEY_FLAG   ? "yes|no"
               : key->kind == KEY_NUMBER ? "N"
                                         : "TEXT",
               key->help);
        if (key->kind == KEY_NUMBER)
            printf("%llu to %llu, ", (unsigned long long)key->min, (unsigned long long)key->max);
        printf("default %s)\n", *key->standard != '\0' ? key->standard : "empty");
    }
}
