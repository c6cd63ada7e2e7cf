// SPDX-License-Identifier: MIT
// The sidecar's lines: one JSON object each. tools/rec/README.md describes their members.
#ifndef PINHOLE_TOOLS_REC_SIDECAR_H
#define PINHOLE_TOOLS_REC_SIDECAR_H

#include "net/client/pinhole.h"
#include "tools/common/json.h"
#include "tools/rec/picture.h"
#include "tools/rec/rec.h"

#include <stddef.h>
#include <sys/types.h>

/** Begins the address of a source that several recorders share. */
#define REC_GROUP "group:"

/** What a segment is of. */
struct rec_source {
    char camera[REC_NAME_SIZE]; /**< as the user or the node calls it */
    char name[REC_NAME_SIZE];   /**< the same as a file name */
    char folder[REC_PATH_SIZE];
    char device_serial[128]; /**< DeviceSerialNumber; "" = not known */
    const char *address;     /**< NULL: it dials in; or REC_GROUP and a name */
    enum rec_container container;
};

/** How far one boot of the node is recorded. */
struct rec_boot {
    uint64_t boot_id;
    uint64_t last;  /**< sequence of the last record that is written, or known as missing */
    bool is_closed; /**< the sidecars say that what came after `last` is missing */
};

/** No line of a sidecar is longer. */
enum { REC_LINE_BYTES_MAX = 128 << 10 };

/** Boots that are remembered, so that one that comes back is not recorded twice. */
enum { REC_BOOTS_MAX = 16 };

/** Where a camera stands in its node's log. */
struct rec_position {
    bool is_known;  /**< records up to the current boot's `last` are accounted for */
    unsigned count; /**< 0: nothing was recorded yet */
    struct rec_boot boots[REC_BOOTS_MAX]; /**< the current one first, then the latest ones */
};

/** Makes a boot the current one, and returns it. A new one begins at 0. */
struct rec_boot *rec_position_enter(struct rec_position *position, uint64_t boot_id);
/** The position as a list of boots, and back. */
json_t *rec_position_list(const struct rec_position *position);
void rec_position_take(struct rec_position *out, const json_t *list);
/** The boot if it is remembered, or NULL. */
struct rec_boot *rec_position_find(struct rec_position *position, uint64_t boot_id);

/** Where a frame's JPEG lies. */
struct rec_place {
    uint64_t offset; /**< of the JPEG in the media file */
    uint64_t end;    /**< the media file is whole up to here */
    uint64_t pts_ns; /**< the container's time stamp */
    char file[32];   /**< "" unless each frame is a file */
};

/** These return the line with its newline on the heap, or NULL: out of memory. */
char *rec_sidecar_segment(const struct rec_source *source, const struct rec_position *position,
                          const char *media, uint64_t serial);
char *rec_sidecar_frame(const struct pinhole_frame *frame, const struct rec_place *place);
char *rec_sidecar_event(const struct pinhole_event *event);
/** `last` 0: nobody knows how many. */
char *rec_sidecar_missing(uint64_t boot_id, uint64_t first, uint64_t last, const char *reason);
/** Records that exist but were not asked for. */
char *rec_sidecar_left_out(uint64_t boot_id, uint64_t first, uint64_t last);
/** What was said to be missing after `last` is not. */
char *rec_sidecar_corrected(uint64_t boot_id, uint64_t last, const char *reason);
char *rec_sidecar_boot(uint64_t boot_id);
char *rec_sidecar_link(const char *state, const char *text);
char *rec_sidecar_end(const char *type, uint64_t frames, const char *reason);
/** A frame's line with another place. */
char *rec_sidecar_moved(const char *line, size_t bytes, const struct rec_place *place);

/** What recovery, resuming and checking need of a line. */
struct rec_line {
    enum {
        REC_LINE_OTHER,
        REC_LINE_SEGMENT,
        REC_LINE_FRAME,
        REC_LINE_EVENT,
        REC_LINE_MISSING,
        REC_LINE_LEFT_OUT,
        REC_LINE_CORRECTED,
        REC_LINE_BOOT,
    } type;
    uint64_t boot_id, first, last; /**< last 0: MISSING without an end */
    uint64_t bytes, offset, end;   /**< FRAME */
    uint64_t captured_ns, realtime_ns;
    uint32_t width, height, frame_duration_us;
    bool has_crc;
    uint32_t crc32c;
    uint64_t trigger_id;          /**< FRAME, 0 = none */
    char camera[REC_NAME_SIZE];   /**< SEGMENT */
    char file[32];                /**< FRAME, "" = none */
    char media[64];               /**< SEGMENT */
    char address[64];             /**< SEGMENT, cut perhaps */
    char device_serial[128];      /**< SEGMENT */
    struct rec_position position; /**< SEGMENT */
};

/** Reads a sidecar line by line. */
struct rec_reader;
/** Takes the descriptor over, closes it on failure too. -errno. */
int rec_reader_open(struct rec_reader **out, int fd);
/** The next line: 1. 0: at the end, or at the first line that is incomplete, no line of a sidecar
 * or longer than this program writes any. -errno: nobody knows, it cannot be read. */
int rec_reader_next(struct rec_reader *reader, struct rec_line *line);
/** Goes on behind a line that rec_reader_next() does not take: 1. 0: there is none. -errno. */
int rec_reader_skip(struct rec_reader *reader);
/** The text of the last line, with its newline; valid until the next one. */
const char *rec_reader_text(const struct rec_reader *reader, size_t *bytes);
/** Where the next line begins: the end of the last whole one. */
off_t rec_reader_at(const struct rec_reader *reader);
/** NULL is allowed. */
void rec_reader_close(struct rec_reader *reader);

/** Moves the position on past what the line tells. */
void rec_position_follow(struct rec_position *position, const struct rec_line *line);
/** Does the last line say that the wall clock was not synchronised? */
bool rec_sidecar_was_unsynchronized(int fd);

#endif
