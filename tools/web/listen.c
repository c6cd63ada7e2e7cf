// SPDX-License-Identifier: MIT
// The listening socket.
#include "tools/web/http.h"

#include "net/address.h"
#include "tools/web/connection.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128 };

static void write_url(int fd, const char *scheme, char *url, size_t size)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    char host[64] = "?", port[8] = "?";
    if (getsockname(fd, (struct sockaddr *)&own, &length) == 0)
        getnameinfo((struct sockaddr *)&own, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(url, size, strchr(host, ':') != NULL ? "%s://[%s]:%s/" : "%s://%s:%s/", scheme, host,
             port);
}

static int open_socket(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    // A restart must not wait for old connections; a port in real use stays refused.
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

unsigned web_listen_port(int socket)
{
    struct sockaddr_in6 own = {0}; // the port is at the same place in IPv4's
    socklen_t length = sizeof own;
    return getsockname(socket, (struct sockaddr *)&own, &length) < 0 ? 0 : ntohs(own.sin6_port);
}

bool web_listen_is_loopback(int socket)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    if (getsockname(socket, (struct sockaddr *)&own, &length) < 0)
        return false;
    const struct in6_addr address = web_connection_address((const struct sockaddr *)&own);
    return web_connection_is_local(&address);
}

int web_listen(const char *address, const char *scheme, char *url, size_t url_size, char *why,
               size_t why_size)
{
    struct net_address at;
    char port[8];
    const char *wrong = net_address_split(address, -1, &at);
    if (wrong != NULL) {
        snprintf(why, why_size, "--listen %s: %s; ADDR:PORT is as in 127.0.0.1:8080 or [::1]:8080",
                 address, wrong);
        return -1;
    }
    snprintf(port, sizeof port, "%u", at.port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int error = getaddrinfo(at.host[0] == '\0' ? "0.0.0.0" : at.host, port, &hints, &found);
    if (error != 0) {
        snprintf(why, why_size, "--listen %s: %s", address, gai_strerror(error));
        return -1;
    }
    int fd = open_socket(found);
    if (fd < 0 && errno == EADDRINUSE)
        snprintf(why, why_size, "%s is in use by another program; choose another with --listen",
                 address);
    else if (fd < 0)
        snprintf(why, why_size, "cannot listen on %s: %s", address, strerror(errno));
    else
        write_url(fd, scheme, url, url_size);
    freeaddrinfo(found);
    return fd;
}
