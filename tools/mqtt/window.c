// SPDX-License-Identifier: MIT
#include "tools/mqtt/window.h"

#include <stddef.h>

static struct mqtt_window_record *at(struct mqtt_window *window, unsigned index)
{
    return &window->ring[(window->first + index) % MQTT_WINDOW_RECORDS];
}

static bool is_acknowledged(const struct mqtt_window_record *record)
{
    return record->is_complete && record->waiting == 0;
}

int mqtt_window_begin(struct mqtt_window *window, uint64_t boot_id, uint64_t sequence)
{
    if (window->count == MQTT_WINDOW_RECORDS)
        return -1;
    struct mqtt_window_record *record = at(window, window->count++);
    *record = (struct mqtt_window_record){
        .place = {.is_known = true, .boot_id = boot_id, .sequence = sequence}};
    return (int)(record - window->ring);
}

uint64_t mqtt_window_add(struct mqtt_window *window, int slot)
{
    if (slot >= 0)
        window->ring[slot].waiting++;
    return ++window->handed_over;
}

/** Notes how far the acknowledged records reach without a hole. */
static void advance(struct mqtt_window *window)
{
    for (unsigned i = 0; i < window->count && is_acknowledged(at(window, i)); i++)
        window->acknowledged = at(window, i)->place;
}

void mqtt_window_end(struct mqtt_window *window, int slot)
{
    struct mqtt_window_record *record = &window->ring[slot];
    record->is_complete = true;
    if (record->waiting == 0)
        record->acknowledged_at = window->handed_over;
    advance(window);
}

void mqtt_window_acknowledge(struct mqtt_window *window, int slot, uint64_t number)
{
    if (slot >= 0 && window->ring[slot].waiting > 0) {
        window->ring[slot].waiting--;
        if (window->ring[slot].waiting == 0)
            window->ring[slot].acknowledged_at = window->handed_over;
    }
    advance(window);
    while (window->count > 0 && is_acknowledged(at(window, 0)) &&
           at(window, 0)->acknowledged_at < number) {
        window->settled = at(window, 0)->place;
        window->first = (window->first + 1) % MQTT_WINDOW_RECORDS;
        window->count--;
    }
}

unsigned mqtt_window_open(const struct mqtt_window *window)
{
    unsigned open = 0;
    for (unsigned i = 0; i < window->count; i++)
        open += !is_acknowledged(&window->ring[(window->first + i) % MQTT_WINDOW_RECORDS]);
    return open;
}

struct mqtt_place mqtt_window_oldest(const struct mqtt_window *window)
{
    for (unsigned i = 0; i < window->count; i++) {
        const unsigned slot = (window->first + i) % MQTT_WINDOW_RECORDS;
        if (!is_acknowledged(&window->ring[slot]))
            return window->ring[slot].place;
    }
    return (struct mqtt_place){0};
}

void mqtt_window_reset(struct mqtt_window *window)
{
    window->first = window->count = 0;
    window->acknowledged = window->settled;
}
