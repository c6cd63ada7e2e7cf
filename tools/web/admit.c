// SPDX-License-Identifier: MIT
// Who asks: by name and password of HTTP's Basic scheme (RFC 7617), or by a browser's cookie.
#include "tools/web/connection.h"
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

const char *web_cookie_of(const struct web_request *request)
{
    const char *site = web_request_header(request, "Sec-Fetch-Site");
    if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return NULL;
    return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND,
                                       request->web->login.cookie);
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

/** A browser gets the login page instead of a picture's address that it may not see. */
static enum MHD_Result send_to_login(struct web_request *request)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Location", "login");
    return web_reply(request, MHD_HTTP_SEE_OTHER, response);
}

static enum MHD_Result refuse(struct web_request *request)
{
    const char *wanted = request->route->role == WEB_ROLE_CONTROL ? "control" : "view";
    const char *accept = web_request_header(request, "Accept");
    if (request->user != NULL)
        return web_reply_error(request, MHD_HTTP_FORBIDDEN,
                               "%s may only view: this takes a user with the role %s",
                               request->user->name, wanted);
    if (request->method == WEB_GET && accept != NULL && strstr(accept, "text/html") != NULL)
        return send_to_login(request);
    return web_reply_error(request, MHD_HTTP_UNAUTHORIZED,
                           "log in: this takes a user with the role %s", wanted);
}

/** Knows the password, or has it checked and sleeps. Otherwise: in how many seconds to try again.
 */
static unsigned begin_check(struct web_request *request, const char *name, const char *password)
{
    struct web *web = request->web;
    const struct web_connection *link = web_connection_of(request->connection);
    const struct in6_addr address = link == NULL ? in6addr_any : link->address;
    unsigned wait_s = 1;
    pthread_mutex_lock(&web->lock);
    request->user = web_login_known(&web->login, name, password);
    if (request->user == NULL && !web->is_stopping)
        request->check =
            web_check_start(&web->login, name, password, &address, &request->sleeper, &wait_s);
    if (request->check != NULL)
        web_sleep(&web->http.sleepers, &request->sleeper, false, UINT64_MAX);
    pthread_mutex_unlock(&web->lock);
    return wait_s;
}

bool web_admit_password(struct web_request *request, const char *name, const char *password,
                        enum MHD_Result *result)
{
    const struct web_check *check = request->check;
    *result = MHD_YES;
    if (strlen(password) >= WEB_PASSWORD_BYTES) {
        *result = web_reply_error(request, MHD_HTTP_UNAUTHORIZED, "wrong name or password");
    } else if (check == NULL) {
        const unsigned wait_s = begin_check(request, name, password);
        if (request->user != NULL || request->check != NULL)
            return request->user != NULL;
        request->retry_after_s = wait_s;
        *result = web_reply_error(request, MHD_HTTP_TOO_MANY_REQUESTS,
                                  "too many passwords were tried: try again in %u s", wait_s);
    } else if (check->is_done && check->result > 0) {
        request->user = check->user;
    } else if (check->is_done && check->result < 0) {
        *result = web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                                  "the password could not be checked");
    } else if (check->is_done) {
        *result = web_reply_error(request, MHD_HTTP_UNAUTHORIZED, "wrong name or password");
    }
    return request->user != NULL;
}

/** Finds out who asks, by name and password or by cookie. False: it has been answered, or sleeps.
 */
static bool identify(struct web_request *request, enum MHD_Result *result)
{
    struct web *web = request->web;
    char text[CREDENTIALS_BYTES + 1];
    if (web->login.users.count == 0)
        return true;
    const char *password = read_basic(web_request_header(request, "Authorization"), text);
    if (password != NULL) {
        const bool is_known = web_admit_password(request, text, password, result);
        explicit_bzero(text, sizeof text);
        return is_known;
    }
    const char *token = web_cookie_of(request);
    if (token == NULL)
        return true;
    pthread_mutex_lock(&web->lock);
    request->user = web_session_find(&web->login.sessions, token, clock_now_ns());
    pthread_mutex_unlock(&web->lock);
    return true;
}

bool web_admit(struct web_request *request, enum MHD_Result *result)
{
    if (request->is_admitted || request->route->role == WEB_ROLE_NONE)
        return true;
    if (!identify(request, result))
        return false;
    request->is_admitted = web_admit_role(request) >= request->route->role;
    if (!request->is_admitted)
        *result = refuse(request);
    return request->is_admitted;
}
