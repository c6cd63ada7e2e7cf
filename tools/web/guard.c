// SPDX-License-Identifier: MIT
// Who may change anything. A page of another site must not be able to, in three ways: by a form or
// a script of its own (a header that needs a permission we never give), from another origin that a
// browser names, or by a name of its own that leads to our address (DNS rebinding).
#include "tools/web/request.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/** The name in a Host header: without port, without the brackets of IPv6. */
static void host_name(const char *host, char *out, size_t size)
{
    size_t length;
    if (*host == '[') {
        host++;
        length = strcspn(host, "]");
    } else {
        length = strcspn(host, ":");
    }
    snprintf(out, size, "%.*s", (int)length, host);
}

static bool is_address(const char *name)
{
    unsigned char address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static bool is_own_name(const struct web_options *options, const char *name)
{
    char own[256] = "", local[280];
    gethostname(own, sizeof own - 1);
    snprintf(local, sizeof local, "%s.local", own);
    if (strcasecmp(name, "localhost") == 0 || strcasecmp(name, own) == 0 ||
        strcasecmp(name, local) == 0)
        return true;
    for (int i = 0; i < options->allow_hosts_count; i++)
        if (strcasecmp(name, options->allow_hosts[i]) == 0)
            return true;
    return false;
}

static bool is_same_origin(const char *origin, const char *host)
{
    if (strncasecmp(origin, "http://", 7) == 0)
        origin += 7;
    else if (strncasecmp(origin, "https://", 8) == 0)
        origin += 8;
    else
        return false;
    return host != NULL && strcasecmp(origin, host) == 0;
}

const char *web_guard_refuses(const struct web_request *request, char *why, size_t size)
{
    const struct web_options *options = &request->web->options;
    const char *host = web_request_header(request, "Host");
    const char *origin = web_request_header(request, "Origin");
    const char *site = web_request_header(request, "Sec-Fetch-Site");
    if (options->is_read_only)
        return "this gateway was started with --read-only";
    if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return "requests from pages of other sites are refused";
    if (origin != NULL && !is_same_origin(origin, host)) {
        snprintf(why, size, "requests from pages of %.100s are refused", origin);
        return why;
    }
    if (web_request_header(request, "X-Pinhole") == NULL)
        return "add the header 'X-Pinhole: 1', which shows that no foreign web page sent this";
    if (host != NULL) {
        char name[256];
        host_name(host, name, sizeof name);
        if (!is_address(name) && !is_own_name(options, name)) {
            snprintf(why, size,
                     "this gateway does not know that it is called %.100s: use its address, or "
                     "start it with --allow-host %.100s",
                     name, name);
            return why;
        }
    }
    return NULL;
}
