// SPDX-License-Identifier: MIT
// The flow of records: subscribing, taking, giving back.
#include "net/client.h"

#include <errno.h>
#include <string.h>

static int subscribe(struct pinhole *p, const struct pinhole_subscription *wish)
{
    const struct pinhole_subscription before = p->wish;
    uint8_t payload[WIRE_SUBSCRIBE_FIXED];
    struct wire_subscribe wire;

    p->wish = *wish;
    wire = client_position_subscribe(p, false);
    p->wish = before; // until the node agrees, a reconnect resumes the former
    int result =
        client_request(p, WIRE_TYPE_SUBSCRIBE, payload, wire_put_subscribe(payload, &wire));
    if (result == -ETIMEDOUT && p->state == CLIENT_UP) {
        // It may have been carried out: only a new link makes sure which subscription is on.
        client_link_down(p, ETIMEDOUT, "no reply to SUBSCRIBE");
        return -ETIMEDOUT;
    }
    if (result < 0)
        return result;
    p->wish = *wish;
    client_position_start(p);
    client_queue_drop_records(p);
    return 0;
}

int pinhole_subscribe(struct pinhole *p, const struct pinhole_subscription *wish)
{
    struct pinhole_subscription mine = {.policy = PINHOLE_LATEST};
    if (wish != NULL) {
        int error = client_copy_sized(&mine, sizeof mine, wish, wish->size);
        if (error < 0)
            return client_fail(p, -error,
                               "pinhole_subscription.size is %zu: set it to sizeof(struct "
                               "pinhole_subscription); this library knows %zu bytes of it",
                               wish->size, sizeof mine);
    }
    if (mine.policy == 0)
        mine.policy = PINHOLE_LATEST;
    if (mine.policy != PINHOLE_LATEST && mine.policy != PINHOLE_EVERY)
        return client_fail(p, EINVAL, "pinhole_subscription.policy %d is unknown",
                           (int)mine.policy);
    return subscribe(p, &mine);
}

int pinhole_unsubscribe(struct pinhole *p)
{
    const struct pinhole_subscription none = {0};
    return subscribe(p, &none);
}

static int take(struct pinhole *p, struct pinhole_record **out)
{
    struct client_record *record = p->queue.first;
    client_list_remove(record);
    client_list_append(&p->borrowed, record);
    *out = &record->shown;
    return 1;
}

int pinhole_next(struct pinhole *p, int timeout_ms, struct pinhole_record **out)
{
    uint64_t deadline_ns = client_deadline_ns(timeout_ms);
    *out = NULL;
    if (p->borrowed.count >= p->options.records_max)
        return client_fail(p, ENOBUFS, "%zu records are borrowed: release some first",
                           p->borrowed.count);
    for (unsigned late_reads = 0;;) {
        if (p->queue.first != NULL)
            return take(p, out);
        const bool is_late = client_now_ns() >= deadline_ns;
        if (is_late)
            late_reads++;
        int result = client_advance(p, late_reads < CLIENT_LATE_READS);
        if (result > 0)
            continue;
        if (p->queue.first != NULL)
            return take(p, out);
        if (result < 0)
            return result;
        if (is_late)
            return 0;
        client_poll(p, deadline_ns, false);
    }
}

void pinhole_release(struct pinhole *p, struct pinhole_record *record)
{
    struct client_record *mine = (struct client_record *)(void *)record;
    if (mine == NULL || mine->list != &p->borrowed)
        return;
    client_list_remove(mine);
    client_record_give(p, mine);
}
