// SPDX-License-Identifier: MIT
#include "app/config/options.h"

#include "app/config/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/** Values that getopt_long() returns: KEY + index into config_keys, or one of these. Short options
 * are characters, below all of them. */
enum { CONFIG_FILE = 256, SET, FIRST_ACTION, KEY = 512 };

/** Options that are no settings. */
static const struct {
    const char *name, *value, *help;
    char letter;
    int code;
} own_options[] = {
    {"config", "FILE", "Read this file instead of " CONFIG_DEFAULT_PATH, 'c', CONFIG_FILE},
    {"set", "SECTION.KEY=VALUE", "Change any setting of the file", 0, SET},
    {"print-config", NULL,
     "Print a commented config file and exit: the defaults, changed by --config and options", 0,
     FIRST_ACTION + OPTIONS_PRINT_CONFIG},
    {"check-config", NULL,
     "Check the settings as a start would and exit: 0, or 2 with what is wrong and where", 0,
     FIRST_ACTION + OPTIONS_CHECK_CONFIG},
    {"list-cameras", NULL, "List the cameras and exit", 0, FIRST_ACTION + OPTIONS_LIST_CAMERAS},
    {"memory", NULL, "Print the table of memory pools and exit", 0, FIRST_ACTION + OPTIONS_MEMORY},
    {"version", NULL, "Print version and backends and exit", 0, FIRST_ACTION + OPTIONS_VERSION},
    {"help", NULL, "Print this and exit", 'h', FIRST_ACTION + OPTIONS_HELP},
};

#define OPTIONS_MAX (ARRAY_SIZE(own_options) + CONFIG_KEYS)

struct tables {
    struct option long_options[OPTIONS_MAX + 1];
    char short_options[2 + 2 * OPTIONS_MAX + 1];
};

static void add_option(struct tables *tables, size_t *count, size_t *letters, const char *name,
                       char letter, int has_arg, int code)
{
    tables->long_options[(*count)++] = (struct option){name, has_arg, NULL, code};
    if (letter != 0) {
        tables->short_options[(*letters)++] = letter;
        if (has_arg == required_argument)
            tables->short_options[(*letters)++] = ':';
    }
}

static void make_tables(struct tables *tables)
{
    memset(tables, 0, sizeof *tables);
    size_t count = 0, letters = 1;
    tables->short_options[0] =
        ':'; // getopt_long() then tells a missing value from an unknown option
    for (unsigned i = 0; i < ARRAY_SIZE(own_options); i++)
        add_option(tables, &count, &letters, own_options[i].name, own_options[i].letter,
                   own_options[i].value != NULL ? required_argument : no_argument,
                   own_options[i].code);
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->long_option != NULL)
            add_option(tables, &count, &letters, key->long_option, key->short_option,
                       key->type == CONFIG_BOOLEAN ? optional_argument : required_argument,
                       KEY + (int)i);
    }
}

/** The code behind a short option, or the code itself. */
static int resolve(int code)
{
    for (unsigned i = 0; i < ARRAY_SIZE(own_options); i++) {
        if (code == own_options[i].letter)
            return own_options[i].code;
    }
    for (int i = 0; i < CONFIG_KEYS; i++) {
        if (code == config_keys[i].short_option)
            return KEY + i;
    }
    return code;
}

static int refuse(int code, char *argv[], struct config_error *error)
{
    // optopt is the character of a short option, the code of a known long one, 0 for another.
    bool is_long = optopt == 0 || optopt >= CONFIG_FILE;
    char name[64];
    if (is_long)
        snprintf(name, sizeof name, "%.*s", (int)strcspn(argv[optind - 1], "="), argv[optind - 1]);
    else
        snprintf(name, sizeof name, "-%c", optopt);
    if (code == ':')
        return config_fail(error, -EINVAL, "option %s needs a value; see --help", name);
    if (is_long && optopt != 0)
        return config_fail(error, -EINVAL, "option %s takes no value; see --help", name);
    return config_fail(error, -EINVAL, "there is no option %s; see --help", name);
}

static int set_any(struct config *config, const char *text, struct config_error *error)
{
    char name[64], where[96];
    size_t length = strcspn(text, "=");
    if (text[length] == '\0' || length == 0 || length >= sizeof name)
        return config_fail(error, -EINVAL, "--set %.60s: not of the form section.key=value", text);
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    snprintf(where, sizeof where, "--set %s", name);
    return config_set(config, name, text + length + 1, where, error);
}

static int set_key(struct config *config, const struct config_key *key, const char *value,
                   struct config_error *error)
{
    char name[64], where[96];
    snprintf(name, sizeof name, "%s.%s", key->section, key->key);
    snprintf(where, sizeof where, "--%s", key->long_option);
    return config_set(config, name, value != NULL ? value : "yes", where, error);
}

/** One pass over the command line. With config NULL it only looks for actions and --config. */
static int scan(int argc, char *argv[], const struct tables *tables, struct config *config,
                struct options *options, struct config_error *error)
{
    optind = 0; // begin again, also with a command line of another kind
    opterr = 0;
    for (;;) {
        optopt = 0;
        int code = getopt_long(argc, argv, tables->short_options, tables->long_options, NULL);
        if (code == -1)
            break;
        if (code == '?' || code == ':')
            return refuse(code, argv, error);
        code = resolve(code);
        int result = 0;
        if (code == CONFIG_FILE)
            options->config_path = optarg;
        else if (code >= FIRST_ACTION && code < KEY)
            options->action = (enum options_action)(code - FIRST_ACTION);
        else if (config != NULL && code == SET && optarg != NULL)
            result = set_any(config, optarg, error);
        else if (config != NULL && code >= KEY)
            result = set_key(config, &config_keys[code - KEY], optarg, error);
        if (result != 0)
            return result;
    }
    if (optind < argc)
        return config_fail(error, -EINVAL, "unexpected '%.60s'; see --help", argv[optind]);
    return 0;
}

int options_parse(int argc, char *argv[], struct config *config, struct options *options,
                  struct config_error *error)
{
    struct tables tables;
    make_tables(&tables);
    config_defaults(config);
    options->action = OPTIONS_RUN;
    options->config_path = NULL;

    int result = scan(argc, argv, &tables, NULL, options, error);
    if (result != 0 || options->action == OPTIONS_HELP || options->action == OPTIONS_VERSION)
        return result;
    if (options->config_path == NULL && options->action != OPTIONS_PRINT_CONFIG &&
        access(CONFIG_DEFAULT_PATH, F_OK) == 0)
        options->config_path = CONFIG_DEFAULT_PATH;
    if (options->config_path != NULL)
        result = config_read_file(config, options->config_path, error);
    struct options again = *options;
    if (result == 0)
        result = scan(argc, argv, &tables, config, &again, error);
    if (result == 0)
        result = config_check(config, error);
    struct sysinfo machine;
    bool will_run = options->action == OPTIONS_RUN || options->action == OPTIONS_CHECK_CONFIG;
    if (result == 0 && will_run && sysinfo(&machine) == 0)
        result = config_check_memory(config, (uint64_t)machine.totalram * machine.mem_unit, error);
    return result;
}

static void print_own_options(struct text *text)
{
    for (unsigned i = 0; i < ARRAY_SIZE(own_options); i++) {
        char letter[8] = "    ";
        if (own_options[i].letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", own_options[i].letter);
        text_add(text, "  %s--%s%s%s", letter, own_options[i].name,
                 own_options[i].value != NULL ? " " : "",
                 own_options[i].value != NULL ? own_options[i].value : "");
        text_indent(text, 36);
        text_wrap(text, "                                    ", own_options[i].help);
    }
}

static void print_key(struct text *text, const struct config_key *key)
{
    static const char *const values[] = {
        [CONFIG_INTEGER] = " N",    [CONFIG_SIZE] = " BYTES",  [CONFIG_FLOAT] = " X",
        [CONFIG_BOOLEAN] = "[=no]", [CONFIG_ENUM] = " CHOICE", [CONFIG_STRING] = " TEXT"};
    char range[CONFIG_RANGE_BYTES], help[512], letter[8] = "    ";

    if (key->short_option != 0)
        snprintf(letter, sizeof letter, "-%c, ", key->short_option);
    if (key->long_option != NULL)
        text_add(text, "  %s--%s%s", letter, key->long_option, values[key->type]);
    else
        text_add(text, "      %s.%s", key->section, key->key);
    text_indent(text, 36);
    config_format_range(key, range, sizeof range);
    bool shows_range = key->type != CONFIG_STRING && key->type != CONFIG_BOOLEAN;
    snprintf(help, sizeof help, "%s (%s%sdefault %s)", key->help, shows_range ? range : "",
             shows_range ? "; " : "", key->standard[0] != '\0' ? key->standard : "empty");
    text_wrap(text, "                                    ", help);
}

int options_print_help(int fd)
{
    struct text text;
    text_begin(&text, fd);
    text_add(&text, "Usage: pinhole [OPTION]...\n"
                    "One JPEG per trigger, numbered and timestamped, over TCP.\n\n");
    print_own_options(&text);
    text_add(&text, "\nSettings, with range and default in brackets. Those without -- are given by "
                    "--set or in the file.\n");
    const char *section = "";
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        if (strcmp(section, config_keys[i].section) != 0) {
            section = config_keys[i].section;
            text_add(&text, "\n[%s]\n", section);
        }
        print_key(&text, &config_keys[i]);
    }
    return text_end(&text);
}
