// SPDX-License-Identifier: MIT
// Records of a stream in the order of their sequences.
//
// Behind a relay that died, records stand in the stream out of order, by at most its window. Each
// says how far all records before it were stored when it was sent (`settled`). So a hole is real
// when a later message is settled beyond it, and until then what comes is held back.
#ifndef PINHOLE_TOOLS_REC_ORDER_H
#define PINHOLE_TOOLS_REC_ORDER_H

#include "net/client/pinhole.h"
#include "tools/rec/stream.h"

#include <stdbool.h>

/** More than a relay has on its way at a time. */
#define REC_HELD_MAX 129
/** Text of an event that is kept. */
#define REC_TEXT_BYTES 4096

/** A message and what its record covers. */
struct rec_held {
    struct rec_message message;
    uint64_t first, last;
};

/** Starts zeroed. */
struct rec_order {
    uint64_t boot_id;
    uint64_t next;    /**< of this boot: all before are handed on, or will not come */
    uint64_t settled; /**< of this boot */
    unsigned count;
    struct rec_held held[REC_HELD_MAX]; /**< by `first` */
};

/** A message as a record, which borrows from it and from `text`. False: it is none. */
bool rec_message_read(const struct rec_message *message, struct pinhole_record *out,
                      char text[REC_TEXT_BYTES]);
/** Which records of its boot a record is: none for BOOT (0..0), a range for a GAP. */
void rec_record_range(const struct pinhole_record *record, uint64_t *boot_id, uint64_t *first,
                      uint64_t *last);

/** Another boot: what comes begins with `next`. Nothing is held any more. */
void rec_order_begin(struct rec_order *order, uint64_t boot_id, uint64_t next);
/** Takes a message of this boot over. False: it is not needed, all that it has was handed on. */
bool rec_order_add(struct rec_order *order, const struct rec_message *message, uint64_t first,
                   uint64_t last);
/** The message that is next, or NULL. `is_end`: nothing more of this boot comes. It stays held
 * until rec_order_drop(). */
struct rec_held *rec_order_next(struct rec_order *order, bool is_end);
/** Takes the first message out. */
void rec_order_drop(struct rec_order *order);

#endif
