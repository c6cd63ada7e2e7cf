// SPDX-License-Identifier: MIT
// Options, connecting and exit codes shared by pinholectl's commands.
#include "tools/ctl/ctl.h"

#include "tools/common/text.h"
#include "tools/ctl/file.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WRONG = -2 };

volatile sig_atomic_t ctl_interrupted;
bool ctl_has_lost_output;

static void on_signal(int number)
{
    (void)number;
    ctl_interrupted = 1;
}

void ctl_catch_signals(void)
{
    // The second one kills, should the first not be noticed.
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void ctl_print_json(json_t *document)
{
    char *line = json_line(document);
    if (line == NULL) {
        fputs("pinholectl: out of memory: a line of output is lost\n", stderr);
        ctl_has_lost_output = true;
    } else {
        fputs(line, stdout);
    }
    free(line);
}

int ctl_usage_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("pinholectl: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return CTL_USAGE;
}

static void print_command_help(const struct ctl_command *command)
{
    printf("Usage: pinholectl %s %s\n%s.\n\n%s", command->name, command->usage, command->summary,
           command->help);
    printf("\nEvery command also takes: -n, --node ADDRESS; -j, --json; --timeout SECONDS\n"
           "(for connecting and replies); --key-file FILE; -h, --help.\n"
           "Exit codes: 0 done, 1 refused, 2 usage, 3 no link, 4 time-out.\n");
}

int ctl_option(struct ctl *ctl, int argc, char **argv, const char *letters,
               const struct option *options)
{
    for (;;) {
        int letter = getopt_long(argc, argv, letters, options, NULL);
        switch (letter) {
        case -1: return 0;
        case 'n': ctl->node = optarg; break;
        case 'j': ctl->wants_json = true; break;
        case 'T':
            if (!ctl_seconds("--timeout", optarg, &ctl->patience_ms))
                return WRONG;
            break;
        case 'K': ctl->key_file = optarg; break;
        case 'h':
            if (ctl->command != NULL)
                print_command_help(ctl->command);
            return CTL_HELPED;
        case '?': return WRONG; // getopt has said what
        default: return letter;
        }
    }
}

int ctl_option_exit(int result)
{
    return result == CTL_HELPED ? CTL_OK : CTL_USAGE;
}

int ctl_no_argument(const struct ctl *ctl, int argc, char **argv)
{
    if (optind == argc)
        return CTL_OK;
    return ctl_usage_error("%s takes no argument '%s'", ctl->command->name, argv[optind]);
}

bool ctl_number(const char *option, const char *text, unsigned long long min,
                unsigned long long max, unsigned long long *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min || value > max) {
        ctl_usage_error("%s takes a whole number from %llu to %llu, not '%s'", option, min, max,
                        text);
        return false;
    }
    *out = value;
    return true;
}

bool ctl_seconds(const char *option, const char *text, int *out_ms)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds > 0) || seconds > INT_MAX / 1000) {
        ctl_usage_error("%s takes seconds above 0, not '%s'", option, text);
        return false;
    }
    *out_ms = seconds * 1000 < 1 ? 1 : (int)(seconds * 1000);
    return true;
}

static int exit_for(int error)
{
    switch (-error) {
    case ENOENT:
    case EACCES:
    case EPERM:
    case ERANGE:
    case EAGAIN:
    case ENOSYS:
    case EMSGSIZE:
    case ENOSPC: return CTL_REFUSED;
    case EINVAL:
    case E2BIG: return CTL_USAGE;
    case ETIMEDOUT: return CTL_TIMEOUT;
    default: return CTL_NO_LINK;
    }
}

int ctl_failed(struct pinhole *p, int error)
{
    fputs("pinholectl: ", stderr);
    text_print(stderr, pinhole_error(p));
    fputc('\n', stderr);
    pinhole_close(p);
    return exit_for(error);
}

bool ctl_key_path(char *out, size_t size)
{
    const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int length = (int)size;
    if (folder != NULL && *folder == '/')
        length = snprintf(out, size, "%s/pinhole/key", folder);
    else if (home != NULL && *home == '/')
        length = snprintf(out, size, "%s/.config/pinhole/key", home);
    return length < (int)size;
}

/** The key for this node. A node on this machine needs none as a rule, and has another one. */
static const char *find_key(const struct ctl *ctl, char *path, size_t size)
{
    const char *node = ctl->node != NULL ? ctl->node : getenv("PINHOLE_NODE");
    if (ctl->key_file != NULL)
        return ctl->key_file;
    if (node == NULL || *node == '\0' || ctl_is_local(node))
        return NULL;
    return ctl_key_path(path, size) && access(path, F_OK) == 0 ? path : NULL;
}

int ctl_open(struct ctl *ctl, struct pinhole **out, int reconnect)
{
    char path[CTL_PATH_MAX];
    const struct pinhole_options options = {.size = sizeof options,
                                            .connect_timeout_ms = ctl->patience_ms,
                                            .request_timeout_ms = ctl->patience_ms,
                                            .silence_timeout_ms = ctl->patience_ms,
                                            .reconnect = reconnect,
                                            .key_file = find_key(ctl, path, sizeof path)};
    int error = pinhole_open(out, ctl->node, &options);
    if (error == 0)
        return CTL_OK;
    ctl_failed(*out, error);
    if (error == -EPERM)
        return CTL_REFUSED;
    return error == -EINVAL ? CTL_USAGE : CTL_NO_LINK; // whatever kept us from connecting
}

bool ctl_is_local(const char *address)
{
    static const char *const prefixes[] = {"unix:", "127.", "localhost", "[::1]", "::1"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(address, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}
