// SPDX-License-Identifier: MIT
// An index of the pictures in a recorder's folder: an SQLite file in it, which sidecars fill.
//
// Recorders know nothing of it. A complete sidecar never changes, so each that could be read wholly
// is read once, and its rows go with it.
#ifndef PINHOLE_TOOLS_REC_INDEX_H
#define PINHOLE_TOOLS_REC_INDEX_H

#include "tools/rec/rec.h"

/** What is looked for. */
struct rec_query {
    const char *camera;        /**< NULL: any */
    int64_t from_ns, until_ns; /**< CLOCK_REALTIME of the exposure */
    int64_t trigger;           /**< 0: any */
};

/** Where a picture is. Texts are valid during the visit. */
struct rec_hit {
    const char *camera, *path, *boot_id;
    int64_t offset, bytes, realtime_ns, trigger, sequence;
    bool has_crc;
    uint32_t crc32c;
};

struct rec_index;

/** Opens the index of a folder and reads the sidecars that are new in it. Where the file cannot be
 * used it is in memory, with all sidecars. NULL after saying what was wrong. */
struct rec_index *rec_index_open(const char *folder);
/** NULL is allowed. */
void rec_index_close(struct rec_index *index);
/** Calls `visit` for each picture, in the order of their times. False after saying what was wrong,
 * also if a sidecar could not be read wholly. */
bool rec_index_find(struct rec_index *index, const struct rec_query *query,
                    void (*visit)(void *user, const struct rec_hit *hit), void *user);

#endif
