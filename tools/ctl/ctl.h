// SPDX-License-Identifier: MIT
// What the commands of pinholectl share: options, exit codes, output that a terminal survives.
#ifndef PINHOLE_TOOLS_CTL_CTL_H
#define PINHOLE_TOOLS_CTL_CTL_H

#include "hal/os/clock.h"
#include "net/client/pinhole.h"
#include "tools/common/json.h"

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

enum ctl_exit {
    CTL_OK = 0,
    CTL_REFUSED = 1, /**< the node said no, or a file could not be written */
    CTL_USAGE = 2,
    CTL_NO_LINK = 3, /**< cannot connect, or the link was lost */
    CTL_TIMEOUT = 4,
    CTL_HELPED = -1, /**< ctl_option() has printed the help: exit with 0 */
};

/** What every command gets. */
struct ctl {
    const char *node; /**< NULL = the library's default */
    bool wants_json;
    int patience_ms;      /**< --timeout; 0 = the library's default */
    const char *key_file; /**< --key-file; NULL = the user's own, see ctl_key_path() */
    const struct ctl_command *command;
};

struct ctl_command {
    const char *name;
    int (*run)(struct ctl *ctl, int argc, char **argv);
    const char *usage;   /**< what follows the name */
    const char *summary; /**< one line */
    const char *help;    /**< the rest of --help */
};

extern const struct ctl_command ctl_list, ctl_watch, ctl_grab, ctl_get, ctl_set, ctl_features,
    ctl_trigger, ctl_stats, ctl_ping, ctl_doctor, ctl_keygen;

/** Output was lost because memory ran out: the program ends with CTL_REFUSED. */
extern bool ctl_has_lost_output;
/** Set by SIGINT and SIGTERM. */
extern volatile sig_atomic_t ctl_interrupted;
/** Makes SIGINT and SIGTERM set ctl_interrupted. */
void ctl_catch_signals(void);

/** The options that every command takes; put them at the end of its table. */
#define CTL_SHORT "n:jh"
#define CTL_LONG                                                                                   \
    {"node", required_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'},                      \
        {"timeout", required_argument, NULL, 'T'}, {"key-file", required_argument, NULL, 'K'},     \
        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}

/** getopt_long() that deals with the shared options itself. Returns a command's own option letter,
 * or 0 when there are no more; < 0: ctl_option_exit() of it is the exit code. */
int ctl_option(struct ctl *ctl, int argc, char **argv, const char *letters,
               const struct option *options);
int ctl_option_exit(int result);
/** After the options of a command that takes nothing else: CTL_OK, or CTL_USAGE after naming what
 * is left. */
int ctl_no_argument(const struct ctl *ctl, int argc, char **argv);
/** Reads a whole number in [min, max] into *out, or prints what was wrong and returns false. */
bool ctl_number(const char *option, const char *text, unsigned long long min,
                unsigned long long max, unsigned long long *out);
/** Seconds, with a fraction if wanted, as milliseconds. */
bool ctl_seconds(const char *option, const char *text, int *out_ms);
/** Prints the sentence after the program's name to stderr; returns CTL_USAGE. */
int ctl_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Opens the file that remembers the position in the log, making it when it is not there, and puts
 * what it remembers into `wish`. A descriptor, or -1 after saying why. */
int ctl_resume_open(const char *path, struct pinhole_subscription *wish);
/** Remembers a record as done. False after saying why. */
bool ctl_resume_write(int fd, uint64_t boot_id, uint64_t sequence);

/** Where the user's key is without --key-file: $XDG_CONFIG_HOME/pinhole/key, or
 * ~/.config/pinhole/key. False: neither variable is set, or the path is too long. */
bool ctl_key_path(char *out, size_t size);
/** Connects, with --key-file, or with the user's own key to a node on another machine. 0, or an
 * exit code after saying why. */
int ctl_open(struct ctl *ctl, struct pinhole **out, int reconnect);
/** Prints the handle's error and returns the exit code for it; closes the handle. */
int ctl_failed(struct pinhole *p, int error);

/** Prints a document on one line of stdout and frees it. */
void ctl_print_json(json_t *document);
/** Prints one event as a line for people, or as a JSON object to stdout. */
void ctl_print_event(FILE *out, const struct pinhole_event *event, bool wants_json);
/** The node runs on this machine, so that its clock and ours are one. */
bool ctl_is_local(const char *address);

#endif
