// SPDX-License-Identifier: MIT
#include "tools/web/http.h"

#include "tools/web/connection.h"
#include "tools/web/log.h"
#include "tools/web/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { POOL_BYTES = 32768 };

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

static const struct web_route routes[] = {
    {"/", WEB_GET, WEB_ROLE_VIEW, web_asset_answer},
    {"/style.css", WEB_GET, WEB_ROLE_NONE, web_asset_answer},
    {"/app.js", WEB_GET | WEB_OF_NODE, WEB_ROLE_VIEW, web_asset_answer},
    {"/triggers.js", WEB_GET | WEB_OF_NODE, WEB_ROLE_VIEW, web_asset_answer},
    {"/favicon.svg", WEB_GET, WEB_ROLE_NONE, web_asset_answer},
    {"/favicon.ico", WEB_GET, WEB_ROLE_NONE, web_asset_answer},
    {"/stream", WEB_GET | WEB_OF_NODE, WEB_ROLE_VIEW, web_stream_answer},
    {"/snapshot", WEB_GET | WEB_OF_NODE, WEB_ROLE_VIEW, web_snapshot_answer},
    {"/snapshot.jpg", WEB_GET | WEB_OF_NODE, WEB_ROLE_VIEW, web_snapshot_answer},
    {"/state", WEB_GET | WEB_OF_NODE, WEB_ROLE_VIEW, web_state_answer},
    {"/fleet.js", WEB_GET | WEB_OF_FLEET, WEB_ROLE_VIEW, web_asset_answer},
    {"/fleet", WEB_GET | WEB_OF_FLEET, WEB_ROLE_VIEW, web_fleet_answer},
    {"/fleet/thumbnail", WEB_GET | WEB_OF_FLEET, WEB_ROLE_VIEW, web_fleet_thumbnail_answer},
    {"/fleet/prometheus.json", WEB_GET | WEB_OF_FLEET, WEB_ROLE_VIEW, web_fleet_targets_answer},
    {"/metrics", WEB_GET | WEB_VITAL, WEB_ROLE_VIEW, web_metrics_answer},
    {"/healthz", WEB_GET | WEB_VITAL, WEB_ROLE_VIEW, web_health_answer},
    {"/login", WEB_GET | WEB_POST, WEB_ROLE_NONE, web_login_answer},
    {"/login.js", WEB_GET, WEB_ROLE_NONE, web_asset_answer},
    {"/logout", WEB_POST, WEB_ROLE_NONE, web_logout_answer},
    {"/features", WEB_POST | WEB_OF_NODE, WEB_ROLE_CONTROL, web_features_answer},
    {"/trigger", WEB_POST | WEB_OF_NODE, WEB_ROLE_CONTROL, web_trigger_answer},
};

static const struct web_route *find_route(const struct web *web, const char *path)
{
    const unsigned other = web->fleet.ops != NULL ? WEB_OF_NODE : WEB_OF_FLEET;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(path, routes[i].path) == 0)
            return routes[i].methods & other ? NULL : &routes[i];
    return NULL;
}

static enum web_method method_of(const char *name)
{
    if (strcmp(name, "GET") == 0)
        return WEB_GET;
    if (strcmp(name, "HEAD") == 0)
        return WEB_HEAD;
    if (strcmp(name, "POST") == 0)
        return WEB_POST;
    return strcmp(name, "OPTIONS") == 0 ? WEB_OPTIONS : WEB_OTHER;
}

// --- a request's way -------------------------------------------------------------------------

static struct web_request *begin(struct web *web, struct MHD_Connection *connection,
                                 const char *path, const char *method)
{
    struct web_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->web = web;
    request->connection = connection;
    request->sleeper.connection = connection;
    request->method = method_of(method);
    request->route = find_route(web, path);
    // The URLs of mjpg-streamer and its heirs.
    const char *action = web_request_query(request, "action");
    if (action != NULL && strcmp(path, "/") == 0) {
        if (strcmp(action, "stream") == 0)
            request->route = find_route(web, "/stream");
        else if (strcmp(action, "snapshot") == 0)
            request->route = find_route(web, "/snapshot");
        else
            request->route = NULL;
    }
    return request;
}

static enum MHD_Result take_body(struct web_request *request, const char *bytes, size_t *size)
{
    size_t length = *size;
    *size = 0;
    if (request->body_bytes + length > WEB_BODY_BYTES_MAX)
        request->body_is_too_large = true;
    if (request->body_is_too_large)
        return MHD_YES;
    if (request->body == NULL)
        request->body = malloc(WEB_BODY_BYTES_MAX + 1);
    if (request->body == NULL)
        return MHD_NO;
    memcpy(request->body + request->body_bytes, bytes, length);
    request->body_bytes += length;
    request->body[request->body_bytes] = '\0';
    return MHD_YES;
}

/** True when the connection has no place. */
static void complete(struct web_request *request)
{
    request->is_complete = true;
    request->started_ns = clock_now_ns();
    struct web_connection *link = web_connection_of(request->connection);
    request->has_place = true;
    if (link == NULL)
        return;
    pthread_mutex_lock(&request->web->lock);
    link->is_answering = true;
    request->has_place = web_connection_seat(request->web, link);
    request->web->http.refused_full += !request->has_place;
    pthread_mutex_unlock(&request->web->lock);
}

static enum MHD_Result reply_options(struct web_request *request)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    char methods[64];
    web_route_methods(request->route, methods, sizeof methods);
    MHD_add_response_header(response, "Allow", methods);
    return web_reply(request, MHD_HTTP_NO_CONTENT, response);
}

static enum MHD_Result reply_not_found(struct web_request *request, const char *path)
{
    const char *action = web_request_query(request, "action");
    if (action == NULL || strcmp(path, "/") != 0)
        return web_reply_error(request, MHD_HTTP_NOT_FOUND, "there is nothing at %.200s", path);
    if (strcmp(action, "command") == 0)
        return web_reply_error(request, MHD_HTTP_NOT_FOUND,
                               "commands of mjpg-streamer are not understood: send Name=value by "
                               "POST to /features, with the header 'X-Pinhole: 1'");
    return web_reply_error(request, MHD_HTTP_NOT_FOUND,
                           "there is no action '%.100s', only stream and snapshot", action);
}

static enum MHD_Result dispatch(struct web_request *request, const char *path)
{
    char why[512];
    const char *refusal = web_guard_refuses_host(request, why, sizeof why);
    if (refusal != NULL)
        return web_reply_error(request, MHD_HTTP_FORBIDDEN, "%s", refusal);
    if (request->method == WEB_OPTIONS && (request->route != NULL || strcmp(path, "*") == 0))
        return reply_options(request);
    if (request->route == NULL)
        return reply_not_found(request, path);
    unsigned allowed = request->route->methods;
    if (allowed & WEB_GET)
        allowed |= WEB_HEAD;
    if (!(allowed & request->method))
        return web_reply_error(request, MHD_HTTP_METHOD_NOT_ALLOWED,
                               "%.100s does not take this method", path);
    if (request->body_is_too_large)
        return web_reply_error(request, MHD_HTTP_CONTENT_TOO_LARGE,
                               "the request's body is over %u bytes", WEB_BODY_BYTES_MAX);
    enum MHD_Result result;
    return web_admit(request, &result) ? request->route->answer(request) : result;
}

/** The path of a request line as proxies write it, "http://HOST/PATH". */
static const char *strip_authority(const char *path)
{
    if (strncmp(path, "http://", 7) != 0)
        return path;
    const char *slash = strchr(path + 7, '/');
    return slash == NULL ? "/" : slash;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **state)
{
    (void)version;
    struct web_request *request = *state;
    path = strip_authority(path);
    if (request == NULL) {
        request = begin(context, connection, path, method);
        *state = request;
        return request == NULL ? MHD_NO : MHD_YES;
    }
    if (*upload_size > 0)
        return take_body(request, upload, upload_size);
    if (!request->is_complete) {
        web_log(WEB_DEBUG, "%.10s %.200s", method, path);
        complete(request);
    }
    if (!request->has_place && (request->route == NULL || !(request->route->methods & WEB_VITAL)))
        return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                               "all connections are taken; see --max-clients (%d) and "
                               "--max-clients-of-one (%d)",
                               request->web->options.max_clients,
                               request->web->options.max_clients_of_one);
    return dispatch(request, path);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct web *web = context;
    struct web_request *request = *state;
    struct web_connection *link = web_connection_of(connection);
    pthread_mutex_lock(&web->lock);
    if (link != NULL) {
        link->is_answering = false;
        link->since_ns = clock_now_ns();
    }
    if (why == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED)
        web->http.closed_slow++;
    if (request != NULL) {
        web_call_end(request->call);
        web_check_end(request->check);
    }
    pthread_mutex_unlock(&web->lock);
    if (request != NULL)
        free(request->body);
    free(request);
    *state = NULL;
}

// --- connections -----------------------------------------------------------------------------

void web_http_reap(struct web *web, uint64_t now_ns)
{
    bool is_full = web->http.place_count >= web_connection_places(&web->options, false);
    uint64_t patience_s = is_full ? WEB_BUSY_DEADLINE_S : WEB_REQUEST_DEADLINE_S;
    for (struct web_connection *link = web->http.connections; link != NULL; link = link->next) {
        if (link->is_answering || now_ns - link->since_ns < patience_s * 1000000000u)
            continue;
        // libmicrohttpd sees the end of the stream and closes it.
        shutdown(link->fd, SHUT_RDWR);
        link->since_ns = now_ns;
        web->http.closed_idle++;
    }
}

// --- the daemon ------------------------------------------------------------------------------

static void on_log(void *context, const char *format, va_list arguments)
{
    (void)context;
    char line[256];
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\n")] = '\0';
    web_log(WEB_DEBUG, "libmicrohttpd: %s", line);
}

unsigned web_http_connections_max(const struct web_options *options)
{
    // This host can connect even when others hold all that they may.
    return (unsigned)options->max_clients + WEB_SURPLUS + WEB_KEPT_FOR_LOCAL;
}

int web_http_start(struct web *web, int socket)
{
    unsigned limit = web_http_connections_max(&web->options);
    const bool has_tls = web->options.tls_certificate != NULL;
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, web->tls.certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, web->tls.key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    web->http.daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (has_tls ? MHD_USE_TLS : 0),
        0, web_connection_accepts, web, on_request, web, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)socket, MHD_OPTION_CONNECTION_LIMIT, limit,
        MHD_OPTION_CONNECTION_TIMEOUT, WEB_SEND_DEADLINE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)POOL_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, web,
        MHD_OPTION_NOTIFY_CONNECTION, web_connection_notify, web, MHD_OPTION_ARRAY,
        has_tls ? tls : tls + 3, MHD_OPTION_END);
    return web->http.daemon == NULL ? -1 : 0;
}

void web_http_stop(struct web *web)
{
    // libmicrohttpd must not be stopped while a connection is suspended. None falls asleep any
    // more, because `is_stopping` is set.
    pthread_mutex_lock(&web->lock);
    web_sleep_wake_due(&web->http.sleepers, UINT64_MAX);
    pthread_mutex_unlock(&web->lock);
    MHD_stop_daemon(web->http.daemon);
}
