// SPDX-License-Identifier: MIT
// The gateway as a whole, and its threads:
//
//   receiver  owns a connection to the node, takes frames and events, sends to the streams
//   caller    owns a second one, for what the node is asked (features, trigger, counters), so that
//             no question ever delays a frame
//   follower, discoverer   with a fleet, in place of the receiver: one reads headers from the
//             stream, one looks for nodes. The caller makes thumbnails
//   login     checks passwords, when there are users
//   HTTP      libmicrohttpd's own, serves all connections; it never waits for the others: a
//             request that has to wait sleeps (its connection is suspended) until it is woken;
//             what the receiver sends to a sleeping stream never blocks
//
// The main thread waits for signals and wakes sleepers whose time has come.
// One lock guards what they share; it is held for microseconds, never while anything blocks.
#ifndef PINHOLE_TOOLS_WEB_GATEWAY_H
#define PINHOLE_TOOLS_WEB_GATEWAY_H

#include "tools/web/call.h"
#include "tools/web/fleet.h"
#include "tools/web/frame.h"
#include "tools/web/http.h"
#include "tools/web/login.h"
#include "tools/web/options.h"
#include "tools/web/tls.h"
#include "tools/web/view.h"

#include <pthread.h>

struct web {
    struct web_options options;   /**< constant once threads run */
    struct web_tls tls;           /**< of --tls-certificate; constant */
    uint64_t started_ns;          /**< constant */
    struct web_frame_pool frames; /**< has its own lock, taken after this one */
    struct web_fleet fleet;       /**< has its own lock, taken with none held */
    pthread_mutex_t lock;         /**< guards all below */
    bool is_stopping;
    int fatal; /**< set by the receiver: ends the program with this exit status */
    struct web_view view;
    struct web_calls calls;
    struct web_login login;
    struct web_http http;
};

/** Starts the receiver. 0 or -errno. */
int web_receiver_start(struct web *web, pthread_t *thread);

#endif
