// SPDX-License-Identifier: MIT
// The list of keys, and values from text.
#include "tools/mqtt/settings.h"

#include "hal/base.h"
#include "net/client/pinhole.h"
#include "tools/mqtt/settings_file.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <mosquitto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { TEXT, NUMBER, FLAG, CHOICE };

/** One line of settings.def. */
struct key {
    const char *section, *name;
    enum kind kind;
    size_t offset; /**< in the section's struct */
    const char *standard;
    uint64_t min, max;
    const char *choices, *help;
};

static const struct key keys[] = {
#define BROKER(key, type, ...)                                                                     \
    {"broker", #key, type, offsetof(struct mqtt_broker_settings, key), __VA_ARGS__},
#define CAMERA(key, type, ...)                                                                     \
    {"cameras", #key, type, offsetof(struct mqtt_camera_settings, key), __VA_ARGS__},
#define BRIDGE(key, type, ...)                                                                     \
    {"bridge", #key, type, offsetof(struct mqtt_bridge_settings, key), __VA_ARGS__},
#include "tools/mqtt/settings.def"
};

int mqtt_settings_fail(struct mqtt_settings_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static bool read_number(const struct key *key, const char *text, uint32_t *out)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value < key->min ||
        value > key->max)
        return false;
    *out = (uint32_t)value;
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

/** Puts a value into the section's struct. `where` begins the sentence. */
static int set(void *section, const struct key *key, const char *text, const char *where,
               struct mqtt_settings_error *error)
{
    void *member = (char *)section + key->offset;
    switch (key->kind) {
    case TEXT:
        if (strlen(text) >= MQTT_TEXT_BYTES)
            return mqtt_settings_fail(error, "%s: longer than %d bytes", where,
                                      MQTT_TEXT_BYTES - 1);
        memcpy(member, text, strlen(text) + 1);
        return 0;
    case NUMBER:
        if (read_number(key, text, member))
            return 0;
        return mqtt_settings_fail(error, "%s: '%.60s' is not a number from %llu to %llu", where,
                                  text, (unsigned long long)key->min, (unsigned long long)key->max);
    case FLAG:
        if (read_flag(text, member))
            return 0;
        return mqtt_settings_fail(error, "%s: '%.60s' is neither yes nor no", where, text);
    case CHOICE:
        if (read_choice(key, text, member))
            return 0;
        return mqtt_settings_fail(error, "%s: '%.60s' is none of %s", where, text, key->choices);
    }
    return -EINVAL;
}

static void *section_of(struct mqtt_settings *settings, const char *section)
{
    if (strcmp(section, "broker") == 0)
        return &settings->broker;
    return strcmp(section, "cameras") == 0 ? (void *)&settings->cameras : (void *)&settings->bridge;
}

static const struct key *find_key(const char *section, const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

int mqtt_settings_set(struct mqtt_settings *settings, const char *section, const char *name,
                      const char *text, const char *where, struct mqtt_settings_error *error)
{
    const struct key *key = find_key(section, name);
    if (key == NULL)
        return mqtt_settings_fail(error, "%s: [%s] has no such key", where, section);
    return set(section_of(settings, section), key, text, where, error);
}

int mqtt_settings_set_camera(struct mqtt_camera_settings *camera, const char *name,
                             const char *text, const char *where, struct mqtt_settings_error *error)
{
    const struct key *key = find_key("cameras", name);
    if (key == NULL)
        return mqtt_settings_fail(error, "%s: a node has no such key", where);
    return set(camera, key, text, where, error);
}

struct mqtt_node_settings *mqtt_settings_node(struct mqtt_settings *settings, const char *name,
                                              const char *where, struct mqtt_settings_error *error)
{
    for (unsigned i = 0; i < settings->nodes_count; i++)
        if (strcmp(settings->nodes[i].name, name) == 0) {
            mqtt_settings_fail(error, "%s: there are two nodes named '%.60s'", where, name);
            return NULL;
        }
    if (settings->nodes_count == MQTT_NODES_MAX || *name == '\0' || strlen(name) > 60) {
        mqtt_settings_fail(error,
                           *name == '\0' || strlen(name) > 60
                               ? "%s: a node's name has 1 to 60 bytes"
                               : "%s: there are 256 nodes already",
                           where);
        return NULL;
    }
    struct mqtt_node_settings *node = &settings->nodes[settings->nodes_count++];
    *node = (struct mqtt_node_settings){.camera = settings->cameras};
    snprintf(node->name, sizeof node->name, "%s", name);
    return node;
}

static void set_defaults(struct mqtt_settings *out)
{
    struct mqtt_settings_error error;
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        set(section_of(out, keys[i].section), &keys[i], keys[i].standard, "", &error);
}

// --- the command line ---------------------------------------------------------------------------

enum { HELP = 1, VERSION, CONFIG, QUIET, SECONDS, FIRST_KEY = 100 };

static const struct option own_options[] = {
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {"config", required_argument, NULL, CONFIG},
    {"quiet", no_argument, NULL, QUIET},
    {"seconds", required_argument, NULL, SECONDS},
};

static const char help[] =
    "Usage: pinhole-mqtt [OPTION]... [NAME=]ADDRESS...\n"
    "Publishes the pictures of Pinhole cameras to an MQTT broker.\n\n"
    "  ADDRESS          host, host:port, [v6]:port or unix:/path; NAME is its level in topics\n"
    "  --config FILE    settings in INI form; options on the command line go before it\n"
    "  --seconds N      end after this time\n"
    "  --quiet          no progress line on a terminal\n"
    "  --help, --version\n";

/** Names of options: the keys with dashes. */
struct names {
    char text[ARRAY_SIZE(keys)][40];
    struct option options[ARRAY_SIZE(own_options) + ARRAY_SIZE(keys) + 1];
};

static void make_names(struct names *names)
{
    memset(names, 0, sizeof *names);
    memcpy(names->options, own_options, sizeof own_options);
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        snprintf(names->text[i], sizeof names->text[i], "%s", keys[i].name);
        for (char *c = names->text[i]; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        names->options[ARRAY_SIZE(own_options) + i] =
            (struct option){names->text[i], required_argument, NULL, FIRST_KEY + (int)i};
    }
}

static void print_help(void)
{
    struct names names;
    make_names(&names);
    fputs(help, stdout);
    const char *section = "";
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct key *key = &keys[i];
        if (strcmp(section, key->section) != 0)
            printf("\n[%s]\n", section = key->section);
        printf("  --%s %s\n      %s (", names.text[i],
               key->kind == CHOICE   ? key->choices
               : key->kind == FLAG   ? "yes|no"
               : key->kind == NUMBER ? "N"
                                     : "TEXT",
               key->help);
        if (key->kind == NUMBER)
            printf("%llu to %llu, ", (unsigned long long)key->min, (unsigned long long)key->max);
        printf("default %s)\n", *key->standard != '\0' ? key->standard : "empty");
    }
}

static const char *library_version(void)
{
    static char text[32];
    int major, minor, revision;
    mosquitto_lib_version(&major, &minor, &revision);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, revision);
    return text;
}

static int add_argument(struct mqtt_settings *out, const char *text,
                        struct mqtt_settings_error *error)
{
    const char *equals = strchr(text, '=');
    const char *address = equals != NULL ? equals + 1 : text;
    char name[MQTT_TEXT_BYTES];
    snprintf(name, sizeof name, "%.*s", equals != NULL ? (int)(equals - text) : (int)strlen(text),
             text);
    if (*address == '\0' || strlen(address) >= MQTT_TEXT_BYTES)
        return mqtt_settings_fail(error, "'%.60s' has no usable address", text);
    struct mqtt_node_settings *node = mqtt_settings_node(out, name, text, error);
    if (node == NULL)
        return -EINVAL;
    memcpy(node->address, address, strlen(address) + 1);
    return 0;
}

static int take_option(struct mqtt_settings *out, int code, const char *value,
                       struct mqtt_settings_error *error)
{
    char *end;
    char where[80];
    switch (code) {
    case QUIET: out->is_quiet = true; return 0;
    case CONFIG: return 0;
    case SECONDS:
        out->run_s = (uint32_t)strtoul(value, &end, 10);
        if (*end == '\0' && out->run_s > 0)
            return 0;
        return mqtt_settings_fail(error, "--seconds: '%.60s' is not a number above 0", value);
    default: break;
    }
    const struct key *key = &keys[code - FIRST_KEY];
    snprintf(where, sizeof where, "option for %s", key->name);
    return set(section_of(out, key->section), key, value, where, error);
}

/** One pass. With `out` NULL it only looks for --config, --help and --version. */
static int scan(int argc, char **argv, struct mqtt_settings *out, const char **config,
                struct mqtt_settings_error *error)
{
    struct names names;
    make_names(&names);
    optind = 0;
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, ":", names.options, NULL)) != -1;) {
        if (code == '?' || code == ':')
            return mqtt_settings_fail(error, "%.80s: %s; see --help", argv[optind - 1],
                                      code == '?' ? "no such option" : "the value is missing");
        if (code == HELP || code == VERSION)
            return code;
        if (code == CONFIG)
            *config = optarg;
        const int result = out != NULL ? take_option(out, code, optarg, error) : 0;
        if (result < 0)
            return result;
    }
    for (int i = optind; out != NULL && i < argc; i++)
        if (add_argument(out, argv[i], error) < 0)
            return -EINVAL;
    return 0;
}

static bool is_level(const char *text)
{
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr("-_/", *text) == NULL)
            return false;
    return true;
}

/** libmosquitto does not say which file it could not read. */
static int check_files(const struct mqtt_broker_settings *broker, struct mqtt_settings_error *error)
{
    const char *const paths[] = {broker->ca_file, broker->cert_file, broker->key_file};
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++)
        if (paths[i][0] != '\0' && access(paths[i], R_OK) != 0)
            return mqtt_settings_fail(error, "cannot read %s: %s", paths[i], strerror(errno));
    return 0;
}

static int check(const struct mqtt_settings *s, struct mqtt_settings_error *error)
{
    if (s->nodes_count == 0)
        return mqtt_settings_fail(error, "no node is given: [NAME=]ADDRESS or [node NAME]");
    if (s->bridge.prefix[0] == '\0' || !is_level(s->bridge.prefix) ||
        !is_level(s->bridge.discovery_prefix) || !is_level(s->broker.client_id) ||
        strchr(s->broker.client_id, '/') != NULL)
        return mqtt_settings_fail(
            error,
            "prefix, discovery_prefix and client_id have letters, digits, '-', '_' and, but for "
            "client_id, '/' only: other "
            "characters are changed or refused by one broker or another");
    if ((s->broker.cert_file[0] == '\0') != (s->broker.key_file[0] == '\0'))
        return mqtt_settings_fail(error, "cert_file and key_file go together");
    if (s->broker.ca_file[0] != '\0' && s->broker.psk_identity[0] != '\0')
        return mqtt_settings_fail(error, "ca_file and psk_identity exclude each other");
    if (s->broker.cert_file[0] != '\0' && s->broker.ca_file[0] == '\0')
        return mqtt_settings_fail(error, "cert_file needs ca_file");
    return check_files(&s->broker, error);
}

int mqtt_settings_read(struct mqtt_settings *out, int argc, char **argv,
                       struct mqtt_settings_error *error)
{
    const char *config = NULL;
    set_defaults(out);
    int result = scan(argc, argv, NULL, &config, error);
    if (result == HELP)
        print_help();
    if (result == VERSION)
        printf("pinhole-mqtt %s, libmosquitto %s\n", pinhole_version(), library_version());
    if (result != 0)
        return result < 0 ? result : 1;
    // Nodes copy [cameras], which the command line may still change: so they come last.
    if (config != NULL)
        result = mqtt_settings_read_file(out, config, false, error);
    if (result == 0)
        result = scan(argc, argv, out, &config, error);
    if (result == 0 && config != NULL)
        result = mqtt_settings_read_file(out, config, true, error);
    return result == 0 ? check(out, error) : result;
}
