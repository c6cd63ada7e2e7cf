// SPDX-License-Identifier: MIT
// From "host:port", "[v6]:port" and "unix:/path" to socket addresses.
#include "net/client/client.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define UNIX_PREFIX "unix:"
#define ID_PREFIX   "id:"

int client_not_found(struct client_found *out, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->why, sizeof out->why, format, arguments);
    va_end(arguments);
    return out->error = -error;
}

static int resolve_unix(const char *path, struct client_found *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path)
        return client_not_found(out, EINVAL, "socket path '%.160s' must have 1 to %zu characters",
                                path, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, length + 1);
    memcpy(&out->address.list[0].address, &address, sizeof address);
    out->address.list[0].length = sizeof address;
    out->address.count = 1;
    out->address.is_numeric = true;
    return 0;
}

/** Splits `copy` of `text` into host and port in place. A lone colon separates a port; more of them
 * are an IPv6 address, which takes brackets to have a port. */
static int split(const char *text, char *copy, char **host, char **port, struct client_found *out)
{
    *host = copy;
    *port = NULL;
    char *colon = strchr(copy, ':');
    if (*copy == '[') {
        char *bracket = strchr(copy, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
            return client_not_found(out, EINVAL, "address '%.160s': write [address]:port", text);
        *host = copy + 1;
        *port = bracket[1] == ':' ? bracket + 2 : NULL;
        *bracket = '\0';
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        *port = colon + 1;
        *colon = '\0';
    }
    if (**host == '\0')
        return client_not_found(out, EINVAL, "address '%.160s' has no host", text);
    if (*port == NULL)
        return 0;
    char *end;
    long number = strtol(*port, &end, 10);
    if (**port < '0' || **port > '9' || *end != '\0' || number < 1 || number > 65535)
        return client_not_found(out, EINVAL, "address '%.160s': the port must be 1 to 65535", text);
    return 0;
}

static int errno_of_lookup(int code)
{
    if (code == EAI_MEMORY)
        return ENOMEM;
    return code == EAI_AGAIN ? EAGAIN : EHOSTUNREACH;
}

/** Addresses of the node called `id`, which may have others the next time. */
static int resolve_id(const char *id, struct client_found *out)
{
    char address[sizeof((struct pinhole_node *)0)->address];
    int error = client_find_id(id, address, sizeof address, out);
    if (error == 0)
        error = client_resolve(address, true, out);
    out->address.is_numeric = false;
    return error;
}

static void take_addresses(const struct addrinfo *found, struct client_address *out)
{
    for (const struct addrinfo *a = found; a != NULL && out->count < CLIENT_ADDRESSES_MAX;
         a = a->ai_next) {
        memcpy(&out->list[out->count].address, a->ai_addr, a->ai_addrlen);
        out->list[out->count++].length = a->ai_addrlen;
    }
}

int client_resolve(const char *text, bool may_block, struct client_found *out)
{
    memset(out, 0, sizeof *out);
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return resolve_unix(text + strlen(UNIX_PREFIX), out);
    if (strncmp(text, ID_PREFIX, strlen(ID_PREFIX)) == 0)
        return may_block ? resolve_id(text + strlen(ID_PREFIX), out) : 1;

    char copy[sizeof((struct pinhole *)0)->address], number[8], *host, *port;
    snprintf(copy, sizeof copy, "%s", text);
    int error = split(text, copy, &host, &port, out);
    if (error < 0)
        return error;
    snprintf(number, sizeof number, "%d", WIRE_DEFAULT_PORT);
    if (port == NULL)
        port = number;

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    int code = getaddrinfo(host, port, &hints, &found);
    out->address.is_numeric = code == 0;
    if (code == EAI_NONAME) {
        if (!may_block)
            return 1;
        hints.ai_flags = 0;
        code = getaddrinfo(host, port, &hints, &found);
    }
    if (code != 0)
        return client_not_found(out, errno_of_lookup(code), "cannot find host '%.120s': %s", host,
                                gai_strerror(code));
    take_addresses(found, &out->address);
    freeaddrinfo(found);
    return 0;
}
