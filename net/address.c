// SPDX-License-Identifier: MIT
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum { PORT_MAX = 65535 };

static const char *read_port(const char *text, uint16_t *out)
{
    unsigned long number = 0;
    const size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits && number <= PORT_MAX; i++)
        number = 10 * number + (unsigned long)(text[i] - '0');
    *out = (uint16_t)number;
    if (digits == 0 || text[digits] != '\0' || number > PORT_MAX)
        return "the port must be 0 to 65535";
    return NULL;
}

const char *net_address_split(const char *text, int default_port, struct net_address *out)
{
    const char *host = text, *end = strchr(text, ':'), *port = NULL;
    memset(out, 0, sizeof *out);
    if (strstr(text, "://") != NULL)
        return "leave out the scheme (http://) and the path: HOST:PORT is enough";
    if (*text == '[') {
        end = strchr(++host, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return "write [ADDRESS]:PORT";
        out->is_ipv6 = true;
        port = end[1] == ':' ? end + 2 : NULL;
    } else if (end == NULL) {
        end = text + strlen(text);
    } else if (strchr(end + 1, ':') == NULL) {
        port = end + 1;
    } else if (default_port < 0) {
        return "write an IPv6 address as [ADDRESS]:PORT";
    } else {
        out->is_ipv6 = true;
        end = text + strlen(text);
    }
    if ((size_t)(end - host) >= sizeof out->host)
        return "the host is too long";
    memcpy(out->host, host, (size_t)(end - host));
    if (port != NULL)
        return read_port(port, &out->port);
    out->port = (uint16_t)default_port;
    return default_port < 0 ? "the port is missing" : NULL;
}

bool net_address_is_name(const char *host)
{
    static const char digits[] = "0123456789";
    static const char others[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const size_t length = strlen(host);
    const char *dot = strrchr(host, '.');
    const char *last = dot != NULL ? dot + 1 : host;
    if (length == 0 || strspn(host, others) != length || strchr("-_.", host[0]) != NULL)
        return false;
    return last[strspn(last, digits)] != '\0' && strcmp(host, "localhost") != 0;
}

socklen_t net_address_numeric(const struct net_address *address, struct sockaddr_storage *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    const bool is_local = strcmp(address->host, "localhost") == 0;
    memset(out, 0, sizeof *out);
    if (address->is_ipv6) {
        if (inet_pton(AF_INET6, address->host, &v6.sin6_addr) != 1)
            return 0;
        memcpy(out, &v6, sizeof v6);
        return sizeof v6;
    }
    if (inet_pton(AF_INET, is_local ? "127.0.0.1" : address->host, &v4.sin_addr) != 1)
        return 0;
    memcpy(out, &v4, sizeof v4);
    return sizeof v4;
}
