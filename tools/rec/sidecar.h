// SPDX-License-Identifier: MIT
// The sidecar's lines: one JSON object each. Their members are described in tools/rec/README.md.
#ifndef PINHOLE_TOOLS_REC_SIDECAR_H
#define PINHOLE_TOOLS_REC_SIDECAR_H

#include "tools/rec/rec.h"

#include <stddef.h>

/** Where a frame's JPEG lies. */
struct rec_place {
    uint64_t offset; /**< of the JPEG in the media file */
    uint64_t end;    /**< the media file is whole up to here */
    uint64_t pts_ns; /**< the container's time stamp */
    char file[32];   /**< "" unless each frame is a file */
};

/** Each returns the line with its newline on the heap, or NULL: out of memory. */
char *rec_sidecar_segment(const struct rec_camera *camera, const char *media, uint64_t boot_id,
                          uint64_t serial);
char *rec_sidecar_frame(const struct pinhole_frame *frame, const struct rec_place *place);
char *rec_sidecar_event(const struct pinhole_event *event);
/** `last` 0: nobody knows how many. */
char *rec_sidecar_missing(uint64_t boot_id, uint64_t first, uint64_t last, const char *reason);
char *rec_sidecar_boot(uint64_t boot_id);
char *rec_sidecar_link(const char *state, const char *text);
char *rec_sidecar_end(const char *type, uint64_t frames, const char *reason);

/** What recovery and resuming need of a line. */
struct rec_line {
    enum { REC_LINE_OTHER, REC_LINE_FRAME, REC_LINE_EVENT, REC_LINE_MISSING, REC_LINE_BOOT } type;
    uint64_t boot_id, first, last; /**< last 0: MISSING without an end */
    uint64_t bytes, offset, end;   /**< FRAME */
    char file[32];                 /**< FRAME, "" = none */
};
/** Takes a line apart (0-terminated or ended by a newline). False: it is no line of a sidecar. */
bool rec_sidecar_parse(const char *line, struct rec_line *out);
/** Moves the position on past what the line tells of. */
void rec_sidecar_follow(struct rec_position *position, const struct rec_line *line);

#endif
