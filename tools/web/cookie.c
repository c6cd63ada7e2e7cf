// SPDX-License-Identifier: MIT
// /login and /logout: a browser's cookie. The page of /login sends {"name":...,"password":...}.
#include "tools/web/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/** Whether the browser came by TLS, here or at a reverse proxy. */
static bool is_secure(const struct web_request *request)
{
    const char *origin = web_request_header(request, "Origin");
    return request->web->options.tls_certificate != NULL ||
           (origin != NULL && strncasecmp(origin, "https://", 8) == 0);
}

/** Answers with a JSON document, which it takes over, and with a cookie: "" takes it back. */
static enum MHD_Result reply_cookie(struct web_request *request, json_t *document,
                                    const char *token)
{
    char cookie[256];
    char *text = json_line(document);
    struct MHD_Response *response =
        text == NULL ? NULL
                     : MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    snprintf(cookie, sizeof cookie, "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%u%s",
             request->web->login.cookie, token, *token == '\0' ? 0 : WEB_SESSION_AGE_S,
             is_secure(request) ? "; Secure" : "");
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Set-Cookie", cookie);
    return web_reply(request, MHD_HTTP_OK, response);
}

static enum MHD_Result log_in(struct web_request *request)
{
    struct web *web = request->web;
    char token[WEB_TOKEN_BYTES];
    pthread_mutex_lock(&web->lock);
    const int error = web_session_begin(&web->login.sessions, request->user, clock_now_ns(), token);
    pthread_mutex_unlock(&web->lock);
    if (error < 0)
        return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                               "there are no random numbers");
    json_t *answer = json_object();
    json_put_text(&answer, "user", request->user->name);
    return reply_cookie(request, answer, token);
}

/** The sentence that refuses what comes from foreign pages, or NULL. */
static const char *refuses(struct web_request *request, char *why, size_t size)
{
    if (request->web->login.users.count == 0)
        return "this gateway has no users: see --users";
    return web_guard_refuses_foreign(request, why, size);
}

enum MHD_Result web_login_answer(struct web_request *request)
{
    char why[512];
    if (request->method != WEB_POST)
        return web_asset_answer(request);
    const char *refusal = refuses(request, why, sizeof why);
    if (refusal != NULL)
        return web_reply_error(request, MHD_HTTP_FORBIDDEN, "%s", refusal);
    json_t *body =
        json_loadb(request->body == NULL ? "" : request->body, request->body_bytes, 0, NULL);
    const char *name = json_string_value(json_object_get(body, "name"));
    const char *password = json_string_value(json_object_get(body, "password"));
    enum MHD_Result result = MHD_YES;
    if (name == NULL || password == NULL)
        result = web_reply_error(request, MHD_HTTP_BAD_REQUEST,
                                 "send {\"name\":\"...\",\"password\":\"...\"}");
    else if (web_admit_password(request, name, password, &result))
        result = log_in(request);
    json_decref(body);
    return result;
}

enum MHD_Result web_logout_answer(struct web_request *request)
{
    char why[512];
    struct web *web = request->web;
    const char *refusal = refuses(request, why, sizeof why);
    if (refusal != NULL)
        return web_reply_error(request, MHD_HTTP_FORBIDDEN, "%s", refusal);
    const char *token = web_cookie_of(request);
    pthread_mutex_lock(&web->lock);
    if (token != NULL)
        web_session_end(&web->login.sessions, token);
    pthread_mutex_unlock(&web->lock);
    return reply_cookie(request, json_object(), "");
}
