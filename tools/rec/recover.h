// SPDX-License-Identifier: MIT
// What is on the disk already: completing segments after a crash, and finding where to go on.
#ifndef PINHOLE_TOOLS_REC_RECOVER_H
#define PINHOLE_TOOLS_REC_RECOVER_H

#include "tools/rec/sidecar.h"

/** Recovers each unfinished segment of a camera's folder that came from a node (`address` NULL), or
 * from this group, and finishes deletions begun. -errno: one could not be, which has been said, or
 * the folder cannot be read. */
int rec_recover_folder(const char *folder, const char *address);

/** How far a segment of a group is acknowledged; the ones before it are wholly. */
struct rec_mark {
    uint64_t serial, sidecar_bytes;
};
/** Before recovery: takes away what is unfinished, is of this group and stands behind the mark.
 * Another recorder may have it. -errno. */
int rec_recover_cut(const char *folder, const char *address, const struct rec_mark *mark);

/** A complete segment; there may be hundreds of thousands. */
struct rec_found {
    char name[32];                   /**< file name without suffix; its folder is known elsewhere */
    uint64_t serial, bytes, time_ns; /**< time_ns: CLOCK_REALTIME of its completion */
};
/** The complete segments of a camera's folder, by serial. Returns how many (0 without a folder),
 * *out on the heap, or -errno. */
int rec_recover_list(const char *folder, struct rec_found **out);
/** The number after the highest that any file of the folder begins with. -errno. */
int rec_recover_next_serial(const char *folder, uint64_t *out);

/** Where the newest segment says the recording stands; not known without a folder. Sets
 * device_serial[size] to what it says of the node, if anything. -errno: it cannot be read, so that
 * records could be recorded twice. */
int rec_recover_position(const char *folder, struct rec_position *out, char *device_serial,
                         size_t size);

#endif
