// SPDX-License-Identifier: MIT
// What relay, recorder and fleet page share of NATS: servers and credentials of a connection, and
// sentences for calls that fail.
#ifndef PINHOLE_TOOLS_NATS_LOGIN_H
#define PINHOLE_TOOLS_NATS_LOGIN_H

#include "tools/common/stream_access.h"

#include <nats/nats.h>
#include <stddef.h>

/** First of the tokens of a record's subject: pinhole.NODE.frame|event|trigger. */
#define NATS_SUBJECT_PREFIX "pinhole"

/** Who connects. Each may be NULL or "": none. */
struct nats_login {
    const char *user, *password, *token, *credentials_file;
    const char *nkey; /**< a line of a key file, see nkey.h; stays until the connection ends */
    const char *ca_file, *cert_file, *key_file; /**< with a CA, TLS is on */
};

/** Sets the servers, whose URLs are separated by commas. */
natsStatus nats_login_servers(natsOptions *options, const char *list);
/** Sets credentials and TLS. */
natsStatus nats_login_set(natsOptions *options, const struct nats_login *login);
/** Connects to one of the servers, under that name. A connection that ends is not made again: its
 * owner opens a new one. */
natsStatus nats_login_connect(natsConnection **out, const struct stream_access *access,
                              const char *name);
/** Writes a sentence for a failed call: the status, JetStream's code (0: none), and what the server
 * complained of ("": nothing). */
void nats_login_why(char *why, size_t bytes, const char *what, natsStatus status, int code,
                    const char *trouble);

#endif
