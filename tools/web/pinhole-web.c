// SPDX-License-Identifier: MIT
// pinhole-web: an HTTP gateway to a Pinhole node. tools/web/README.md says what it serves.
#include "tools/common/plugin.h"
#include "tools/web/fleet_run.h"
#include "tools/web/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TICK_NS = 50000000 };

/** What needs joining at the end. */
struct threads {
    pthread_t caller, receiver;
    struct web_fleet_threads fleet;
};

static void set_up(struct web *web, const struct web_fleet_ops *fleet)
{
    web->started_ns = clock_now_ns();
    web->view.camera_state = -1;
    web->view.clock.may_be_same = web_clock_is_local(web->options.node);
    snprintf(web->view.away, sizeof web->view.away, "not connected yet");
    pthread_mutex_init(&web->lock, NULL);
    pthread_cond_init(&web->calls.wanted, NULL);
    web_frame_pool_init(&web->frames);
    web_fleet_init(&web->fleet, fleet, (unsigned)web->options.page_port);
}

/** Settles who may do what. False, with a sentence in `why`: it is not settled for a socket that
 * others can reach. */
static bool settle_access(struct web *web, int socket, char *why, size_t size)
{
    const struct web_options *options = &web->options;
    web->login.anonymous = options->anonymous;
    snprintf(web->login.cookie, sizeof web->login.cookie, "pinhole_%u", web_listen_port(socket));
    if (options->users != NULL)
        return web_users_read(&web->login.users, options->users, why, size) == 0;
    if (options->anonymous == WEB_ROLE_NONE && web_listen_is_loopback(socket))
        web->login.anonymous = WEB_ROLE_CONTROL;
    if (web->login.anonymous != WEB_ROLE_NONE)
        return true;
    snprintf(
        why, size,
        "--listen %s opens the page to others, and nothing says who may do what. Give a file of "
        "users with --users FILE (see --add-user), or let everybody in with --anonymous view or "
        "--anonymous control, or listen on 127.0.0.1",
        options->listen);
    return false;
}

/** Wakes sleepers and closes what is over its deadline, until a signal comes. */
static void run(struct web *web, const sigset_t *signals)
{
    const struct timespec tick = {.tv_nsec = TICK_NS};
    while (sigtimedwait(signals, NULL, &tick) < 0) {
        uint64_t now_ns = clock_now_ns();
        pthread_mutex_lock(&web->lock);
        web_sleep_wake_due(&web->http.sleepers, now_ns);
        web_http_reap(web, now_ns);
        pthread_mutex_unlock(&web->lock);
    }
}

static void stop(struct web *web, const struct threads *threads)
{
    pthread_mutex_lock(&web->lock);
    web->is_stopping = true;
    pthread_cond_signal(&web->calls.wanted);
    pthread_cond_signal(&web->login.wanted);
    pthread_mutex_unlock(&web->lock);
    // The receiver comes first: it may be sending to a stream that sleeps.
    if (web->fleet.ops != NULL)
        web_fleet_join(&threads->fleet);
    else
        pthread_join(threads->receiver, NULL);
    web_login_stop(web);
    web_http_stop(web);
    pthread_join(threads->caller, NULL);
    web_fleet_free(&web->fleet);
    web_frame_unref(web->view.newest);
    web_frame_pool_destroy(&web->frames);
    pthread_cond_destroy(&web->calls.wanted);
    pthread_mutex_destroy(&web->lock);
}

/** Threads inherit the mask: only the main thread takes signals. */
static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int start(struct web *web, struct threads *threads)
{
    int error = web_calls_start(web, &threads->caller);
    if (error == 0)
        error = web_login_start(web);
    if (error == 0)
        error = web->fleet.ops != NULL ? web_fleet_start(web, &threads->fleet)
                                       : web_receiver_start(web, &threads->receiver);
    return error;
}

int main(int argc, char **argv)
{
    static struct web web;
    int status = web_options_read(&web.options, argc, argv);
    if (status >= 0)
        return status;
    if (web.options.is_verbose)
        web_log_set_level(WEB_DEBUG);

    char url[128], why[1024];
    const struct web_fleet_ops *fleet = NULL;
    if (web.options.fleet.servers != NULL) {
        fleet = plugin_load("pinhole-web-nats.so", "web_fleet_ops");
        if (fleet == NULL) {
            web_log(WEB_ERROR, "there is no libnats: --fleet is not possible");
            return 2;
        }
    }
    const bool has_tls = web.options.tls_certificate != NULL;
    if (has_tls && web_tls_read(&web.tls, web.options.tls_certificate, web.options.tls_key, why,
                                sizeof why) < 0) {
        web_log(WEB_ERROR, "%s", why);
        return 2;
    }
    int socket = web_listen(web.options.listen, has_tls ? "https" : "http", url, sizeof url, why,
                            sizeof why);
    if (socket < 0) {
        web_log(WEB_ERROR, "%s", why);
        return 1;
    }
    if (!settle_access(&web, socket, why, sizeof why)) {
        web_log(WEB_ERROR, "%s", why);
        return 2;
    }
    sigset_t signals;
    block_signals(&signals);
    set_up(&web, fleet);
    struct threads threads;
    int error = start(&web, &threads);
    if (error != 0) {
        web_log(WEB_ERROR, "cannot start: %s", strerror(-error));
        return 1;
    }
    if (web_http_start(&web, socket) < 0) {
        web_log(WEB_ERROR, "libmicrohttpd does not start");
        return 1;
    }
    printf("%s\n", url);
    fflush(stdout);
    run(&web, &signals);
    stop(&web, &threads);
    return web.fatal;
}
