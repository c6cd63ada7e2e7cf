// SPDX-License-Identifier: MIT
// From "host:port", "[v6]:port" and "unix:/path" to socket addresses.
#include "net/client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define UNIX_PREFIX "unix:"
#define ID_PREFIX   "id:"

static int resolve_unix(struct pinhole *p, const char *path, struct client_address *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path)
        return client_fail(p, EINVAL, "socket path '%s' must have 1 to %zu characters", path,
                           sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, length + 1);
    memcpy(&out->list[0].address, &address, sizeof address);
    out->list[0].length = sizeof address;
    out->count = 1;
    out->is_numeric = true;
    return 0;
}

/** Splits text into host and port in place. A lone colon separates a port; more of them are an
 * IPv6 address, which takes brackets to have a port. */
static int split(struct pinhole *p, char *text, char **host, char **port)
{
    *host = text;
    *port = NULL;
    char *colon = strchr(text, ':');
    if (*text == '[') {
        char *bracket = strchr(text, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
            return client_fail(p, EINVAL, "address '%s': write [address]:port", p->address);
        *host = text + 1;
        *port = bracket[1] == ':' ? bracket + 2 : NULL;
        *bracket = '\0';
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        *port = colon + 1;
        *colon = '\0';
    }
    if (**host == '\0')
        return client_fail(p, EINVAL, "address '%s' has no host", p->address);
    if (*port == NULL)
        return 0;
    char *end;
    long number = strtol(*port, &end, 10);
    if (**port < '0' || **port > '9' || *end != '\0' || number < 1 || number > 65535)
        return client_fail(p, EINVAL, "address '%s': the port must be 1 to 65535", p->address);
    return 0;
}

static int errno_of_lookup(int code)
{
    if (code == EAI_MEMORY)
        return ENOMEM;
    return code == EAI_AGAIN ? EAGAIN : EHOSTUNREACH;
}

/** Addresses of the node called `id`, which may have others the next time. */
static int resolve_id(struct pinhole *p, const char *id, struct client_address *out)
{
    char address[sizeof p->address];
    int error = client_find_id(p, id, address, sizeof address);
    if (error == 0)
        error = client_resolve(p, address, out);
    out->is_numeric = false;
    return error;
}

int client_resolve(struct pinhole *p, const char *text, struct client_address *out)
{
    memset(out, 0, sizeof *out);
    if (strncmp(text, ID_PREFIX, strlen(ID_PREFIX)) == 0)
        return resolve_id(p, text + strlen(ID_PREFIX), out);
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return resolve_unix(p, text + strlen(UNIX_PREFIX), out);

    char copy[sizeof p->address], number[8], *host, *port;
    memcpy(copy, text, strlen(text) + 1);
    int error = split(p, copy, &host, &port);
    if (error < 0)
        return error;
    snprintf(number, sizeof number, "%d", WIRE_DEFAULT_PORT);
    if (port == NULL)
        port = number;

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    int code = getaddrinfo(host, port, &hints, &found);
    out->is_numeric = code == 0;
    hints.ai_flags = 0;
    if (code == EAI_NONAME)
        code = getaddrinfo(host, port, &hints, &found);
    if (code != 0)
        return client_fail(p, errno_of_lookup(code), "cannot find host '%s': %s", host,
                           gai_strerror(code));
    for (struct addrinfo *a = found; a != NULL && out->count < CLIENT_ADDRESSES_MAX;
         a = a->ai_next) {
        memcpy(&out->list[out->count].address, a->ai_addr, a->ai_addrlen);
        out->list[out->count++].length = a->ai_addrlen;
    }
    freeaddrinfo(found);
    return 0;
}
