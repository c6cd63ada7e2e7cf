// SPDX-License-Identifier: MIT
// A subscriber without a library, for the bare loops beside which programs are measured.
#ifndef PINHOLE_TESTS_BARE_NODE_H
#define PINHOLE_TESTS_BARE_NODE_H

#include "net/wire.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

/** Subscribes to a node on this machine, policy latest. Returns a blocking socket, on which HELLO
 * comes first; -1: no node. The caller closes it. */
static inline int bare_subscribe(int port)
{
    unsigned char message[WIRE_HEADER_BYTES + WIRE_SUBSCRIBE_FIXED];
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((in_port_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct wire_subscribe wish = {.policy = 1}; // latest
    const struct wire_header header = {.version = WIRE_VERSION,
                                       .type = WIRE_TYPE_SUBSCRIBE,
                                       .length = WIRE_SUBSCRIBE_FIXED,
                                       .tag = 1};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    wire_put_header(message, &header);
    wire_put_subscribe(message + WIRE_HEADER_BYTES, &wish);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 &&
        write(fd, message, sizeof message) == sizeof message)
        return fd;
    close(fd);
    return -1;
}

#endif
