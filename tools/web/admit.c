// SPDX-License-Identifier: MIT
// Who asks: name and password of HTTP's Basic scheme (RFC 7617).
#include "tools/web/request.h"

#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { CREDENTIALS_BYTES = WEB_USER_NAME_BYTES + WEB_PASSWORD_BYTES };

enum web_role web_admit_role(const struct web_request *request)
{
    const enum web_role anonymous = request->web->login.anonymous;
    return request->user != NULL && request->user->role > anonymous ? request->user->role
                                                                    : anonymous;
}

/** Takes the header apart; the password follows the name's 0. NULL: it is of another scheme, wrong,
 * or longer than any user's. */
static const char *read_basic(const char *header, char text[CREDENTIALS_BYTES + 1])
{
    struct base64_decode_ctx base64;
    if (header == NULL || strncasecmp(header, "Basic ", 6) != 0)
        return NULL;
    header += 6 + strspn(header + 6, " ");
    const size_t length = strlen(header);
    size_t bytes = CREDENTIALS_BYTES;
    base64_decode_init(&base64);
    if (BASE64_DECODE_LENGTH(length) > CREDENTIALS_BYTES ||
        !base64_decode_update(&base64, &bytes, (uint8_t *)text, length, header) ||
        !base64_decode_final(&base64) || memchr(text, '\0', bytes) != NULL)
        return NULL;
    text[bytes] = '\0';
    char *colon = strchr(text, ':');
    if (colon == NULL || strlen(colon + 1) >= WEB_PASSWORD_BYTES)
        return NULL;
    *colon = '\0';
    return colon + 1;
}

static enum MHD_Result refuse(struct web_request *request)
{
    const char *wanted = request->route->role == WEB_ROLE_CONTROL ? "control" : "view";
    if (request->user != NULL)
        return web_reply_error(request, MHD_HTTP_FORBIDDEN,
                               "%s may only view: this takes a user with the role %s",
                               request->user->name, wanted);
    return web_reply_error(request, MHD_HTTP_UNAUTHORIZED,
                           "log in: this takes a user with the role %s", wanted);
}

/** Finds out who asks. False: it sleeps until its check is done, or there is none. */
static bool identify(struct web_request *request)
{
    struct web *web = request->web;
    struct web_login *login = &web->login;
    char text[CREDENTIALS_BYTES + 1];
    if (request->check != NULL)
        return request->check->is_done;
    const char *password = read_basic(web_request_header(request, "Authorization"), text);
    if (password == NULL || login->users.count == 0)
        return true;
    pthread_mutex_lock(&web->lock);
    request->user = web_login_known(login, text, password);
    const bool must_wait = request->user == NULL;
    if (must_wait && !web->is_stopping)
        request->check = web_check_start(login, text, password, &request->sleeper);
    if (request->check != NULL)
        web_sleep(&web->http.sleepers, &request->sleeper, false, UINT64_MAX);
    pthread_mutex_unlock(&web->lock);
    explicit_bzero(text, sizeof text);
    return !must_wait;
}

bool web_admit(struct web_request *request, enum MHD_Result *result)
{
    if (request->is_admitted)
        return true;
    const bool is_known = identify(request);
    const struct web_check *check = request->check;
    *result = MHD_YES;
    if (!is_known && check != NULL)
        return false;
    if (check != NULL && check->result > 0)
        request->user = check->user;
    if (!is_known)
        *result = web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                                  "too many passwords wait to be checked");
    else if (check != NULL && check->result < 0)
        *result = web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                                  "the password could not be checked");
    else if (check != NULL && check->result == 0)
        *result = web_reply_error(request, MHD_HTTP_UNAUTHORIZED, "wrong name or password");
    else if (web_admit_role(request) < request->route->role)
        *result = refuse(request);
    else
        request->is_admitted = true;
    return request->is_admitted;
}
