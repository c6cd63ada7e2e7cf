// SPDX-License-Identifier: MIT
// What a segment's frames are written into: one file made by libavformat, or a folder of JPEGs.
// After every successful write the file is whole up to its end, and readable if it were cut there.
#ifndef PINHOLE_TOOLS_REC_MEDIA_H
#define PINHOLE_TOOLS_REC_MEDIA_H

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

#endif
