// SPDX-License-Identifier: MIT
// What pages of other sites may not do. They read nothing by a name of theirs that leads to our
// address (DNS rebinding): each request's Host is checked. They change nothing by a form or a
// script: that takes a header that needs a permission which we never give, and an origin that is
// ours.
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

static bool is_allowed_name(const struct web_options *options, const char *name)
{
    for (int i = 0; i < options->allow_hosts_count; i++)
        if (strcasecmp(name, options->allow_hosts[i]) == 0)
            return true;
    return false;
}

static bool is_own_name(const struct web_options *options, const char *name)
{
    char own[256] = "", local[280];
    gethostname(own, sizeof own - 1);
    snprintf(local, sizeof local, "%s.local", own);
    return strcasecmp(name, "localhost") == 0 || strcasecmp(name, own) == 0 ||
           strcasecmp(name, local) == 0 || is_allowed_name(options, name);
}

/** What follows the scheme of an origin, or NULL: it has no scheme of the web. */
static const char *without_scheme(const char *origin)
{
    if (strncasecmp(origin, "http://", 7) == 0)
        return origin + 7;
    return strncasecmp(origin, "https://", 8) == 0 ? origin + 8 : NULL;
}

/** Is it the page that this gateway served? A reverse proxy may ask with a Host header of its own;
 * the page's origin then has the name that --allow-host declares. */
static bool is_own_page(const struct web_options *options, const char *origin, const char *host)
{
    char name[256];
    const char *authority = without_scheme(origin);
    if (authority == NULL)
        return false;
    if (host != NULL && strcasecmp(authority, host) == 0)
        return true;
    host_name(authority, name, sizeof name);
    return is_allowed_name(options, name);
}

const char *web_guard_refuses_host(const struct web_request *request, char *why, size_t size)
{
    const char *host = web_request_header(request, "Host");
    char name[256];
    if (host == NULL) // HTTP/1.0: no browser leaves it out
        return NULL;
    host_name(host, name, sizeof name);
    if (is_address(name) || is_own_name(&request->web->options, name))
        return NULL;
    snprintf(why, size,
             "this gateway does not know that it is called %.100s (header Host): use its address, "
             "or start it with --allow-host %.100s",
             name, name);
    return why;
}

const char *web_guard_refuses_foreign(const struct web_request *request, char *why, size_t size)
{
    const struct web_options *options = &request->web->options;
    const char *host = web_request_header(request, "Host");
    const char *origin = web_request_header(request, "Origin");
    const char *site = web_request_header(request, "Sec-Fetch-Site");
    char name[256];
    if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return "requests from pages of other sites are refused (header Sec-Fetch-Site)";
    if (origin != NULL && !is_own_page(options, origin, host)) {
        const char *authority = without_scheme(origin);
        host_name(authority == NULL ? origin : authority, name, sizeof name);
        snprintf(why, size,
                 "the request came from a page of %.100s (header Origin), but the gateway was "
                 "asked as %.100s (header Host). Behind a reverse proxy, pass on the Host header, "
                 "or start the gateway with --allow-host %.100s",
                 origin, host == NULL ? "nothing" : host, name);
        return why;
    }
    if (web_request_header(request, "X-Pinhole") == NULL)
        return "add the header 'X-Pinhole: 1', which shows that no foreign web page sent this";
    return NULL;
}

const char *web_guard_refuses_change(const struct web_request *request, char *why, size_t size)
{
    if (request->web->options.is_read_only)
        return "this gateway was started with --read-only";
    return web_guard_refuses_foreign(request, why, size);
}
