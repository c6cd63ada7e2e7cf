// SPDX-License-Identifier: MIT
#include "app/config/config.h"

#include "net/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

_Static_assert(HAL_PIXEL_FORMATS == 6 && HAL_PIXEL_MJPEG == 5,
               "camera.format in config.def must list the pixel formats of hal/camera.h in order");
_Static_assert(HAL_GPIO_PULL_DOWN == 3,
               "trigger.bias in config.def must list the biases of hal/gpio.h in order");
_Static_assert(CONFIG_SOURCE_SOFTWARE + 1 == (int)WIRE_SOURCE_SOFTWARE &&
                   CONFIG_SOURCE_TIMER + 1 == (int)WIRE_SOURCE_TIMER &&
                   CONFIG_SOURCE_LINE + 1 == (int)WIRE_SOURCE_LINE,
               "trigger.source in config.def must list the sources of net/wire.h in order");
_Static_assert(CONFIG_RISING_EDGE + 1 == (int)HAL_GPIO_RISING &&
                   CONFIG_FALLING_EDGE + 1 == (int)HAL_GPIO_FALLING &&
                   CONFIG_ANY_EDGE + 1 == (int)HAL_GPIO_BOTH,
               "trigger.activation in config.def must list the edges of hal/gpio.h in order");
_Static_assert(SERVER_CLIENTS_LIMIT >= 16, "server.clients_max has the default 16");

/** The longest key with " = " before a string must still be a line that can be read back. */
#define CONFIG(section, key, type, member, standard, min, max, unit, option, letter, help)         \
    _Static_assert(                                                                                \
        CONFIG_##type != CONFIG_STRING ||                                                          \
            ((max) <= CONFIG_STRING_BYTES && sizeof(#key " = ") + (max) <= CONFIG_LINE_BYTES + 1), \
        "the longest value of " #section "." #key " does not fit a line of the file");
#include "app/config/config.def"
#undef CONFIG

const struct config_key config_keys[CONFIG_KEYS] = {
#define CONFIG(section, key, type, member, standard, min, max, unit, option, letter, help)         \
    {#section, #key,          CONFIG_##type, offsetof(struct config, member),                      \
     standard, (double)(min), (double)(max), unit,                                                 \
     option,   letter,        help},
#include "app/config/config.def"
#undef CONFIG
};

/** A value between text and struct. */
struct value {
    uint64_t integer; /**< INTEGER, SIZE, BOOLEAN, ENUM */
    double real;
};

int config_fail(struct config_error *error, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    for (char *c = error->text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    }
    return code;
}

const struct config_key *config_find(const char *name)
{
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        size_t section = strlen(key->section);
        if (strncmp(name, key->section, section) == 0 && name[section] == '.' &&
            strcmp(name + section + 1, key->key) == 0)
            return key;
    }
    return NULL;
}

/** Digits to a number that stops at UINT64_MAX. False when there are none; *rest is what follows.
 */
static bool parse_digits(const char *text, uint64_t *number, const char **rest)
{
    *number = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        uint64_t digit = (uint64_t)(*c - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    *rest = c;
    return c != text;
}

static int parse_integer(const char *text, struct value *value)
{
    const char *rest;
    bool is_negative = *text == '-';
    if (!parse_digits(is_negative ? text + 1 : text, &value->integer, &rest) || *rest != '\0')
        return -EINVAL;
    return is_negative && value->integer != 0 ? -ERANGE : 0;
}

static int parse_size(const char *text, struct value *value)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = {{"", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};

    const char *rest;
    bool is_negative = *text == '-';
    if (!parse_digits(is_negative ? text + 1 : text, &value->integer, &rest))
        return -EINVAL;
    rest += strspn(rest, " ");
    for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcasecmp(rest, units[i].suffix) != 0)
            continue;
        if (value->integer > UINT64_MAX >> units[i].shift)
            return -ERANGE;
        value->integer <<= units[i].shift;
        return is_negative && value->integer != 0 ? -ERANGE : 0;
    }
    return -EINVAL;
}

static int parse_float(const char *text, struct value *value)
{
    // strtod() takes hexadecimal, "inf" and "nan" too, which no setting has a use for.
    if (*text == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0')
        return -EINVAL;
    char *rest;
    value->real = strtod(text, &rest);
    return *rest == '\0' ? 0 : -EINVAL;
}

static int parse_boolean(const char *text, struct value *value)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            value->integer = i % 2;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_enum(const char *text, const char *choices, struct value *value)
{
    size_t length = strlen(text);
    value->integer = 0;
    for (const char *choice = choices;; value->integer++) {
        size_t choice_length = strcspn(choice, "|");
        if (choice_length == length && strncasecmp(choice, text, length) == 0)
            return 0;
        if (choice[choice_length] == '\0')
            return -EINVAL;
        choice += choice_length + 1;
    }
}

/** Refuses what an INI file cannot say: control characters and the start of a comment. */
static int parse_string(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 127 || *c == ';')
            return -EINVAL;
    }
    return 0;
}

static int parse(const struct config_key *key, const char *text, struct value *value)
{
    int result = -EINVAL;
    switch (key->type) {
    case CONFIG_INTEGER: result = parse_integer(text, value); break;
    case CONFIG_SIZE: result = parse_size(text, value); break;
    case CONFIG_FLOAT: result = parse_float(text, value); break;
    case CONFIG_BOOLEAN: return parse_boolean(text, value);
    case CONFIG_ENUM: return parse_enum(text, key->unit, value);
    case CONFIG_STRING:
        result = parse_string(text);
        value->integer = strlen(text);
        break;
    }
    if (result != 0)
        return result;
    double number = key->type == CONFIG_FLOAT ? value->real : (double)value->integer;
    return number >= key->min && number <= key->max ? 0 : -ERANGE;
}

static void store_value(struct config *config, const struct config_key *key,
                        const struct value *value, const char *text)
{
    void *member = (char *)config + key->offset;
    switch (key->type) {
    case CONFIG_INTEGER: *(uint32_t *)member = (uint32_t)value->integer; break;
    case CONFIG_SIZE: *(uint64_t *)member = value->integer; break;
    case CONFIG_FLOAT: *(double *)member = value->real; break;
    case CONFIG_BOOLEAN: *(bool *)member = value->integer != 0; break;
    case CONFIG_ENUM: *(unsigned *)member = (unsigned)value->integer; break;
    case CONFIG_STRING:
        // The whole member, so that equal settings are equal bytes.
        memset(member, 0, (size_t)key->max + 1);
        memcpy(member, text, (size_t)value->integer);
        break;
    }
}

static int refuse(const struct config_key *key, const char *text, int code, const char *where,
                  struct config_error *error)
{
    static const char *const wanted[] = {
        [CONFIG_INTEGER] = "is not a whole number",
        [CONFIG_SIZE] = "is not a number of bytes such as 65536, 64K, 64M or 1G",
        [CONFIG_FLOAT] = "is not a decimal number",
        [CONFIG_BOOLEAN] = "is neither yes nor no",
        [CONFIG_ENUM] = "is none of",
        [CONFIG_STRING] = "has a control character or a ';' in it",
    };
    char range[CONFIG_RANGE_BYTES];
    config_format_range(key, range, sizeof range);
    const char *cut = strlen(text) > 60 ? "..." : "";
    if (code == -ERANGE)
        return config_fail(error, code, "%s: %s.%s = '%.60s%s' is out of range: %s", where,
                           key->section, key->key, text, cut, range);
    return config_fail(error, code, "%s: %s.%s = '%.60s%s' %s%s%s", where, key->section, key->key,
                       text, cut, wanted[key->type], key->type == CONFIG_ENUM ? " " : "",
                       key->type == CONFIG_ENUM ? range : "");
}

int config_set(struct config *config, const char *name, const char *text, const char *where,
               struct config_error *error)
{
    const struct config_key *key = config_find(name);
    if (key == NULL)
        return config_fail(error, -ENOENT, "%s: there is no setting '%.60s'", where, name);

    text += strspn(text, " \t\r\n");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    char trimmed[CONFIG_STRING_BYTES + 2];
    // A text too long for any key is cut to a length that is still too long for every key.
    snprintf(trimmed, sizeof trimmed, "%.*s", (int)(length < 1024 ? length : 1024), text);

    struct value value = {0, 0};
    int result = parse(key, trimmed, &value);
    if (result != 0)
        return refuse(key, trimmed, result, where, error);
    store_value(config, key, &value, trimmed);
    return 0;
}

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config); // padding too, so that equal settings are equal bytes
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        struct value value = {0, 0};
        parse(&config_keys[i], config_keys[i].standard, &value);
        store_value(config, &config_keys[i], &value, config_keys[i].standard);
    }
}
