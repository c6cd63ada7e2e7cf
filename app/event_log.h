// SPDX-License-Identifier: MIT
// Publishes events: records of the log that stand between the frames.
#ifndef PINHOLE_APP_EVENT_LOG_H
#define PINHOLE_APP_EVENT_LOG_H

#include "net/server/store.h"

/** Where events go, and the boot that they name. The store is borrowed. */
struct event_log {
    struct store *store;
    uint64_t boot_id;
};

/** Publishes `event` with its sentence, and logs that sentence. Sets the event's boot id and its
 * times; the caller sets kind and content. Loop thread. */
void event_log_publish(const struct event_log *log, struct wire_event *event, const char *text,
                       uint64_t now_ns);

#endif
