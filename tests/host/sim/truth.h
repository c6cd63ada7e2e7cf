// SPDX-License-Identifier: MIT
// What the node really published, taken where it publishes (the store's functions are wrapped), and
// what must hold of it whatever clients see: numbers without holes, one outcome for each trigger,
// pictures within the cap that show the frame that their metadata name.
#ifndef PINHOLE_TEST_SIM_TRUTH_H
#define PINHOLE_TEST_SIM_TRUTH_H

#include "net/server/store.h"

#define TRUTH_MAX 65536u /**< records of a run */

struct truth_record {
    bool is_frame;
    uint8_t kind; /**< of an event */
    uint64_t frame_id, trigger_id, published_ns;
    uint32_t sensor_sequence, jpeg_bytes;
    uint64_t jpeg_hash;
};

/** Before the node starts; `frame_bytes_max` is its cap. */
void truth_init(uint64_t frame_bytes_max);
/** The record with this sequence, or NULL when none was published. */
const struct truth_record *truth_at(uint64_t sequence);
/** The store, once the node has made it. */
const struct store *truth_store(void);
uint64_t truth_frames(void);
uint64_t truth_triggers(void);
uint64_t truth_last_frame_ns(void);
/** When the oldest trigger without an outcome came; 0 = all have one. */
uint64_t truth_oldest_open_ns(void);
uint64_t truth_hash(const uint8_t *bytes, size_t count);

/** After the node has ended: each trigger has exactly one outcome, each block of the store is back.
 */
void truth_check_end(void);

#endif
