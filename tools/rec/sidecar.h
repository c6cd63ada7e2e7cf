// SPDX-License-Identifier: MIT
// The sidecar's lines: one JSON object each. tools/rec/README.md describes their members.
#ifndef PINHOLE_TOOLS_REC_SIDECAR_H
#define PINHOLE_TOOLS_REC_SIDECAR_H

#include "net/client/pinhole.h"
#include "tools/rec/rec.h"

#include <stddef.h>
#include <sys/types.h>

/** What a segment is of. */
struct rec_source {
    char name[REC_NAME_SIZE];
    char folder[REC_PATH_SIZE];
    const char *address; /**< NULL: it dials in */
    enum rec_container container;
};

/** Where a camera stands in its node's log. */
struct rec_position {
    bool is_known;
    uint64_t boot_id;
    uint64_t last;  /**< sequence of the last record that is written, or known as missing */
    bool is_closed; /**< the end of that boot is already in a sidecar as missing */
};

/** Where a frame's JPEG lies. */
struct rec_place {
    uint64_t offset; /**< of the JPEG in the media file */
    uint64_t end;    /**< the media file is whole up to here */
    uint64_t pts_ns; /**< the container's time stamp */
    char file[32];   /**< "" unless each frame is a file */
};

// Each returns the line with its newline on the heap, or NULL: out of memory.
char *rec_sidecar_segment(const struct rec_source *source, const char *media, uint64_t boot_id,
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

/** Reads a sidecar line by line. */
struct rec_reader;
/** -errno. */
int rec_reader_open(struct rec_reader **out, const char *path);
/** The next line. False: at the end, or at the first line that is incomplete, no line of a sidecar
 * or longer than this program writes any. */
bool rec_reader_next(struct rec_reader *reader, struct rec_line *line);
/** Where the next line begins: the end of the last whole one. */
off_t rec_reader_at(const struct rec_reader *reader);
/** NULL is allowed. */
void rec_reader_close(struct rec_reader *reader);

/** Moves the position on past what the line tells. */
void rec_position_follow(struct rec_position *position, const struct rec_line *line);

#endif
