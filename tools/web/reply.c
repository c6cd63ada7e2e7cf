// SPDX-License-Identifier: MIT
// How requests are answered.
#include "tools/web/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *web_request_query(const struct web_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *web_request_header(const struct web_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

bool web_request_wants_colour(const struct web_request *request)
{
    const char *components = web_request_query(request, "components");
    const char *agent = web_request_header(request, "User-Agent");
    if (components != NULL)
        return strcmp(components, "3") == 0;
    return agent != NULL && (strncmp(agent, "Lavf/", 5) == 0 || strstr(agent, "mpv") != NULL);
}

bool web_request_calls(struct web_request *request, enum web_call_kind kind, const char *lines)
{
    struct web *web = request->web;
    pthread_mutex_lock(&web->lock);
    if (request->call == NULL && !web->is_stopping)
        request->call = web_call_start(&web->calls, kind, lines, &request->sleeper);
    bool must_wait = request->call != NULL && !request->call->is_done && !web->is_stopping;
    if (must_wait)
        web_sleep(&web->http.sleepers, &request->sleeper, false, UINT64_MAX);
    pthread_mutex_unlock(&web->lock);
    return must_wait;
}

void web_route_methods(const struct web_route *route, char *out, size_t size)
{
    unsigned methods = route == NULL ? WEB_GET | WEB_POST : route->methods;
    snprintf(out, size, "%s%sOPTIONS", methods & WEB_GET ? "GET, HEAD, " : "",
             methods & WEB_POST ? "POST, " : "");
}

static bool is_browser(const struct web_request *request)
{
    const char *agent = web_request_header(request, "User-Agent");
    return agent != NULL && strstr(agent, "Mozilla/") != NULL;
}

static void add_origin(const struct web_request *request, struct MHD_Response *response)
{
    const char *origin = request->web->options.allow_origin;
    if (origin == NULL || request->route == NULL || !(request->route->methods & WEB_GET) ||
        request->method == WEB_POST)
        return;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, HEAD");
    MHD_add_response_header(response, "Access-Control-Expose-Headers", "*");
    if (strcmp(origin, "*") != 0)
        MHD_add_response_header(response, "Vary", "Origin");
}

enum MHD_Result web_reply(struct web_request *request, unsigned status,
                          struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    if (MHD_get_response_header(response, "Cache-Control") == NULL)
        MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    if (MHD_get_response_header(response, "Content-Security-Policy") == NULL)
        MHD_add_response_header(response, "Content-Security-Policy", "frame-ancestors 'self'");
    MHD_add_response_header(response, "Server", "pinhole-web/" PINHOLE_VERSION);
    if (request->is_complete && !request->has_place)
        MHD_add_response_header(response, "Connection", "close");
    add_origin(request, response);
    // Other sites may not even show what they cannot read, unless one is let in.
    bool is_open = MHD_get_response_header(response, "Access-Control-Allow-Origin") != NULL;
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy",
                            is_open ? "cross-origin" : "same-site");
    pthread_mutex_lock(&request->web->lock);
    request->web->http.requests[status / 100 % 6]++;
    pthread_mutex_unlock(&request->web->lock);
    enum MHD_Result result = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result web_reply_text(struct web_request *request, unsigned status, const char *type,
                               char *text)
{
    if (text == NULL)
        return MHD_NO;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED || request->method == WEB_OPTIONS) {
        char methods[64];
        web_route_methods(request->route, methods, sizeof methods);
        MHD_add_response_header(response, "Allow", methods);
    }
    // A browser would ask for a password itself, over the page that knows better.
    if (status == MHD_HTTP_UNAUTHORIZED && !is_browser(request))
        MHD_add_response_header(response, "WWW-Authenticate",
                                "Basic realm=\"Pinhole\", charset=\"UTF-8\"");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE || request->retry_after_s > 0) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%u",
                 request->retry_after_s > 0 ? request->retry_after_s : 1);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    return web_reply(request, status, response);
}

enum MHD_Result web_reply_json(struct web_request *request, unsigned status, json_t *document)
{
    return web_reply_text(request, status, "application/json", json_line(document));
}

enum MHD_Result web_reply_error(struct web_request *request, unsigned status, const char *format,
                                ...)
{
    char sentence[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    json_t *answer = json_object();
    json_put_text(&answer, "error", sentence);
    return web_reply_json(request, status, answer);
}

enum MHD_Result web_reply_call_error(struct web_request *request, const struct web_call *call)
{
    if (call == NULL)
        return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                               "too many requests to the node are waiting");
    if (!call->is_done)
        return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway is ending");
    switch (-call->result) {
    case ENOENT:
    case EACCES:
    case ERANGE:
    case EINVAL:
    case EMSGSIZE: return web_reply_error(request, MHD_HTTP_BAD_REQUEST, "%s", call->error);
    case EAGAIN: return web_reply_error(request, MHD_HTTP_CONFLICT, "%s", call->error);
    case ETIMEDOUT:
        return web_reply_error(request, MHD_HTTP_GATEWAY_TIMEOUT, "the node did not answer: %s",
                               call->error);
    default:
        return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the node is away: %s",
                               call->error);
    }
}
