// SPDX-License-Identifier: MIT
// The command line.
#ifndef PINHOLE_TOOLS_WEB_OPTIONS_H
#define PINHOLE_TOOLS_WEB_OPTIONS_H

#include "tools/common/stream_access.h"
#include "tools/web/users.h"

#include <stdbool.h>

#define WEB_ALLOWED_HOSTS_MAX 8

struct web_options {
    const char *node;           /**< NULL: libpinhole's default */
    const char *key_file;       /**< NULL: none */
    struct stream_access fleet; /**< in place of a node */
    int page_port;              /**< of the pages of the fleet's nodes */
    const char *listen;
    int max_clients;
    int max_clients_of_one; /**< from one address */
    bool is_read_only;
    bool is_verbose;
    const char *allow_origin; /**< NULL: none */
    const char *allow_hosts[WEB_ALLOWED_HOSTS_MAX];
    int allow_hosts_count;
    const char *users;                     /**< NULL: none */
    enum web_role anonymous;               /**< NONE: not given */
    const char *tls_certificate, *tls_key; /**< NULL: plain HTTP */
    const char *add_user;                  /**< NULL: serve */
    enum web_role role;                    /**< of add_user; NONE: not given */
};

/** Reads the command line. -1: go on. Otherwise the program's exit status: 0 after --help and
 * --version and --add-user, 2 after a wrong option, which has been named on stderr. */
int web_options_read(struct web_options *options, int argc, char **argv);

#endif
