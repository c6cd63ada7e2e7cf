// SPDX-License-Identifier: MIT
#include "tools/rec/order.h"

#include "hal/base.h"

#include <string.h>

bool rec_message_read(const struct rec_message *message, struct pinhole_record *out,
                      char text[REC_TEXT_BYTES])
{
    return message->is_of_relay &&
           pinhole_read_message(message->data, message->bytes, out, text, REC_TEXT_BYTES) == 0 &&
           (out->kind == PINHOLE_FRAME || out->event.kind < PINHOLE_EVENT_DISCONNECTED);
}

void rec_record_range(const struct pinhole_record *record, uint64_t *boot_id, uint64_t *first,
                      uint64_t *last)
{
    const struct pinhole_event *e = &record->event;
    const bool is_frame = record->kind == PINHOLE_FRAME;
    const bool is_gap = !is_frame && e->kind == PINHOLE_EVENT_GAP;
    const bool is_boot = !is_frame && e->kind == PINHOLE_EVENT_BOOT;
    *boot_id = is_frame ? record->frame.boot_id : e->boot_id;
    *first = is_frame ? record->frame.sequence : is_boot ? 0 : is_gap ? e->first : e->sequence;
    *last = is_frame ? record->frame.sequence : is_boot ? 0 : is_gap ? e->last : e->sequence;
}

void rec_order_begin(struct rec_order *order, uint64_t boot_id, uint64_t next)
{
    order->boot_id = boot_id;
    order->next = next;
    order->settled = 0;
    order->count = 0;
}

bool rec_order_add(struct rec_order *order, const struct rec_message *message, uint64_t first,
                   uint64_t last)
{
    order->settled = base_max_u64(order->settled, message->settled);
    if (last < order->next || last < first || order->count == REC_HELD_MAX)
        return false;
    unsigned place = order->count++;
    for (; place > 0 && order->held[place - 1].first > first; place--)
        order->held[place] = order->held[place - 1];
    order->held[place] = (struct rec_held){*message, first, last};
    return true;
}

struct rec_held *rec_order_next(struct rec_order *order, bool is_end)
{
    struct rec_held *held = &order->held[0];
    if (order->count == 0)
        return NULL;
    const bool is_due = held->first <= order->next || held->first <= order->settled;
    return is_due || is_end || order->count == REC_HELD_MAX ? held : NULL;
}

void rec_order_drop(struct rec_order *order)
{
    order->next = base_max_u64(order->next, order->held[0].last + 1);
    order->count--;
    memmove(order->held, order->held + 1, order->count * sizeof *order->held);
}
