// SPDX-License-Identifier: MIT
#include "tools/common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int secret_read(const char *path, const char *credential, char *out, size_t bytes, char *why,
                size_t why_bytes)
{
    char name[512];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (*path == '\0' && folder == NULL)
        return -ENOENT;
    if (*path == '\0') {
        snprintf(name, sizeof name, "%s/%s", folder, credential);
        path = name;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && path == name)
        return -ENOENT;
    const ssize_t got = fd >= 0 ? read(fd, out, bytes - 1) : -1;
    const int error = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0) {
        snprintf(why, why_bytes, "cannot read %.200s: %s", path, strerror(error));
        return -EINVAL;
    }
    out[got] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return 0;
}
