// SPDX-License-Identifier: MIT
// What is known of a frame, as names and texts. Pure, and without the heap: it is made for each
// frame.
#ifndef PINHOLE_TOOLS_COMMON_FRAME_MEMBERS_H
#define PINHOLE_TOOLS_COMMON_FRAME_MEMBERS_H

#include "net/client/pinhole.h"

#include <stdbool.h>

/** Most members that a frame has. */
#define FRAME_MEMBERS_MAX 32
/** Room for a member's text: a time in ISO 8601 has 24 bytes. */
#define FRAME_MEMBER_BYTES 32

struct frame_member {
    const char *name;              /**< a literal */
    bool is_number;                /**< an integer that fits an int64_t */
    char text[FRAME_MEMBER_BYTES]; /**< ASCII that JSON need not escape */
};

/** Writes all that is known of a frame, without its JPEG. Returns how many members. */
unsigned frame_members(struct frame_member out[FRAME_MEMBERS_MAX],
                       const struct pinhole_frame *frame);

#endif
