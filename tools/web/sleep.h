// SPDX-License-Identifier: MIT
// Requests that wait: their connection is suspended, so that libmicrohttpd leaves it alone, until a
// frame comes, a time has come, or somebody wakes them. The gateway's lock is held in all of these.
#ifndef PINHOLE_TOOLS_WEB_SLEEP_H
#define PINHOLE_TOOLS_WEB_SLEEP_H

#include <microhttpd.h>

#include <stdbool.h>
#include <stdint.h>

/** One request's; it lives as long as the request. */
struct web_sleeper {
    struct web_sleeper *previous, *next;
    struct MHD_Connection *connection;
    bool is_asleep, wants_frame;
    uint64_t wake_ns; /**< UINT64_MAX: no time */
};

struct web_sleepers {
    struct web_sleeper *first;
};

/** HTTP thread only, from a handler or a content reader, which then returns at once. */
void web_sleep(struct web_sleepers *all, struct web_sleeper *sleeper, bool wants_frame,
               uint64_t wake_ns);
/** Keeps one asleep that nobody may wake, until web_sleep_on() or web_sleep_end(). Meanwhile its
 * connection and descriptor are the caller's, without the lock too. Any thread that ends before the
 * HTTP thread does. */
void web_sleep_hold(struct web_sleepers *all, struct web_sleeper *sleeper);
/** Lets one that is held sleep on. */
void web_sleep_on(struct web_sleepers *all, struct web_sleeper *sleeper, uint64_t wake_ns);
/** Wakes one that is held. */
void web_sleep_end(struct web_sleeper *sleeper);
/** Wakes one; nothing happens when it is awake. */
void web_sleep_wake(struct web_sleepers *all, struct web_sleeper *sleeper);
/** Wakes those that wait for a frame. */
void web_sleep_wake_for_frame(struct web_sleepers *all);
/** Wakes those whose time has come (UINT64_MAX: all). */
void web_sleep_wake_due(struct web_sleepers *all, uint64_t now_ns);

#endif
