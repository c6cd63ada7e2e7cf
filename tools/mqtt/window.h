// SPDX-License-Identifier: MIT
// Which of the node's records have arrived at the broker: the position of policy `every`. Pure.
//
// Every message has a number, in the order in which messages are handed to the library. A record is
// one or more messages. It is acknowledged when all of them are. An acknowledgement alone is not
// trusted: a broker that saves what it took after it has answered can still lose it when it is
// killed. So a record is *settled* when, after its acknowledgement, another message was handed over
// and acknowledged too. After a broken connection the flow goes on behind the last settled record;
// what comes twice has the same (boot, sequence).
#ifndef PINHOLE_TOOLS_MQTT_WINDOW_H
#define PINHOLE_TOOLS_MQTT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/** Records on their way or acknowledged but not settled. */
#define MQTT_WINDOW_RECORDS 128

/** A place in a node's log. */
struct mqtt_place {
    bool is_known;
    uint64_t boot_id, sequence;
};

struct mqtt_window_record {
    struct mqtt_place place;
    unsigned waiting;         /**< messages that are not acknowledged */
    bool is_complete;         /**< no more messages will be added */
    uint64_t acknowledged_at; /**< messages handed over by then */
};

/** Starts zeroed. */
struct mqtt_window {
    uint64_t handed_over; /**< number of the last message; 0 = none */
    struct mqtt_place settled, acknowledged;
    unsigned first, count; /**< of the ring */
    struct mqtt_window_record ring[MQTT_WINDOW_RECORDS];
};

/** Begins a record; its messages follow. Returns its slot, or -1: no place. */
int mqtt_window_begin(struct mqtt_window *window, uint64_t boot_id, uint64_t sequence);
/** A message is handed over, of the record in `slot`, or of none with -1. Returns its number. */
uint64_t mqtt_window_add(struct mqtt_window *window, int slot);
/** The record in `slot` has all its messages. A record without any counts as acknowledged. */
void mqtt_window_end(struct mqtt_window *window, int slot);
/** Message `number` of the record in `slot` (-1: none) is acknowledged. */
void mqtt_window_acknowledge(struct mqtt_window *window, int slot, uint64_t number);
/** Records not acknowledged. */
unsigned mqtt_window_open(const struct mqtt_window *window);
/** The first place that is not acknowledged; is_known is false when there is none. */
struct mqtt_place mqtt_window_oldest(const struct mqtt_window *window);
/** Forgets all that is on its way: the connection is gone. `settled` stays. */
void mqtt_window_reset(struct mqtt_window *window);

#endif
