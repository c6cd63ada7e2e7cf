// SPDX-License-Identifier: MIT
// pinholectl: the command line of a Pinhole node.
#include "tools/ctl/ctl.h"

#include <string.h>

static const struct ctl_command *const commands[] = {
    &ctl_list,    &ctl_watch, &ctl_grab, &ctl_get,    &ctl_set,    &ctl_features,
    &ctl_trigger, &ctl_stats, &ctl_ping, &ctl_doctor, &ctl_keygen,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(void)
{
    printf("Usage: pinholectl [-n ADDRESS] COMMAND [OPTION]... [ARGUMENT]...\n"
           "Talks to a Pinhole camera node.\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
    printf(
        "\nOptions, before or after the command:\n"
        "  -n, --node ADDRESS     host, host:port, [v6]:port or unix:/path\n"
        "                         (default: $PINHOLE_NODE, else 127.0.0.1; port 7447)\n"
        "  -j, --json             machine-readable output, one JSON object a line\n"
        "      --timeout SECONDS  how long connecting and each reply may take (default 3), and "
        "after\n"
        "                         how long without a message the node is asked (default 10)\n"
        "      --key-file FILE    the node's key (default: ~/.config/pinhole/key, if it is there "
        "and "
        "the\n"
        "                         node is on another machine)\n"
        "  -h, --help             this text; after a command: that command's options\n"
        "  -V, --version          version of the tool and its library\n"
        "\nExit codes: 0 done; 1 the node refused, or a file could not be written; 2 wrong usage;\n"
        "3 cannot connect, or the link was lost; 4 nothing came in time.\n"
        "\nExamples:\n"
        "  pinholectl -n 192.168.0.20 watch            live rates and latency\n"
        "  pinholectl grab -o now.jpg                  the newest picture\n"
        "  pinholectl grab --policy every --count 0 -o /data/   each picture, resumed after a "
        "broken link\n"
        "  pinholectl set TriggerMode=On TriggerSource=Software\n");
}

static int run(struct ctl *ctl, int argc, char **argv)
{
    if (argc < 1)
        return ctl_usage_error("which command? `pinholectl --help` lists them");
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i]->name) != 0)
            continue;
        ctl->command = commands[i];
        optind = 0; // starts getopt anew
        ctl_catch_signals();
        int code = commands[i]->run(ctl, argc, argv);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            perror("pinholectl: cannot write the output");
            return CTL_REFUSED;
        }
        return ctl_has_lost_output && code == CTL_OK ? CTL_REFUSED : code;
    }
    return ctl_usage_error("'%s' is no command; `pinholectl --help` lists them", argv[0]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"version", no_argument, NULL, 'V'}, CTL_LONG};
    struct ctl ctl = {0};
    int letter;
    while ((letter = ctl_option(&ctl, argc, argv, "+V" CTL_SHORT, options)) > 0) {
        printf("pinholectl %s\n", pinhole_version());
        return CTL_OK;
    }
    if (letter == CTL_HELPED) {
        print_help();
        return CTL_OK;
    }
    return letter < 0 ? ctl_option_exit(letter) : run(&ctl, argc - optind, argv + optind);
}
