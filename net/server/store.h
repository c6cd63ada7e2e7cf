// SPDX-License-Identifier: MIT
// The frame store: the node's log of records (frames and events) in memory that never grows.
//
// A record is its wire message: the head (message header and fixed fields, ready to send) and, for
// a frame, a chain of 16 KiB blocks with the JPEG. The encoder takes blocks as it writes, so no
// slot is sized for the worst case. Old records are evicted when blocks or slots are needed; the
// newest frame never is, and a record that is being sent keeps its blocks until it is released.
// One range of memory holds all of it: blocks, chains and records.
// Single-threaded. All memory is the caller's.
#ifndef PINHOLE_NET_SERVER_STORE_H
#define PINHOLE_NET_SERVER_STORE_H

#include "hal/base.h"
#include "net/wire.h"

#define STORE_BLOCK_BYTES 16384u
#define STORE_RECORDS_MAX 2048u /**< records retained, a power of two */
#define STORE_PINNED_MAX  64u   /**< records alive beyond those: being sent or being written */
/** Room for a record's head: a FRAME's header and fields, or a whole EVENT with its text. */
#define STORE_HEAD_BYTES 256u
/** The longest text of an event. */
#define STORE_EVENT_TEXT_BYTES (STORE_HEAD_BYTES - WIRE_HEADER_BYTES - WIRE_EVENT_FIXED)
#define STORE_NONE             UINT32_MAX

struct store_record {
    uint64_t sequence;
    uint64_t frame_id;     /**< of this frame, or of the last frame before this event */
    uint64_t timestamp_ns; /**< frames: capture time */
    uint32_t first_block, last_block;
    uint32_t jpeg_bytes;
    uint32_t references; /**< log + senders + writer */
    uint16_t head_bytes;
    bool is_frame;
    bool is_triggered;
    uint8_t head[STORE_HEAD_BYTES];
};

struct store {
    uint8_t *blocks; /**< block_count x STORE_BLOCK_BYTES */
    uint32_t *next;  /**< chain or free list, per block */
    struct store_record *records;
    uint32_t block_count, blocks_free, free_block;
    uint32_t free_record_count;
    uint16_t free_records[STORE_RECORDS_MAX + STORE_PINNED_MAX];
    uint16_t log[STORE_RECORDS_MAX]; /**< sequence & mask -> index into records */
    uint64_t oldest, next_sequence;  /**< retained: oldest <= sequence < next_sequence, from 1 */
    uint64_t next_frame_id;
    struct store_record
        *newest; /**< the newest frame, kept even when events push it out of the log */
    uint32_t blocks_used_max;
    uint64_t evicted;
    uint64_t evicted_event; /**< sequence of the newest event among them; 0 = none */
};

/** Blocks that a store in `bytes` of memory has; 0 when that is too little for any. */
uint32_t store_block_count(uint64_t bytes);

/** Lays the store out in `memory`: page-aligned, `bytes` long, zeroed. 0, or -EINVAL when
 * store_block_count() is 0. */
int store_init(struct store *store, void *memory, uint64_t bytes);

/** Begins a frame: a record without blocks, referenced by the writer. Never fails as long as at
 * most STORE_PINNED_MAX records are held by senders and writers together. */
struct store_record *store_begin(struct store *store);

/** Appends one block to the frame being written and returns its memory, evicting old records if
 * needed. NULL only if every block is pinned, which the check of store size against clients and
 * frame cap excludes. */
uint8_t *store_add_block(struct store *store, struct store_record *record);

/** Forgets the blocks of a frame being written, so that it can be written again. */
void store_rewind(struct store *store, struct store_record *record);
/** Drops a frame being written. */
void store_abort(struct store *store, struct store_record *record);

/** Appends a written frame to the log: gives it its sequence and frame_id (also in `fields`, from
 * which the head is encoded) and takes over the writer's reference. */
void store_publish_frame(struct store *store, struct store_record *record,
                         struct wire_frame *fields, uint32_t jpeg_bytes);
/** Appends an event with its text (cut to STORE_EVENT_TEXT_BYTES). Sets fields->sequence. */
void store_publish_event(struct store *store, struct wire_event *fields, const char *text);

/** The record with this sequence, or NULL when it is evicted or not yet there. Not referenced. */
struct store_record *store_at(const struct store *store, uint64_t sequence);
void store_ref(struct store_record *record);
void store_unref(struct store *store, struct store_record *record);

/** Block memory by index, and the block after it in the chain (STORE_NONE at the end). */
static inline uint8_t *store_block(const struct store *store, uint32_t block)
{
    return store->blocks + (size_t)block * STORE_BLOCK_BYTES;
}
static inline uint32_t store_next_block(const struct store *store, uint32_t block)
{
    return store->next[block];
}

#endif
