// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "hal/os/watchdog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int notify_fd = -1;

static void notify(const char *text)
{
    if (notify_fd >= 0)
        send(notify_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

int64_t watchdog_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (path != NULL) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t length = strlen(path);
        if ((path[0] != '/' && path[0] != '@') || length < 2 || length >= sizeof address.sun_path)
            return -EINVAL;
        memcpy(address.sun_path, path, length);
        if (path[0] == '@')
            address.sun_path[0] = '\0'; // the abstract name space, as sd_notify(3) writes it
        notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
        if (notify_fd < 0 || connect(notify_fd, (struct sockaddr *)&address, size) < 0)
            return -errno;
    }
    const char *interval = getenv("WATCHDOG_USEC");
    if (notify_fd < 0 || interval == NULL)
        return 0;
    return (int64_t)(strtoull(interval, NULL, 10) * NS_PER_US / 2);
}

void watchdog_ready(const char *status)
{
    char text[256];
    snprintf(text, sizeof text, "READY=1\nSTATUS=%s", status);
    notify(text);
}

void watchdog_kick(void)
{
    notify("WATCHDOG=1");
}

void watchdog_close(void)
{
    notify("STOPPING=1");
    if (notify_fd >= 0)
        close(notify_fd);
    notify_fd = -1;
}
