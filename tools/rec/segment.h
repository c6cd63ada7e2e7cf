// SPDX-License-Identifier: MIT
// One segment: its media and its sidecar, under temporary names until complete. The media is one
// file made by libavformat, or a folder of JPEGs. After every successful write the file is whole up
// to its end, and readable if it is cut there.
#ifndef PINHOLE_TOOLS_REC_SEGMENT_H
#define PINHOLE_TOOLS_REC_SEGMENT_H

#include "tools/rec/sidecar.h"

struct rec_media {
    const struct rec_media_ops *ops;
    int fd;                /**< the file or the folder */
    uint64_t good_bytes;   /**< its size after the last frame that was written wholly */
    uint64_t before_bytes; /**< and after the one before that */
    bool is_finished;
    uint64_t first_timestamp_ns, last_pts_ns;
    uint64_t frames;
};

/** Functions return 0 or -errno. After a failed write, or undo(), only close() may follow. */
struct rec_media_ops {
    const char *suffix; /**< ".mkv" */
    /** Makes `path`, which must not exist, for frames like this one. */
    int (*open)(struct rec_media **out, const char *path, const char *title,
                const struct pinhole_frame *first);
    int (*write)(struct rec_media *media, const struct pinhole_frame *frame,
                 struct rec_place *place);
    /** Undoes the last write. */
    int (*undo)(struct rec_media *media, const struct rec_place *place);
    /** Writes what the container wants at its end, and all to the disk. */
    int (*finish)(struct rec_media *media);
    /** Hands what was written so far to the disk. */
    int (*sync)(struct rec_media *media);
    /** Closes and frees; unless it was finished, the file ends after the last whole frame. */
    void (*close)(struct rec_media *media);
};

/** NULL when this build has no libavformat. */
extern const struct rec_media_ops *const rec_media_matroska, *const rec_media_mp4;
extern const struct rec_media_ops rec_media_jpeg;
const struct rec_media_ops *rec_media_of(enum rec_container container);
/** The version of libavformat in use, "" without. */
const char *rec_media_library(void);

/** The container's time stamp for a capture time, in units of tick_ns from the first frame on and
 * always later than the one before. */
uint64_t rec_media_pts(const struct rec_media *media, uint64_t timestamp_ns, uint64_t tick_ns);

struct rec_segment {
    char stem[REC_PATH_SIZE]; /**< path without suffix */
    char title[REC_NAME_SIZE];
    uint64_t serial;
    const struct rec_media_ops *ops;
    struct rec_media *media; /**< NULL until the first frame */
    int sidecar_fd;
    uint64_t sidecar_bytes; /**< up to the last whole line */
    uint64_t lines;         /**< after the first */
    uint64_t opened_ns, synced_ns;
    uint64_t accounted_bytes; /**< what the keeper knows of */
};

/** Makes the sidecar `stem`.jsonl.part with its first line. */
int rec_segment_open(struct rec_segment **out, const struct rec_source *source, uint64_t serial,
                     uint64_t boot_id);
/** Appends lines to the sidecar. NULL is -ENOMEM. Frees them. */
int rec_segment_line(struct rec_segment *segment, char *lines);
/** Writes the frame, then its line: both or, with -errno, neither; then only close may follow. */
int rec_segment_frame(struct rec_segment *segment, const struct pinhole_frame *frame);
/** Bytes on the disk, both files. */
uint64_t rec_segment_bytes(const struct rec_segment *segment);
uint64_t rec_segment_frames(const struct rec_segment *segment);
/** fdatasync when sync_ns have passed since the last. */
void rec_segment_sync(struct rec_segment *segment, uint64_t sync_ns);
/** Completes, syncs and renames it; what holds nothing is removed. A segment whose writing failed
 * (is_broken) gets no trailer. Frees it. Returns the bytes it occupies, or -errno. */
int64_t rec_segment_close(struct rec_segment *segment, const char *reason, bool is_broken);
/** Removes and frees it. */
void rec_segment_discard(struct rec_segment *segment);

/** Path of a file of the segment, in out[REC_PATH_SIZE]: stem, suffix, and ".part" perhaps. */
char *rec_segment_path(char *out, const char *stem, const char *suffix, bool is_part);
/** Removes a media file, or a folder with its files. */
void rec_segment_unlink(const char *path);
/** fsync of the folder that a path is in. */
void rec_segment_sync_folder(const char *path);

#endif
