// SPDX-License-Identifier: MIT
// What passing the node's frames on takes at least, for `make bench`: each is read into one buffer
// and written from there, by blocking calls. No library, no look at what a frame holds.
//   bench_forward ADDRESS PORT CLIENTS     to so many HTTP clients, as a multipart stream
//   bench_forward ADDRESS FILE             to a file; never synced
// Runs until a reader or the node ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/host/support/bare_node.h"

enum { CLIENTS_MAX = 64, BUFFER_BYTES = 16 << 20 };

static uint8_t buffer[BUFFER_BYTES];
static int output[CLIENTS_MAX];
static int output_count;

static int fail(const char *what)
{
    fprintf(stderr, "bench_forward: %s\n", what);
    return 1;
}

static int accept_clients(int port, int count)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
    const struct sockaddr_in here = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)port),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (const struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 8) < 0)
        return -1;
    while (output_count < count) {
        const int fd = accept(listener, NULL, NULL);
        if (fd < 0 || recv(fd, buffer, 4096, 0) <= 0 || send(fd, head, sizeof head - 1, 0) < 0)
            return -1;
        output[output_count++] = fd;
    }
    return 0;
}

static int pass_on(const uint8_t *jpeg, size_t bytes)
{
    char head[128];
    const int length =
        snprintf(head, sizeof head,
                 "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n", bytes);
    struct iovec part[2] = {{head, (size_t)length}, {(void *)(uintptr_t)jpeg, bytes}};
    for (int i = 0; i < output_count; i++)
        if (writev(output[i], part, 2) != (ssize_t)(length + (ssize_t)bytes))
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4)
        return 2;
    if (argc == 4
            ? accept_clients(atoi(argv[2]), atoi(argv[3]) % CLIENTS_MAX) < 0
            : (output[output_count++] = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0666)) < 0)
        return fail("no reader");
    const char *port = strrchr(argv[1], ':');
    const int fd = bare_subscribe(port != NULL ? atoi(port + 1) : 0);
    if (fd < 0)
        return fail("no node");
    for (;;) {
        uint8_t head[WIRE_HEADER_BYTES];
        struct wire_header header;
        if (recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head ||
            wire_get_header(head, &header) != 0 || header.length > sizeof buffer ||
            recv(fd, buffer, header.length, MSG_WAITALL) != (ssize_t)header.length)
            return fail("the node has ended");
        const size_t fixed = buffer[0] | (size_t)buffer[1] << 8;
        if (header.type == WIRE_TYPE_FRAME && pass_on(buffer + fixed, header.length - fixed) < 0)
            return 0;
    }
}
