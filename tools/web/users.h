// SPDX-License-Identifier: MIT
// Who may log in: the file of --users, a line NAME:ROLE:HASH for each. The hash is libcrypt's, as
// in /etc/shadow.
#ifndef PINHOLE_TOOLS_WEB_USERS_H
#define PINHOLE_TOOLS_WEB_USERS_H

#include <stdbool.h>
#include <stddef.h>

#define WEB_USERS_MAX          32
#define WEB_USER_NAME_BYTES    33u  /**< with its 0 */
#define WEB_USER_HASH_BYTES    192u /**< with its 0 */
#define WEB_PASSWORD_BYTES     129u /**< with its 0 */
#define WEB_PASSWORD_BYTES_MIN 8u

enum web_role {
    WEB_ROLE_NONE,
    WEB_ROLE_VIEW,    /**< sees pictures, stream and state */
    WEB_ROLE_CONTROL, /**< may also set and trigger */
};

struct web_user {
    char name[WEB_USER_NAME_BYTES];
    enum web_role role;
    char hash[WEB_USER_HASH_BYTES];
};

struct web_users {
    struct web_user list[WEB_USERS_MAX];
    int count;
};

/** "view" or "control"; false: it is neither. */
bool web_role_read(enum web_role *role, const char *text);
/** Reads the file. A name without a slash is one of systemd's credentials, when there are any. 0,
 * or -1 with a sentence in `why` that names the file and the line. */
int web_users_read(struct web_users *users, const char *file, char *why, size_t size);
/** A user by name, or NULL. */
const struct web_user *web_users_find(const struct web_users *users, const char *name);
/** Is it this user's password? 1 or 0, or -ENOMEM. Slow on purpose, any thread. NULL for a user
 * whom nobody knows: 0, after the same time. */
int web_user_has_password(const struct web_users *users, const struct web_user *user,
                          const char *password);
/** Adds a user to the file, or changes one, in one step. The file's folder is made when it is
 * absent. 0, or -1 with a sentence in `why`. */
int web_users_add(const char *file, const char *name, enum web_role role, const char *password,
                  char *why, size_t size);
/** --add-user: asks for the password on a terminal, or takes a line of standard input. The
 * program's exit status. */
int web_users_add_by_hand(const char *file, const char *name, enum web_role role);

#endif
