// SPDX-License-Identifier: MIT
#include "tests/host/support/gpio_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES 64

bool gpio_sim_is_there(void)
{
    const char *folder = getenv("PINHOLE_GPIO_SIM");
    return folder != NULL && access(folder, F_OK) == 0;
}

static int open_attribute(const char *line, const char *attribute, int flags)
{
    char path[256];
    snprintf(path, sizeof path, "%s/sim_%s%s/%s", getenv("PINHOLE_GPIO_SIM"), "gpio", line + 4,
             attribute);
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int gpio_sim_drive(const char *line, bool is_high)
{
    static int fds[LINES]; // 0 = not open yet
    long number = strtol(line + 4, NULL, 10);
    if (number < 0 || number >= LINES)
        return -ENOENT;
    if (fds[number] == 0) {
        int fd = open_attribute(line, "pull", O_WRONLY);
        if (fd < 0)
            return fd;
        fds[number] = fd;
    }
    const char *pull = is_high ? "pull-up" : "pull-down";
    ssize_t bytes = (ssize_t)strlen(pull);
    return pwrite(fds[number], pull, (size_t)bytes, 0) == bytes ? 0 : -errno;
}

int gpio_sim_level(const char *line)
{
    char text[8] = "";
    int fd = open_attribute(line, "value", O_RDONLY);
    if (fd < 0)
        return fd;
    ssize_t bytes = read(fd, text, sizeof text - 1);
    close(fd);
    return bytes < 1 ? -EIO : text[0] == '1';
}
