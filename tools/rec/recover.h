// SPDX-License-Identifier: MIT
// What is on the disk already: completing segments after a crash, and finding where to go on.
#ifndef PINHOLE_TOOLS_REC_RECOVER_H
#define PINHOLE_TOOLS_REC_RECOVER_H

#include "tools/rec/sidecar.h"

/** Recovers each unfinished segment of a camera's folder and finishes deletions begun. */
void rec_recover_folder(const char *folder);

/** A complete segment; there may be hundreds of thousands. */
struct rec_found {
    char name[32];                   /**< file name without suffix; its folder is known elsewhere */
    uint64_t serial, bytes, time_ns; /**< time_ns: CLOCK_REALTIME of its completion */
};
/** The complete segments of a camera's folder, by serial. Returns how many, *out on the heap, or
 * -errno. */
int rec_recover_list(const char *folder, struct rec_found **out);
/** The number after the highest that any file of the folder begins with; 1 without a folder. */
uint64_t rec_recover_next_serial(const char *folder);

/** Where the newest segment says the recording stands. Sets device_serial[size] to what it says of
 * the node, if anything. */
struct rec_position rec_recover_position(const char *folder, char *device_serial, size_t size);

#endif
