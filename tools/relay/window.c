// SPDX-License-Identifier: MIT
#include "tools/relay/window.h"

#include "hal/base.h"

#include <string.h>

bool relay_ranges_add(struct relay_ranges *ranges, uint64_t first, uint64_t last)
{
    unsigned begin = 0;
    while (begin < ranges->count && ranges->at[begin].last + 1 < first)
        begin++;
    unsigned end = begin;
    for (; end < ranges->count && ranges->at[end].first <= last + 1; end++) {
        first = base_min_u64(first, ranges->at[end].first);
        last = base_max_u64(last, ranges->at[end].last);
    }
    if (end == begin && ranges->count == RELAY_RANGES_MAX)
        return false;
    memmove(&ranges->at[begin + 1], &ranges->at[end], (ranges->count - end) * sizeof *ranges->at);
    ranges->count = ranges->count - (end - begin) + 1;
    ranges->at[begin].first = first;
    ranges->at[begin].last = last;
    return true;
}

bool relay_ranges_hole(const struct relay_ranges *ranges, uint64_t from, uint64_t last,
                       uint64_t *first, uint64_t *until)
{
    unsigned i = 0;
    for (; i < ranges->count && ranges->at[i].first <= from; i++)
        from = base_max_u64(from, ranges->at[i].last + 1);
    *first = from;
    *until = i < ranges->count ? base_min_u64(last, ranges->at[i].first - 1) : last;
    return from <= last;
}

static struct relay_entry *at(struct relay_window *window, unsigned index)
{
    return &window->ring[(window->start + index) % RELAY_WINDOW_MAX];
}

struct relay_entry *relay_window_entry(struct relay_window *window, uint64_t serial)
{
    const uint64_t index = serial - window->serial;
    return index < window->count ? at(window, (unsigned)index) : NULL;
}

struct relay_entry *relay_window_add(struct relay_window *window)
{
    if (window->count == RELAY_WINDOW_MAX)
        return NULL;
    struct relay_entry *entry = at(window, window->count++);
    *entry = (struct relay_entry){.behind = window->stream_newest};
    return entry;
}

void relay_window_store(struct relay_window *window, uint64_t serial, uint64_t stream_sequence)
{
    struct relay_entry *entry = relay_window_entry(window, serial);
    window->stream_newest = base_max_u64(window->stream_newest, stream_sequence);
    if (entry != NULL)
        entry->is_stored = true;
}

bool relay_window_take(struct relay_window *window, struct relay_entry *out)
{
    if (window->count == 0 || !at(window, 0)->is_stored)
        return false;
    *out = *at(window, 0);
    window->bytes -= out->bytes;
    window->start = (window->start + 1) % RELAY_WINDOW_MAX;
    window->count--;
    window->serial++;
    return true;
}

void relay_window_narrow(struct relay_window *window)
{
    window->limit = window->limit > 1 ? window->limit / 2 : 1;
    window->stored = 0;
}

void relay_window_widen(struct relay_window *window, unsigned most)
{
    if (window->limit >= most || ++window->stored < window->limit)
        return;
    window->limit++;
    window->stored = 0;
}
