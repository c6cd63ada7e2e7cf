// SPDX-License-Identifier: MIT
#include "tools/web/sleep.h"

#include <stddef.h>

static void add(struct web_sleepers *all, struct web_sleeper *sleeper)
{
    sleeper->is_asleep = true;
    sleeper->previous = NULL;
    sleeper->next = all->first;
    if (all->first != NULL)
        all->first->previous = sleeper;
    all->first = sleeper;
}

void web_sleep(struct web_sleepers *all, struct web_sleeper *sleeper, bool wants_frame,
               uint64_t wake_ns)
{
    sleeper->wants_frame = wants_frame;
    sleeper->wake_ns = wake_ns;
    add(all, sleeper);
    MHD_suspend_connection(sleeper->connection);
}

void web_sleep_hold(struct web_sleepers *all, struct web_sleeper *sleeper)
{
    sleeper->is_asleep = false;
    if (sleeper->previous != NULL)
        sleeper->previous->next = sleeper->next;
    else
        all->first = sleeper->next;
    if (sleeper->next != NULL)
        sleeper->next->previous = sleeper->previous;
}

void web_sleep_on(struct web_sleepers *all, struct web_sleeper *sleeper, uint64_t wake_ns)
{
    sleeper->wake_ns = wake_ns;
    add(all, sleeper);
}

void web_sleep_end(struct web_sleeper *sleeper)
{
    MHD_resume_connection(sleeper->connection);
}

void web_sleep_wake(struct web_sleepers *all, struct web_sleeper *sleeper)
{
    if (!sleeper->is_asleep)
        return;
    web_sleep_hold(all, sleeper);
    web_sleep_end(sleeper);
}

void web_sleep_wake_for_frame(struct web_sleepers *all)
{
    struct web_sleeper *next;
    for (struct web_sleeper *sleeper = all->first; sleeper != NULL; sleeper = next) {
        next = sleeper->next;
        if (sleeper->wants_frame)
            web_sleep_wake(all, sleeper);
    }
}

void web_sleep_wake_due(struct web_sleepers *all, uint64_t now_ns)
{
    struct web_sleeper *next;
    for (struct web_sleeper *sleeper = all->first; sleeper != NULL; sleeper = next) {
        next = sleeper->next;
        if (sleeper->wake_ns <= now_ns)
            web_sleep_wake(all, sleeper);
    }
}
