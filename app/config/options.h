// SPDX-License-Identifier: MIT
// The node's command line. Options are made from config.def, so that file and command line cannot
// drift apart; names follow rpicam-apps where the meaning is the same.
#ifndef PINHOLE_APP_CONFIG_OPTIONS_H
#define PINHOLE_APP_CONFIG_OPTIONS_H

#include "app/config/config.h"

/** What the command line asks for. */
enum options_action {
    OPTIONS_RUN,
    OPTIONS_PRINT_CONFIG,
    OPTIONS_CHECK_CONFIG,
    OPTIONS_LIST_CAMERAS,
    OPTIONS_MEMORY,
    OPTIONS_VERSION,
    OPTIONS_HELP,
};

struct options {
    enum options_action action;
    /** The config file that was read, from argv or static; NULL: none, these are the defaults. */
    const char *config_path;
};

/** Fills *config: defaults, then the config file (--config FILE, else CONFIG_DEFAULT_PATH when it
 * exists), then the options, which win wherever they stand; then checks the whole. --help and
 * --version read no file and check nothing, --print-config reads only what --config names.
 * 0, or a negative errno with a sentence for the user; the program then ends with status 2. */
int options_parse(int argc, char *argv[], struct config *config, struct options *options,
                  struct config_error *error);

/** Writes the help text, made from config.def. 0 or negative errno of write(2). */
int options_print_help(int fd);

#endif
