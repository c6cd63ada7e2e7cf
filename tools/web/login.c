// SPDX-License-Identifier: MIT
#include "tools/web/login.h"

#include "tools/web/gateway.h"

#include <errno.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void hash(const struct web_login *login, const char *name, const char *password,
                 uint8_t mac[WEB_MAC_BYTES])
{
    struct hmac_sha256_ctx hmac;
    hmac_sha256_set_key(&hmac, sizeof login->key, login->key);
    hmac_sha256_update(&hmac, strlen(name) + 1, (const uint8_t *)name);
    hmac_sha256_update(&hmac, strlen(password), (const uint8_t *)password);
    hmac_sha256_digest(&hmac, WEB_MAC_BYTES, mac);
}

const struct web_user *web_login_known(struct web_login *login, const char *name,
                                       const char *password)
{
    uint8_t mac[WEB_MAC_BYTES];
    hash(login, name, password, mac);
    for (unsigned i = 0; i < WEB_KNOWN_MAX; i++) {
        struct web_known *known = &login->known[i];
        if (known->user == NULL || !memeql_sec(known->mac, mac, sizeof mac))
            continue;
        known->used = ++login->ticks;
        return known->user;
    }
    return NULL;
}

void web_login_remember(struct web_login *login, const struct web_user *user, const char *password)
{
    struct web_known *oldest = &login->known[0];
    for (unsigned i = 1; i < WEB_KNOWN_MAX; i++)
        if (login->known[i].used < oldest->used)
            oldest = &login->known[i];
    hash(login, user->name, password, oldest->mac);
    oldest->user = user;
    oldest->used = ++login->ticks;
}

struct web_check *web_check_start(struct web_login *login, const char *name, const char *password,
                                  const struct in6_addr *address, struct web_sleeper *sleeper,
                                  unsigned *wait_s)
{
    *wait_s = web_attempts_take(&login->attempts, address, clock_now_ns());
    login->limited += *wait_s > 0;
    if (*wait_s > 0)
        return NULL;
    *wait_s = 1;
    struct web_check *check = login->count >= WEB_CHECKS_MAX ? NULL : calloc(1, sizeof *check);
    if (check == NULL) {
        web_attempts_give_back(&login->attempts, address);
        return NULL;
    }
    check->address = *address;
    check->result = -ECANCELED;
    check->user = web_users_find(&login->users, name);
    check->sleeper = sleeper;
    snprintf(check->password, sizeof check->password, "%s", password);
    if (login->first == NULL)
        login->first = check;
    else
        login->last->next = check;
    login->last = check;
    login->count++;
    pthread_cond_signal(&login->wanted);
    return check;
}

static void free_check(struct web_check *check)
{
    explicit_bzero(check->password, sizeof check->password);
    free(check);
}

void web_check_end(struct web_check *check)
{
    if (check == NULL)
        return;
    if (check->is_done)
        free_check(check);
    else
        check->sleeper = NULL;
}

static struct web_check *take(struct web_login *login)
{
    struct web_check *check = login->first;
    login->first = check->next;
    login->count--;
    return check;
}

static void finish(struct web *web, struct web_check *check)
{
    check->is_done = true;
    if (check->result != 0)
        web_attempts_give_back(&web->login.attempts, &check->address);
    if (check->sleeper == NULL)
        free_check(check);
    else
        web_sleep_wake(&web->http.sleepers, check->sleeper);
}

static void carry_out(struct web *web, struct web_check *check)
{
    struct web_login *login = &web->login;
    pthread_mutex_unlock(&web->lock);
    const int result = web_user_has_password(&login->users, check->user, check->password);
    pthread_mutex_lock(&web->lock);
    check->result = result;
    login->checked++;
    login->refused += result == 0;
    if (result > 0)
        web_login_remember(login, check->user, check->password);
    finish(web, check);
}

static void *run(void *argument)
{
    struct web *web = argument;
    struct web_login *login = &web->login;
    pthread_mutex_lock(&web->lock);
    while (!web->is_stopping) {
        if (login->first != NULL)
            carry_out(web, take(login));
        else
            pthread_cond_wait(&login->wanted, &web->lock);
    }
    while (login->first != NULL)
        finish(web, take(login));
    pthread_mutex_unlock(&web->lock);
    return NULL;
}

int web_login_start(struct web *web)
{
    struct web_login *login = &web->login;
    pthread_cond_init(&login->wanted, NULL);
    if (login->users.count == 0)
        return 0;
    if (getrandom(login->key, sizeof login->key, 0) != sizeof login->key)
        return -errno;
    return -pthread_create(&login->thread, NULL, run, web);
}

void web_login_stop(struct web *web)
{
    if (web->login.users.count > 0)
        pthread_join(web->login.thread, NULL);
    pthread_cond_destroy(&web->login.wanted);
}
