// SPDX-License-Identifier: MIT
// Which recorder of a group writes a camera, and how far it is acknowledged: the camera's entry.
//
// An entry is written only by who has read its present revision. So of two recorders that want a
// camera one gets it, and one that was taken for dead cannot acknowledge any more. An owner writes
// its entry often. If it does not for its lease, by the clock of who looks, another takes over.
#ifndef PINHOLE_TOOLS_REC_CLAIM_H
#define PINHOLE_TOOLS_REC_CLAIM_H

#include "tools/common/level.h"
#include "tools/rec/recover.h"
#include "tools/rec/stream.h"

#include <stdbool.h>

/** A recorder's name: that of its folder, for ever. */
#define REC_ID_BYTES 20
/** Recorders that an entry remembers. */
#define REC_MARKS_MAX 64

/** A camera's entry as this recorder knows it. */
struct rec_claim {
    const struct rec_stream_ops *ops;
    const char *id;    /**< this recorder */
    uint64_t lease_ns; /**< its */
    char level[LEVEL_BYTES];
    uint64_t revision;            /**< 0: there is no entry yet */
    char owner[REC_ID_BYTES];     /**< "": nobody */
    char host[128];               /**< where the owner runs */
    uint64_t owner_lease_ns;      /**< the owner's */
    uint64_t stream_sequence;     /**< all messages up to here are recorded */
    struct rec_position position; /**< the same in the node's log */
    unsigned marks_count;
    struct {
        char id[REC_ID_BYTES];
        struct rec_mark mark;
    } marks[REC_MARKS_MAX];                /**< how far each recorder's files are acknowledged */
    uint64_t watched_revision, watched_ns; /**< since when the entry has not changed */
};

/** Reads the entry. 0 or REC_STREAM_GONE. */
int rec_claim_read(struct rec_claim *claim, struct rec_stream *stream, char why[REC_WHY_BYTES]);
/** May this recorder take the camera, after the last reading? */
bool rec_claim_is_free(const struct rec_claim *claim);
/** How far this recorder's files are acknowledged. NULL: it never had the camera. */
const struct rec_mark *rec_claim_mark(const struct rec_claim *claim);
/** Sets that mark. False: there is no room. */
bool rec_claim_set_mark(struct rec_claim *claim, const struct rec_mark *mark);
/** Makes this recorder the owner. REC_STREAM_CHANGED: another one was faster. */
int rec_claim_take(struct rec_claim *claim, struct rec_stream *stream, char why[REC_WHY_BYTES]);
/** As the owner: writes the entry as it is here. REC_STREAM_CHANGED: another is the owner now. */
int rec_claim_write(struct rec_claim *claim, struct rec_stream *stream, char why[REC_WHY_BYTES]);
/** Gives the camera away. `is_clean`: this recorder has nothing unfinished of it. */
int rec_claim_release(struct rec_claim *claim, struct rec_stream *stream, bool is_clean,
                      char why[REC_WHY_BYTES]);

#endif
