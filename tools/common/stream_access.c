// SPDX-License-Identifier: MIT
#include "tools/common/stream_access.h"

#include "tools/common/secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int stream_access_check(struct stream_access *access, char *why, size_t bytes)
{
    const struct {
        const char *path, *credential;
        char *out;
        size_t bytes;
    } secrets[] = {
        {access->password_file, "nats-password", access->password, sizeof access->password},
        {access->token_file, "nats-token", access->token, sizeof access->token},
        {access->nkey_file, "nats-nkey", access->nkey, sizeof access->nkey},
    };
    if (strchr(access->servers, '@') != NULL) {
        snprintf(why, bytes,
                 "a URL has no user and password here: they come from --user and files");
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (secret_read(secrets[i].path, secrets[i].credential, secrets[i].out, secrets[i].bytes,
                        why, bytes) == -EINVAL)
            return -EINVAL;
    return 0;
}
