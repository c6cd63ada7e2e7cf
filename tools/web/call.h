// SPDX-License-Identifier: MIT
// What HTTP requests ask of the node, or of the fleet's stream, and the thread that asks it over a
// connection of its own.
//
// A request starts a call and sleeps; the thread carries out one call after another and wakes it.
// The queue is bounded; a call that the node does not answer in time fails and says so.
// The gateway's lock is held in all of these, except where it says otherwise.
#ifndef PINHOLE_TOOLS_WEB_CALL_H
#define PINHOLE_TOOLS_WEB_CALL_H

#include "net/client/pinhole.h"
#include "tools/web/sleep.h"

#include <pthread.h>

#define WEB_FEATURES_MAX 128
#define WEB_CALLS_MAX    64u /**< waiting calls */

struct web;

enum web_call_kind {
    WEB_CALL_FEATURES, /**< brings web_calls.features up to date */
    WEB_CALL_SET,      /**< sets `lines` */
    WEB_CALL_TRIGGER,
    WEB_CALL_STATS,
    WEB_CALL_THUMBNAIL, /**< makes that of a node of the fleet, whose token is `lines` */
};

struct web_call {
    struct web_call *next;
    enum web_call_kind kind;
    struct web_sleeper *sleeper; /**< who waits; NULL: nobody any more */
    uint64_t asked_ns;
    bool is_done;
    /** The outcome, when done: */
    int result;          /**< 0, or a negative errno of libpinhole with the sentence in `error` */
    char error[384];     /**< "" without one */
    uint64_t trigger_id; /**< TRIGGER */
    char *text;          /**< STATS, THUMBNAIL; freed with the call */
    size_t bytes;        /**< THUMBNAIL */
    char lines[];        /**< SET: "Name=value" lines */
};

struct web_calls {
    pthread_cond_t wanted; /**< there is something to do */
    struct web_call *first, *last;
    unsigned count;
    bool wants_refresh; /**< the features may have changed */
    struct pinhole_feature features[WEB_FEATURES_MAX];
    int feature_count;          /**< 0: not known yet */
    uint64_t features_asked_ns; /**< they are as new as this */
    unsigned features_version;  /**< goes up when one of them has changed */
};

/** Starts the thread. 0 or -errno. Without the lock. */
int web_calls_start(struct web *web, pthread_t *thread);
/** Makes the thread fetch the features when it has time. */
void web_calls_refresh(struct web_calls *calls);
/** Queues a call. `lines` may be NULL. NULL: too many are waiting, or no memory. */
struct web_call *web_call_start(struct web_calls *calls, enum web_call_kind kind, const char *lines,
                                struct web_sleeper *sleeper);
/** The caller is done with a call, be it done or not. NULL is allowed. */
void web_call_end(struct web_call *call);
/** A feature by name as last fetched, or NULL. */
const struct pinhole_feature *web_calls_feature(const struct web_calls *calls, const char *name);

#endif
