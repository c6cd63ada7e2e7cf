// SPDX-License-Identifier: MIT
#include "app/event_log.h"

#include "hal/os/clock.h"
#include "hal/os/log.h"

void event_log_publish(const struct event_log *log, struct wire_event *event, const char *text,
                       uint64_t now_ns)
{
    event->boot_id = log->boot_id;
    event->monotonic_ns = now_ns;
    event->realtime_ns = clock_realtime_at(now_ns);
    store_publish_event(log->store, event, text);
    if (event->kind == WIRE_EVENT_CAMERA)
        log_info("camera %s: %s", wire_camera_state_name(event->camera_state), text);
    else
        log_debug("%s %s", wire_event_name(event->kind), text);
}
