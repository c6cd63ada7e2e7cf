// SPDX-License-Identifier: MIT
// Who asks, and what they may do. Passwords are checked by a thread of its own, one at a time,
// because libcrypt is slow on purpose; the request sleeps meanwhile. Who is known is not checked
// again. The gateway's lock is held in all of these, except where it says otherwise.
#ifndef PINHOLE_TOOLS_WEB_LOGIN_H
#define PINHOLE_TOOLS_WEB_LOGIN_H

#include "tools/web/attempts.h"
#include "tools/web/session.h"
#include "tools/web/sleep.h"
#include "tools/web/users.h"

#include <pthread.h>

#define WEB_CHECKS_MAX 8u  /**< passwords that wait to be checked */
#define WEB_KNOWN_MAX  32u /**< credentials that are known to be right */
#define WEB_MAC_BYTES  32u

struct web;

/** A password being checked. */
struct web_check {
    struct web_check *next;
    struct web_sleeper *sleeper; /**< who waits; NULL: nobody any more */
    const struct web_user *user; /**< NULL: nobody is called so */
    struct in6_addr address;     /**< whose attempt it is */
    bool is_done;
    int result; /**< 1: it is right, 0: it is wrong, negative: it could not be checked */
    char password[WEB_PASSWORD_BYTES];
};

/** A name with its right password, by a keyed hash. */
struct web_known {
    uint8_t mac[WEB_MAC_BYTES];
    const struct web_user *user; /**< NULL: free */
    uint64_t used;               /**< the tick of its last use */
};

struct web_login {
    struct web_users users;     /**< constant */
    enum web_role anonymous;    /**< what everybody may; constant */
    uint8_t key[WEB_MAC_BYTES]; /**< of the keyed hash, random; constant */
    char cookie[24];            /**< its name, with the port: cookies know none; constant */
    struct web_sessions sessions;
    struct web_attempts attempts;
    pthread_cond_t wanted;
    struct web_check *first, *last;
    unsigned count;
    struct web_known known[WEB_KNOWN_MAX];
    pthread_t thread;
    uint64_t ticks;
    uint64_t checked, refused, limited; /**< passwords */
};

/** Makes the key and starts the thread, when there are users. 0 or -errno. Without the lock. */
int web_login_start(struct web *web);
/** Ends the thread; `is_stopping` is set. Without the lock. */
void web_login_stop(struct web *web);
/** Whose name and password these are, if that is known already, else NULL. */
const struct web_user *web_login_known(struct web_login *login, const char *name,
                                       const char *password);
/** Notes that they are right. */
void web_login_remember(struct web_login *login, const struct web_user *user, const char *password);
/** Has them checked, and wakes the sleeper then. NULL: too many were wrong or wait, or no memory;
 * then `wait_s` says in how many seconds to try again. */
struct web_check *web_check_start(struct web_login *login, const char *name, const char *password,
                                  const struct in6_addr *address, struct web_sleeper *sleeper,
                                  unsigned *wait_s);
/** The caller is done with a check, be it done or not. NULL is allowed. */
void web_check_end(struct web_check *check);

#endif
