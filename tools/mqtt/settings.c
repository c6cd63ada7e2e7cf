// SPDX-License-Identifier: MIT
// The list of keys, and values from text.
#include "tools/mqtt/settings.h"

#include "hal/base.h"
#include "net/client/pinhole.h"
#include "net/secret.h"
#include "tools/common/keys.h"
#include "tools/mqtt/settings_file.h"

#include <ctype.h>
#include <errno.h>
#include <mosquitto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct key keys[] = {
#define BROKER(key, type, ...) {KEY("broker", struct mqtt_broker_settings, key, type), __VA_ARGS__},
#define CAMERA(key, type, ...)                                                                     \
    {KEY("cameras", struct mqtt_camera_settings, key, type), __VA_ARGS__},
#define BRIDGE(key, type, ...) {KEY("bridge", struct mqtt_bridge_settings, key, type), __VA_ARGS__},
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

/** Puts a value into the section's struct. `where` begins the sentence. */
static int set(void *section, const struct key *key, const char *text, const char *where,
               struct mqtt_settings_error *error)
{
    return key_set(section, key, text, where, error->text, sizeof error->text);
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
        if (strcmp(keys[i].group, section) == 0 && strcmp(keys[i].name, name) == 0)
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
        set(section_of(out, keys[i].group), &keys[i], keys[i].standard, "", &error);
}

// --- the command line ---------------------------------------------------------------------------

enum { HELP = 1, VERSION, CONFIG, QUIET, SECONDS };

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
    const struct key *key = &keys[code - KEYS_FIRST_CODE];
    snprintf(where, sizeof where, "option for %s", key->name);
    return set(section_of(out, key->group), key, value, where, error);
}

/** One pass. With `out` NULL it only looks for --config, --help and --version. */
static int scan(const struct key_options *options, int argc, char **argv, struct mqtt_settings *out,
                const char **config, struct mqtt_settings_error *error)
{
    int code, result = 0;
    optind = 0;
    while (result == 0 &&
           (code = key_options_next(options, argc, argv, error->text, sizeof error->text)) != 0) {
        if (code < 0 || code == HELP || code == VERSION)
            return code;
        if (code == CONFIG)
            *config = optarg;
        result = out != NULL ? take_option(out, code, optarg, error) : 0;
    }
    for (int i = optind; result == 0 && out != NULL && i < argc; i++)
        result = add_argument(out, argv[i], error);
    return result;
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
    for (unsigned i = 0; i < s->nodes_count; i++) {
        struct net_secret key;
        const char *path = s->nodes[i].camera.node_key_file;
        const char *why = *path != '\0' ? net_secret_read(path, &key) : NULL;
        if (why != NULL)
            return mqtt_settings_fail(error, "node_key_file %s: %s", path, why);
    }
    return check_files(&s->broker, error);
}

int mqtt_settings_read(struct mqtt_settings *out, int argc, char **argv,
                       struct mqtt_settings_error *error)
{
    const char *config = NULL;
    struct key_options options;
    key_options_make(&options, own_options, ARRAY_SIZE(own_options), keys, ARRAY_SIZE(keys));
    set_defaults(out);
    int result = scan(&options, argc, argv, NULL, &config, error);
    if (result == HELP) {
        fputs(help, stdout);
        key_options_help(&options, keys, ARRAY_SIZE(keys), true);
    }
    if (result == VERSION)
        printf("pinhole-mqtt %s, libmosquitto %s\n", pinhole_version(), library_version());
    if (result != 0)
        return result < 0 ? result : 1;
    // Nodes copy [cameras], which the command line may still change: so they come last.
    if (config != NULL)
        result = mqtt_settings_read_file(out, config, false, error);
    if (result == 0)
        result = scan(&options, argc, argv, out, &config, error);
    if (result == 0 && config != NULL)
        result = mqtt_settings_read_file(out, config, true, error);
    return result == 0 ? check(out, error) : result;
}
