// SPDX-License-Identifier: MIT
#include "tools/relay/settings.h"

#include "hal/base.h"
#include "net/client/pinhole.h"
#include "net/secret.h"
#include "tools/common/keys.h"
#include "tools/common/secret.h"
#include "tools/nats/nkey.h"

#include <ctype.h>
#include <errno.h>
#include <nats/nats.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct key keys[] = {
#define SETTING(group, key, type, standard, min, max, help)                                        \
    {KEY(group, struct relay_settings, key, type), standard, min, max, NULL, help},
#include "tools/relay/settings.def"
};

static int fail(char why[RELAY_WHY_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int fail(char why[RELAY_WHY_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, RELAY_WHY_BYTES, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static int set(struct relay_settings *settings, const struct key *key, const char *text,
               char why[RELAY_WHY_BYTES])
{
    return key_set(settings, key, text, key->name, why, RELAY_WHY_BYTES);
}

// --- the command line ---------------------------------------------------------------------------

enum { HELP = 1, VERSION, PRINT, GATHER };

static const struct option own_options[] = {
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {"print-nats-config", required_argument, NULL, PRINT},
    {"gather", no_argument, NULL, GATHER},
};

static const char help[] =
    "Usage: pinhole-relay [OPTION]... NAME=ADDRESS\n"
    "       pinhole-relay [OPTION]... --gather NAME...\n"
    "       pinhole-relay [OPTION]... --print-nats-config leaf NAME\n"
    "       pinhole-relay [OPTION]... --print-nats-config hub [--keys-folder DIR NAME...]\n"
    "Puts each record of a Pinhole node into a stream of NATS JetStream.\n\n"
    "  NAME=ADDRESS     the node: its token in subjects, and host, host:port, [v6]:port or\n"
    "                   unix:/path\n"
    "  --gather         let the hub's stream take the streams of the leaves NAME..., and end\n"
    "  --print-nats-config leaf|hub\n"
    "                   print the configuration of a server at the edge or of the hub, and end\n"
    "  --help, --version\n";

static int set_mode(struct relay_settings *out, int code, const char *value,
                    char why[RELAY_WHY_BYTES])
{
    if (out->mode != RELAY_RUN)
        return fail(why, "--gather and --print-nats-config exclude each other");
    if (code == GATHER)
        out->mode = RELAY_GATHER;
    else if (strcmp(value, "leaf") == 0)
        out->mode = RELAY_PRINT_LEAF;
    else if (strcmp(value, "hub") == 0)
        out->mode = RELAY_PRINT_HUB;
    else
        return fail(why, "--print-nats-config: '%.60s' is neither leaf nor hub", value);
    return 0;
}

/** Returns HELP or VERSION when it is there. */
static int scan(struct relay_settings *out, int argc, char **argv,
                const struct key_options *options, char why[RELAY_WHY_BYTES])
{
    int code, result = 0;
    optind = 0;
    while (result == 0 &&
           (code = key_options_next(options, argc, argv, why, RELAY_WHY_BYTES)) != 0) {
        if (code < 0 || code == HELP || code == VERSION)
            return code;
        result = code < KEYS_FIRST_CODE ? set_mode(out, code, optarg, why)
                                        : set(out, &keys[code - KEYS_FIRST_CODE], optarg, why);
    }
    return result;
}

// --- nodes --------------------------------------------------------------------------------------

static int take_name(char level[LEVEL_BYTES], const char *name, char why[RELAY_WHY_BYTES])
{
    if (*name == '\0' || strlen(name) > 60)
        return fail(why, "'%.70s': a node's name has 1 to 60 bytes", name);
    if (strchr(name, '=') != NULL)
        return fail(why, "'%.70s': a NAME alone is needed here, without a value", name);
    level_from_name(level, LEVEL_BYTES, name);
    return 0;
}

static int take_node(struct relay_settings *out, int count, char **arguments,
                     char why[RELAY_WHY_BYTES])
{
    const char *equals = count == 1 ? strchr(arguments[0], '=') : NULL;
    if (equals == NULL)
        return fail(why, "one node is to be given as NAME=ADDRESS; see --help");
    if (equals[1] == '\0' || strlen(arguments[0]) >= RELAY_TEXT_BYTES)
        return fail(why, "'%.60s' has no usable address", arguments[0]);
    snprintf(out->name, sizeof out->name, "%.*s", (int)(equals - arguments[0]), arguments[0]);
    snprintf(out->address, sizeof out->address, "%s", equals + 1);
    return take_name(out->level, out->name, why);
}

static int take_leaves(struct relay_settings *out, int count, char **arguments,
                       char why[RELAY_WHY_BYTES])
{
    if (count < 1 || count > RELAY_GATHER_MAX)
        return fail(why, "1 to %d leaves are to be named", RELAY_GATHER_MAX);
    out->leaves = calloc((size_t)count, sizeof *out->leaves);
    if (out->leaves == NULL)
        return fail(why, "out of memory");
    for (out->leaves_count = 0; out->leaves_count < (unsigned)count; out->leaves_count++)
        if (take_name(out->leaves[out->leaves_count], arguments[out->leaves_count], why) < 0)
            return -EINVAL;
    return 0;
}

static int take_arguments(struct relay_settings *out, int count, char **arguments,
                          char why[RELAY_WHY_BYTES])
{
    switch (out->mode) {
    case RELAY_RUN: return take_node(out, count, arguments, why);
    case RELAY_GATHER: return take_leaves(out, count, arguments, why);
    case RELAY_PRINT_LEAF:
        if (count != 1)
            return fail(why, "--print-nats-config leaf needs the NAME of its node");
        return take_name(out->level, arguments[0], why);
    case RELAY_PRINT_HUB: break;
    }
    if ((count > 0) != (out->keys_folder[0] != '\0'))
        return fail(why, "--print-nats-config hub: --keys-folder and the NAMEs go together");
    return count == 0 ? 0 : take_leaves(out, count, arguments, why);
}

// --- checks -------------------------------------------------------------------------------------

static bool is_token(const char *text)
{
    const char *c = text;
    while (isalnum((unsigned char)*c) || (*c != '\0' && strchr("-_", *c) != NULL))
        c++;
    return *text != '\0' && *c == '\0';
}

/** The library does not say which file it could not read. */
static int check_files(const struct relay_settings *s, char why[RELAY_WHY_BYTES])
{
    const char *const paths[] = {s->credentials_file, s->ca_file, s->cert_file, s->key_file};
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++)
        if (paths[i][0] != '\0' && access(paths[i], R_OK) != 0)
            return fail(why, "cannot read %.300s: %s", paths[i], strerror(errno));
    return 0;
}

static int read_secrets(struct relay_settings *s, char why[RELAY_WHY_BYTES])
{
    const int password = secret_read(s->password_file, "nats-password", s->password,
                                     sizeof s->password, why, RELAY_WHY_BYTES);
    const int token =
        secret_read(s->token_file, "nats-token", s->token, sizeof s->token, why, RELAY_WHY_BYTES);
    const int nkey =
        s->mode == RELAY_RUN || s->mode == RELAY_GATHER
            ? secret_read(s->nkey_file, "nats-nkey", s->nkey, sizeof s->nkey, why, RELAY_WHY_BYTES)
            : -ENOENT;
    if (password == -EINVAL || token == -EINVAL || nkey == -EINVAL)
        return -EINVAL;
    if (nkey == 0 && nkey_in_line(s->nkey) == NULL)
        return fail(why, "%.300s: its first line has no seed of a user (nkey: SU...)",
                    s->nkey_file[0] != '\0' ? s->nkey_file : "nats-nkey");
    s->has_password = password == 0;
    s->has_token = token == 0;
    return 0;
}

static int check(struct relay_settings *s, char why[RELAY_WHY_BYTES])
{
    if (strchr(s->server, '@') != NULL || strchr(s->peers, '@') != NULL)
        return fail(why, "a URL has no user and password here: they come from --user and files");
    if (!is_token(s->stream) || !is_token(s->hub_stream))
        return fail(why, "a stream's name has letters, digits, '-' and '_' only");
    // nats-server 2.9 checks a source of the same name against the stream itself (its #4052).
    if (strcmp(s->stream, s->hub_stream) == 0)
        return fail(why, "the streams of leaves and of the hub have different names");
    if (s->server_name[0] != '\0' && !is_token(s->server_name))
        return fail(why, "the server's name has letters, digits, '-' and '_' only");
    if ((s->cert_file[0] == '\0') != (s->key_file[0] == '\0') ||
        (s->cert_file[0] != '\0' && s->ca_file[0] == '\0'))
        return fail(why, "cert_file, key_file and ca_file go together");
    struct net_secret key;
    const char *bad = s->node_key_file[0] != '\0' ? net_secret_read(s->node_key_file, &key) : NULL;
    if (bad != NULL)
        return fail(why, "node_key_file %.300s: %s", s->node_key_file, bad);
    const int result = check_files(s, why);
    return result == 0 ? read_secrets(s, why) : result;
}

int relay_settings_read(struct relay_settings *out, int argc, char **argv,
                        char why[RELAY_WHY_BYTES])
{
    struct key_options options;
    memset(out, 0, sizeof *out);
    key_options_make(&options, own_options, ARRAY_SIZE(own_options), keys, ARRAY_SIZE(keys));
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        set(out, &keys[i], keys[i].standard, why);
    int result = scan(out, argc, argv, &options, why);
    if (result == HELP) {
        fputs(help, stdout);
        key_options_help(&options, keys, ARRAY_SIZE(keys), false);
    }
    if (result == VERSION)
        printf("pinhole-relay %s, libnats %s\n", pinhole_version(), nats_GetVersion());
    if (result != 0)
        return result < 0 ? result : 1;
    result = take_arguments(out, argc - optind, argv + optind, why);
    return result == 0 ? check(out, why) : result;
}
