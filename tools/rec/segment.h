// SPDX-License-Identifier: MIT
// One segment: a media file (or folder) and its sidecar, under temporary names until complete.
#ifndef PINHOLE_TOOLS_REC_SEGMENT_H
#define PINHOLE_TOOLS_REC_SEGMENT_H

#include "tools/rec/media.h"

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
int rec_segment_open(struct rec_segment **out, const struct rec_camera *camera, uint64_t boot_id);
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
