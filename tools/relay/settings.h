// SPDX-License-Identifier: MIT
// The settings of pinhole-relay: defaults, then the command line.
#ifndef PINHOLE_TOOLS_RELAY_SETTINGS_H
#define PINHOLE_TOOLS_RELAY_SETTINGS_H

#include "tools/common/level.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Room for a TEXT with its 0. */
#define RELAY_TEXT_BYTES 512
/** Most leaves of one --gather. */
#define RELAY_GATHER_MAX 1024
/** Room for a sentence. */
#define RELAY_WHY_BYTES 1536

enum relay_mode {
    RELAY_RUN,
    RELAY_GATHER,     /**< let the hub's stream take those of leaves, and end */
    RELAY_PRINT_LEAF, /**< print a server's configuration, and end */
    RELAY_PRINT_HUB,
};

#define RELAY_MEMBER_TEXT(key)   char key[RELAY_TEXT_BYTES];
#define RELAY_MEMBER_NUMBER(key) uint64_t key;

struct relay_settings {
#define SETTING(group, key, type, ...) RELAY_MEMBER_##type(key)
#include "tools/relay/settings.def"
    enum relay_mode mode;
    char name[RELAY_TEXT_BYTES];    /**< the node's */
    char level[LEVEL_BYTES];        /**< the same as a token of subjects */
    char address[RELAY_TEXT_BYTES]; /**< for pinhole_open() */
    unsigned leaves_count;
    char (*leaves)[LEVEL_BYTES]; /**< the leaves' nodes, as tokens; never freed */
    bool has_password, has_token;
    char password[1024], token[1024], nkey[1024]; /**< nkey "": none */
};

/** Fills *out. 0; 1 when --help or --version was printed; -EINVAL with a sentence in `why`. */
int relay_settings_read(struct relay_settings *out, int argc, char **argv,
                        char why[RELAY_WHY_BYTES]);

#endif
