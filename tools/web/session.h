// SPDX-License-Identifier: MIT
// Who is logged in by a browser: a fixed table of cookies. The clock is an argument. When the table
// is full, who has been silent longest is logged out.
#ifndef PINHOLE_TOOLS_WEB_SESSION_H
#define PINHOLE_TOOLS_WEB_SESSION_H

#include "tools/web/users.h"

#include <stdint.h>

#define WEB_SESSIONS_MAX   64
#define WEB_SESSION_IDLE_S 43200u  /**< without a request, half a day */
#define WEB_SESSION_AGE_S  604800u /**< at most a week */
#define WEB_TOKEN_BYTES    65u     /**< of a cookie's text, with its 0 */

struct web_session {
    const struct web_user *user; /**< NULL: free */
    uint8_t secret[(WEB_TOKEN_BYTES - 1) / 2];
    uint64_t begun_ns, used_ns;
};

struct web_sessions {
    struct web_session list[WEB_SESSIONS_MAX];
};

/** Logs a user in; the cookie's text is in `token`. 0, or -errno: there are no random numbers. */
int web_session_begin(struct web_sessions *sessions, const struct web_user *user, uint64_t now_ns,
                      char token[WEB_TOKEN_BYTES]);
/** Whose cookie it is, or NULL: nobody's, or it is too old. */
const struct web_user *web_session_find(struct web_sessions *sessions, const char *token,
                                        uint64_t now_ns);
/** Logs out. */
void web_session_end(struct web_sessions *sessions, const char *token);

#endif
