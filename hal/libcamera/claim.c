// SPDX-License-Identifier: MIT
#include "hal/libcamera/claim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/** Camera ids can be longer than a socket's name, so the name has their 64-bit FNV-1a hash. */
static uint64_t hash_id(const char *id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *id != '\0'; id++)
        hash = (hash ^ (uint8_t)*id) * UINT64_C(0x100000001b3);
    return hash;
}

static int ask_owner(const struct sockaddr_un *address, socklen_t bytes)
{
    struct ucred peer = {0};
    socklen_t peer_bytes = sizeof peer;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    if (connect(fd, (const struct sockaddr *)address, bytes) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) < 0)
        peer.pid = 0;
    close(fd);
    return (int)peer.pid;
}

int camera_claim(const char *id, int *owner)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                          "pinhole-camera-%016llx", (unsigned long long)hash_id(id));
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);

    *owner = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&address, bytes) == 0 && listen(fd, 1) == 0)
        return fd;
    int error = errno;
    close(fd);
    if (error != EADDRINUSE)
        return -error;
    *owner = ask_owner(&address, bytes);
    return -EBUSY;
}
