// SPDX-License-Identifier: MIT
// Records on their way to the stream, and which records the stream has. Pure.
//
// A record stays in the window until it is acknowledged, and then leaves in order. So all records
// before the oldest of the window are stored: that is the position. Each message carries it,
// together with a sequence of the stream behind which all later records stand (`behind`). Each new
// connection reads back what is stored behind that place. It needs neither a file nor the server's
// window of duplicates.
#ifndef PINHOLE_TOOLS_RELAY_WINDOW_H
#define PINHOLE_TOOLS_RELAY_WINDOW_H

#include "net/client/pinhole.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Most records on their way. */
#define RELAY_WINDOW_MAX 128
/** Most ranges of records that are stored behind a hole. */
#define RELAY_RANGES_MAX 512

/** Records of one boot that the stream has: ranges in order that do not touch. Starts zeroed. */
struct relay_ranges {
    unsigned count;
    struct {
        uint64_t first, last;
    } at[RELAY_RANGES_MAX];
};

/** Adds first..last. False: no room. */
bool relay_ranges_add(struct relay_ranges *ranges, uint64_t first, uint64_t last);
/** The first record of from..last that is not there; false: all are. *until is the end of the
 * hole, `last` at most. */
bool relay_ranges_hole(const struct relay_ranges *ranges, uint64_t from, uint64_t last,
                       uint64_t *first, uint64_t *until);

/** A record on its way. */
struct relay_entry {
    struct pinhole_record *record;     /**< borrowed of the node's handle; NULL: `event` */
    struct pinhole_event event;        /**< a GAP, or what takes the place of a record */
    uint64_t boot_id, first, sequence; /**< a GAP is first..sequence, else both are the same */
    size_t bytes;                      /**< of the JPEG */
    uint64_t behind;                   /**< the stream's sequence before this record's */
    uint64_t sent_ns;                  /**< CLOCK_MONOTONIC, when it was published last */
    bool is_stored;
    char text[120]; /**< of `event` */
};

/** Starts zeroed. */
struct relay_window {
    uint64_t serial;        /**< of the oldest entry; each later one is one more */
    unsigned count, start;  /**< of the ring */
    size_t bytes;           /**< of all entries' JPEGs */
    uint64_t stream_newest; /**< highest known sequence of the stream */
    unsigned limit;         /**< so many entries at a time; 0: none has been set */
    unsigned stored;        /**< since the limit was changed */
    struct relay_entry ring[RELAY_WINDOW_MAX];
};

/** The entry with that serial, or NULL: it has left, or is not there yet. */
struct relay_entry *relay_window_entry(struct relay_window *window, uint64_t serial);
/** Appends an entry, which the caller fills but for `behind`. NULL: no room. */
struct relay_entry *relay_window_add(struct relay_window *window);
/** The record with that serial is stored, at `stream_sequence` (0: not known). */
void relay_window_store(struct relay_window *window, uint64_t serial, uint64_t stream_sequence);
/** Takes the oldest entry out when it is stored. False: it is not, or there is none. */
bool relay_window_take(struct relay_window *window, struct relay_entry *out);
/** An answer is overdue: half as many from now on. A server with many relays gets no more than it
 * can answer in time. */
void relay_window_narrow(struct relay_window *window);
/** A record is stored: after as many as the limit one more at a time, `most` at most. */
void relay_window_widen(struct relay_window *window, unsigned most);
#endif
