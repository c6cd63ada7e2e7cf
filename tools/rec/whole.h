// SPDX-License-Identifier: MIT
// Sidecars of several folders put together: which records of a camera are in none, and which in
// two.
#ifndef PINHOLE_TOOLS_REC_WHOLE_H
#define PINHOLE_TOOLS_REC_WHOLE_H

#include "tools/rec/sidecar.h"

struct rec_whole;

/** NULL: out of memory. */
struct rec_whole *rec_whole_new(void);
/** Takes a line of a camera's sidecar in this folder; both texts outlive it. False: out of memory.
 */
bool rec_whole_add(struct rec_whole *whole, const char *camera, const char *folder,
                   const struct rec_line *line);
/** Prints what is missing and what is there twice. Returns how many ranges that were. */
uint64_t rec_whole_print(struct rec_whole *whole);
/** NULL is allowed. */
void rec_whole_free(struct rec_whole *whole);

#endif
