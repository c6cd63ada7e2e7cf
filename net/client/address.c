// SPDX-License-Identifier: MIT
// From "host:port", "[v6]:port" and "unix:/path" to socket addresses.
#include "net/address.h"
#include "net/client/client.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define UNIX_PREFIX "unix:"

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

static int errno_of_lookup(int code)
{
    if (code == EAI_MEMORY)
        return ENOMEM;
    return code == EAI_AGAIN ? EAGAIN : EHOSTUNREACH;
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
    if (strncmp(text, CLIENT_ID_PREFIX, strlen(CLIENT_ID_PREFIX)) == 0)
        return 1;

    struct net_address at;
    char port[8];
    const char *why = net_address_split(text, WIRE_DEFAULT_PORT, &at);
    if (why == NULL && at.host[0] == '\0')
        why = "it has no host";
    if (why == NULL && at.port == 0)
        why = "the port must be 1 to 65535";
    if (why != NULL)
        return client_not_found(out, EINVAL, "address '%.160s': %s", text, why);
    snprintf(port, sizeof port, "%u", at.port);

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    int code = getaddrinfo(at.host, port, &hints, &found);
    out->address.is_numeric = code == 0;
    if (code == EAI_NONAME) {
        if (!may_block)
            return 1;
        hints.ai_flags = 0;
        code = getaddrinfo(at.host, port, &hints, &found);
    }
    if (code != 0)
        return client_not_found(out, errno_of_lookup(code), "cannot find host '%.120s': %s",
                                at.host, gai_strerror(code));
    take_addresses(found, &out->address);
    freeaddrinfo(found);
    return 0;
}
