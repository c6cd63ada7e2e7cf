// SPDX-License-Identifier: MIT
#include "hal/os/root_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

ssize_t root_file_read(const char *root, const char *path, char *data, size_t size)
{
    char full[ROOT_FILE_PATH_BYTES];
    snprintf(full, sizeof full, "%s%s", root, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t bytes = read(fd, data, size);
    int status = errno;
    close(fd);
    return bytes < 0 ? -status : bytes;
}
