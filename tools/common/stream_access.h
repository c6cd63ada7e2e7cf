// SPDX-License-Identifier: MIT
// Where a stream of NATS JetStream is, and who asks for it, as the command line says it.
#ifndef PINHOLE_TOOLS_COMMON_STREAM_ACCESS_H
#define PINHOLE_TOOLS_COMMON_STREAM_ACCESS_H

#include <stddef.h>

struct stream_access {
    const char *servers; /**< URLs, separated by commas; NULL: no stream is wanted */
    const char *stream;
    const char *user, *credentials_file, *ca_file, *cert_file, *key_file; /**< NULL: none */
    const char *password_file, *token_file, *nkey_file;                   /**< "": none */
    char password[1024], token[1024], nkey[1024];                         /**< "": none */
};

/** Before the command line is read. */
#define STREAM_ACCESS_DEFAULTS                                                                     \
    {.stream = "pinhole", .password_file = "", .token_file = "", .nkey_file = ""}

/** Reads the secrets, from their files or systemd's credentials. 0, or -EINVAL with a sentence in
 * `why`. */
int stream_access_check(struct stream_access *access, char *why, size_t bytes);

#endif
