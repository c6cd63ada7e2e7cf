// SPDX-License-Identifier: MIT
// The flow of records: subscribing, pausing, taking, giving back.
#include "net/client/client.h"

#include <errno.h>
#include <string.h>

/** How long frames that keep coming are dropped in favour of newer ones before one is taken. */
#define CATCH_UP_NS (20 * NS_PER_MS)

/** Tells the node what to send. */
static int send_wish(struct pinhole *p, const struct wire_subscribe *wire)
{
    uint8_t payload[WIRE_SUBSCRIBE_FIXED];
    int result = client_request(p, WIRE_TYPE_SUBSCRIBE, payload, wire_put_subscribe(payload, wire));
    if (result == -ETIMEDOUT && p->state == CLIENT_UP) {
        // It may have been carried out: only a new link makes sure which subscription is on.
        client_link_down(p, ETIMEDOUT, "no reply to SUBSCRIBE");
        return -ETIMEDOUT;
    }
    return result;
}

static void begin_wish(struct pinhole *p, const struct pinhole_subscription *wish, uint64_t start)
{
    p->wish = *wish;
    p->is_paused = false;
    client_position_start(p, start);
    client_queue_drop_records(p);
}

int client_subscribe(struct pinhole *p, const struct pinhole_subscription *wish)
{
    const struct pinhole_subscription before = p->wish;
    p->wish = *wish;
    const struct wire_subscribe wire = client_position_subscribe(p, false);
    p->wish = before; // until the node agrees, a reconnect resumes the former
    int result = send_wish(p, &wire);
    if (result < 0)
        return result;
    // A node of an older version does not say where it begins.
    const bool is_told = p->message_length >= sizeof(uint64_t);
    begin_wish(p, wish, is_told ? wire_load_u64(p->message) : 0);
    return 0;
}

int client_unsubscribe(struct pinhole *p)
{
    const struct pinhole_subscription none = {0};
    client_drain(p);
    if (p->state == CLIENT_UP)
        return client_subscribe(p, &none);
    begin_wish(p, &none, 0); // nothing flows, and the next link will not be asked to
    return p->state == CLIENT_BROKEN ? -p->broken_error : 0;
}

int client_wish_take(struct pinhole *p, const struct pinhole_subscription *wish,
                     struct pinhole_subscription *out)
{
    *out = (struct pinhole_subscription){.policy = PINHOLE_LATEST};
    if (wish == NULL)
        return 0;
    int error = client_copy_sized(out, sizeof *out, wish, wish->size);
    if (error < 0)
        return client_fail(p, -error,
                           "pinhole_subscription.size is %zu: set it to sizeof(struct "
                           "pinhole_subscription); this library knows %zu bytes of it",
                           wish->size, sizeof *out);
    if (out->strategy > PINHOLE_LATEST_N)
        return client_fail(p, EINVAL, "pinhole_subscription.strategy %d is unknown",
                           (int)out->strategy);
    if (out->policy == 0)
        out->policy = out->strategy == PINHOLE_LATEST_N ? PINHOLE_EVERY : PINHOLE_LATEST;
    if (out->policy != PINHOLE_LATEST && out->policy != PINHOLE_EVERY)
        return client_fail(p, EINVAL, "pinhole_subscription.policy %d is unknown",
                           (int)out->policy);
    return 0;
}

int pinhole_subscribe(struct pinhole *p, const struct pinhole_subscription *wish)
{
    struct pinhole_subscription mine;
    client_enter(p);
    int result = client_wish_take(p, wish, &mine);
    return client_leave(p, result < 0 ? result : client_subscribe(p, &mine));
}

int pinhole_unsubscribe(struct pinhole *p)
{
    client_enter(p);
    return client_leave(p, client_unsubscribe(p));
}

static int pause_flow(struct pinhole *p, bool is_on)
{
    if (p->wish.policy == 0)
        return client_fail(p, EINVAL, "there is no subscription to pause");
    if (is_on == p->is_paused)
        return 0;
    struct wire_subscribe wire = {.policy = WIRE_POLICY_NONE};
    if (!is_on)
        wire = client_position_subscribe(p, true);
    int result = send_wish(p, &wire);
    if (result < 0)
        return result;
    p->is_paused = is_on;
    if (!is_on)
        client_position_resume(p);
    return 0;
}

int pinhole_pause(struct pinhole *p, int on)
{
    client_enter(p);
    return client_leave(p, pause_flow(p, on != 0));
}

static int take(struct pinhole *p, struct client_list *to, struct client_record **out)
{
    struct client_record *record = p->queue.first;
    client_list_remove(record);
    if (record->shown.kind == PINHOLE_FRAME)
        p->frames_queued--;
    client_list_append(to, record);
    *out = record;
    return 1;
}

int client_next(struct pinhole *p, uint64_t deadline_ns, struct client_list *to,
                struct client_record **out)
{
    // Newer frames may stand in the socket.
    const uint64_t catch_up_until_ns =
        p->wish.strategy == PINHOLE_ONE_BY_ONE ? 0 : clock_now_ns() + CATCH_UP_NS;
    for (unsigned late_reads = 0;;) {
        if (p->queue.first != NULL &&
            (catch_up_until_ns == 0 || clock_now_ns() >= catch_up_until_ns))
            return take(p, to, out);
        const bool is_late = clock_now_ns() >= deadline_ns;
        if (is_late)
            late_reads++;
        int result = client_advance(p, late_reads < CLIENT_LATE_READS);
        if (result > 0)
            continue;
        if (p->queue.first != NULL)
            return take(p, to, out);
        if (result < 0)
            return result;
        if (is_late)
            return 0;
        client_poll(p, deadline_ns, false);
    }
}

static int check_pull(struct pinhole *p)
{
    if (p->acquirer.is_on)
        return client_fail(p, EBUSY, "records go to the callback: pinhole_stop() first");
    if (p->borrowed.count >= p->options.records_max)
        return client_fail(p, ENOBUFS, "%zu records are borrowed: release some first",
                           p->borrowed.count);
    return 0;
}

int pinhole_next(struct pinhole *p, int timeout_ms, struct pinhole_record **out)
{
    struct client_record *record = NULL;
    uint64_t deadline_ns = client_deadline_ns(timeout_ms);
    client_enter(p);
    int result = check_pull(p);
    if (result == 0)
        result = client_next(p, deadline_ns, &p->borrowed, &record);
    *out = record != NULL ? &record->shown : NULL;
    return client_leave(p, result);
}

/** Puts a record that was taken back as the next one. */
static void put_back(struct pinhole *p, struct client_record *record)
{
    struct client_list rest = p->queue;
    client_list_remove(record);
    p->queue = (struct client_list){0};
    client_list_append(&p->queue, record);
    for (struct client_record *r = rest.first, *next; r != NULL; r = next) {
        next = r->next;
        client_list_append(&p->queue, r);
    }
    if (record->shown.kind == PINHOLE_FRAME)
        p->frames_queued++;
}

static int copy_record(struct pinhole *p, struct client_record *record, void *buffer, size_t *bytes,
                       struct pinhole_record *out, size_t out_bytes)
{
    struct pinhole_record copy = record->shown;
    const bool is_frame = copy.kind == PINHOLE_FRAME;
    const size_t need = is_frame ? copy.frame.jpeg_bytes : strlen(copy.event.text) + 1;
    if (need > *bytes) {
        int error =
            client_fail(p, ENOSPC, "the record has %zu bytes, room is for %zu", need, *bytes);
        *bytes = need;
        put_back(p, record);
        return error;
    }
    memcpy(buffer, is_frame ? (const void *)copy.frame.jpeg : copy.event.text, need);
    *bytes = need;
    if (is_frame)
        copy.frame.jpeg = buffer;
    else
        copy.event.text = buffer;
    client_copy_out(out, out_bytes, &copy, sizeof copy);
    client_list_remove(record);
    client_record_give(p, record);
    return 1;
}

int pinhole_copy_next_sized(struct pinhole *p, int timeout_ms, void *buffer, size_t *bytes,
                            struct pinhole_record *out, size_t out_bytes)
{
    struct client_record *record = NULL;
    uint64_t deadline_ns = client_deadline_ns(timeout_ms);
    client_enter(p);
    int result = check_pull(p);
    if (result == 0)
        result = client_next(p, deadline_ns, &p->called, &record);
    if (record != NULL)
        result = copy_record(p, record, buffer, bytes, out, out_bytes);
    return client_leave(p, result);
}

void pinhole_release(struct pinhole *p, struct pinhole_record *record)
{
    struct client_record *mine = (struct client_record *)(void *)record;
    if (mine == NULL)
        return;
    client_enter(p);
    if (mine->list == &p->borrowed) {
        client_list_remove(mine);
        client_record_give(p, mine);
    }
    client_leave(p, 0);
}
