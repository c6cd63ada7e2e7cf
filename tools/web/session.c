// SPDX-License-Identifier: MIT
#include "tools/web/session.h"

#include <errno.h>
#include <nettle/base16.h>
#include <nettle/memops.h>
#include <string.h>
#include <sys/random.h>

#define NS_PER_S UINT64_C(1000000000)

int web_session_begin(struct web_sessions *sessions, const struct web_user *user, uint64_t now_ns,
                      char token[WEB_TOKEN_BYTES])
{
    uint8_t secret[sizeof sessions->list->secret];
    if (getrandom(secret, sizeof secret, 0) != sizeof secret)
        return -errno;
    struct web_session *place = sessions->list;
    for (struct web_session *each = place; each < sessions->list + WEB_SESSIONS_MAX; each++) {
        if (place->user == NULL)
            break;
        if (each->user == NULL || each->used_ns < place->used_ns)
            place = each;
    }
    *place = (struct web_session){.user = user, .begun_ns = now_ns, .used_ns = now_ns};
    memcpy(place->secret, secret, sizeof secret);
    base16_encode_update(token, sizeof secret, secret);
    token[WEB_TOKEN_BYTES - 1] = '\0';
    return 0;
}

static struct web_session *find(struct web_sessions *sessions, const char *token)
{
    struct web_session *found = NULL;
    for (struct web_session *each = sessions->list; each < sessions->list + WEB_SESSIONS_MAX;
         each++) {
        char text[WEB_TOKEN_BYTES - 1];
        base16_encode_update(text, sizeof each->secret, each->secret);
        if (each->user != NULL && memeql_sec(text, token, sizeof text))
            found = each;
    }
    return found;
}

const struct web_user *web_session_find(struct web_sessions *sessions, const char *token,
                                        uint64_t now_ns)
{
    if (strlen(token) != WEB_TOKEN_BYTES - 1)
        return NULL;
    struct web_session *session = find(sessions, token);
    if (session == NULL)
        return NULL;
    if (now_ns - session->used_ns >= WEB_SESSION_IDLE_S * NS_PER_S ||
        now_ns - session->begun_ns >= WEB_SESSION_AGE_S * NS_PER_S) {
        *session = (struct web_session){0};
        return NULL;
    }
    session->used_ns = now_ns;
    return session->user;
}

void web_session_end(struct web_sessions *sessions, const char *token)
{
    struct web_session *session =
        strlen(token) == WEB_TOKEN_BYTES - 1 ? find(sessions, token) : NULL;
    if (session != NULL)
        *session = (struct web_session){0};
}
