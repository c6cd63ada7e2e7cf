// SPDX-License-Identifier: MIT
// The recorder's folder as a whole: who may use it, which segments it holds, and which must go.
#ifndef PINHOLE_TOOLS_REC_KEEPER_H
#define PINHOLE_TOOLS_REC_KEEPER_H

#include "tools/rec/rec.h"

struct rec_keeper;

/** Makes and locks the folder, recovers what a crash has left in it, and counts what it holds.
 * -errno after saying what was wrong. */
int rec_keeper_open(struct rec_keeper **out, const struct rec_options *options);
void rec_keeper_close(struct rec_keeper *keeper);
/** Before something is begun in the folder: makes it again if it is gone. If another folder or disk
 * has its name now, locks that one and counts what it holds. -errno; what is no plain system error
 * has been said then. */
int rec_keeper_check(struct rec_keeper *keeper);
/** A segment is complete. */
void rec_keeper_add(struct rec_keeper *keeper, const char *folder, const char *stem,
                    uint64_t serial, uint64_t bytes);
/** Unfinished segments have grown (or, being complete or gone, shrunk) by so much. Each MiB the
 * bounds are enforced. */
void rec_keeper_grow(struct rec_keeper *keeper, int64_t bytes);
/** Once a second: looks at the clocks, and deletes the oldest segments as age, quota and free space
 * ask. Each deletion is said with its reason. */
void rec_keeper_enforce(struct rec_keeper *keeper);
/** The disk is full: deletes the oldest segments to make some room, if a bound allows deleting at
 * all. True when something was deleted. */
bool rec_keeper_make_room(struct rec_keeper *keeper);
/** Free bytes on the disk; UINT64_MAX when it cannot be known. */
uint64_t rec_keeper_free(const struct rec_keeper *keeper);
/** Bytes in complete and unfinished segments. */
uint64_t rec_keeper_total(struct rec_keeper *keeper);
/** No segment may be larger, so that the quota can be kept by deleting others; 0 = no bound. */
uint64_t rec_keeper_segment_max(const struct rec_keeper *keeper);

#endif
