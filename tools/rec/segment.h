// SPDX-License-Identifier: MIT
// One segment: its media and its sidecar, under temporary names until complete. The media is one
// file made by libavformat, or a folder of JPEGs. After every successful write the file is whole up
// to its end, and readable if it is cut there.
//
// A segment keeps its folder open. So it is completed where it was begun, even if the folder is
// renamed or a disk is mounted over it.
#ifndef PINHOLE_TOOLS_REC_SEGMENT_H
#define PINHOLE_TOOLS_REC_SEGMENT_H

#include "tools/rec/sidecar.h"

#include <dirent.h>
#include <sys/stat.h>

enum { REC_FILE_SIZE = 64 };

struct rec_media {
    const struct rec_media_ops *ops;
    int fd;                  /**< the file or the folder */
    uint64_t good_bytes;     /**< its size after the last frame that was written wholly */
    uint64_t before_bytes;   /**< and after the one before that */
    uint64_t occupied_bytes; /**< on the disk, by rec_occupied() */
    bool is_finished;
    uint64_t first_timestamp_ns, last_pts_ns;
    uint64_t frames;
};

/** Functions return 0 or -errno. After a failed write, or undo(), only close() may follow. */
struct rec_media_ops {
    const char *suffix; /**< ".mkv" */
    /** Makes `name`, which must not exist, in the folder, for frames like this one. */
    int (*open)(struct rec_media **out, int folder_fd, const char *name, const char *title,
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

extern const struct rec_media_ops rec_media_jpeg;

/** What libavformat is used for. It is in a plug-in, because it and the hundred libraries that it
 * brings take the loader 0.1 s, in which a signal would end the program before main() is there. */
struct rec_avformat {
    const struct rec_media_ops *matroska, *mp4;
    const char *(*version)(void); /**< of libavformat */
};
/** Loads the plug-in, if there is one. Once, before anything else of the media. */
void rec_media_load(void);
/** NULL: without the plug-in there is only REC_JPEG. */
const struct rec_media_ops *rec_media_of(enum rec_container container);
/** The version of libavformat in use, "" without. */
const char *rec_media_library(void);

/** The container's time stamp for a capture time, in units of tick_ns from the first frame on and
 * always later than the one before. */
uint64_t rec_media_pts(const struct rec_media *media, uint64_t timestamp_ns, uint64_t tick_ns);

struct rec_segment {
    int folder_fd;
    char folder[REC_PATH_SIZE];
    char stem[REC_FILE_SIZE]; /**< file name without suffix */
    char title[REC_NAME_SIZE];
    uint64_t serial;
    const struct rec_media_ops *ops;
    struct rec_media *media; /**< NULL until the first frame */
    int sidecar_fd;
    uint64_t sidecar_bytes; /**< up to the last whole line */
    uint64_t lines;         /**< after the first */
    uint64_t opened_ns, synced_ns;
    int sync_error;           /**< 0, or of the first sync that failed: the kernel says it once */
    uint64_t accounted_bytes; /**< what the keeper knows of */
    bool has_shape;           /**< a frame's header could be read */
    struct rec_shape shape;   /**< the last one */
};

/** Makes the sidecar with its first line in the source's folder. */
int rec_segment_open(struct rec_segment **out, const struct rec_source *source, uint64_t serial,
                     const struct rec_position *position);
/** Appends lines to the sidecar. NULL is -ENOMEM. Frees them. */
int rec_segment_line(struct rec_segment *segment, char *lines);
/** Writes the frame, then its line: both or, with -errno, neither; then only close may follow. */
int rec_segment_frame(struct rec_segment *segment, const struct pinhole_frame *frame);
/** Bytes that both files occupy on the disk. */
uint64_t rec_segment_bytes(const struct rec_segment *segment);
uint64_t rec_segment_frames(const struct rec_segment *segment);
/** Hands all to the disk: when it returns 0, a power cut takes nothing of it. Or -errno. */
int rec_segment_flush(struct rec_segment *segment);
/** rec_segment_flush() when sync_ns have passed since the last. After -errno only close may follow.
 */
int rec_segment_sync(struct rec_segment *segment, uint64_t sync_ns);
/** Completes, syncs and renames it; what holds nothing is removed. A segment whose writing failed
 * (is_broken) gets no trailer. One of which a sync has failed is left to recovery, which reads
 * every picture. Frees it. Returns the bytes it occupies, or -errno. */
int64_t rec_segment_close(struct rec_segment *segment, const char *reason, bool is_broken);
/** Frees it and leaves its files as a crash would. */
void rec_segment_abandon(struct rec_segment *segment);
/** Removes and frees it. */
void rec_segment_discard(struct rec_segment *segment);

/** Name of a file of the segment, in out[REC_FILE_SIZE]: stem, suffix, and ".part" perhaps. */
char *rec_segment_name(char *out, const char *stem, const char *suffix, bool is_part);
/** Removes a media file, or a folder with the files that a recorder has put there. */
void rec_segment_unlink(int folder_fd, const char *name);
/** Renames a file within the folder. -EEXIST: the new name is taken, by whatever. */
int rec_segment_rename(int folder_fd, const char *from, const char *to);
bool rec_name_ends(const char *name, const char *end);
bool rec_name_exists(int folder_fd, const char *name);
/** The number that a segment's files begin with; 0: it is no such file. */
uint64_t rec_segment_serial(const char *name);
/** The media of a segment under either of its names; the unfinished one goes first. */
bool rec_segment_media(int folder_fd, const char *stem, char *name, bool *is_final);
/** The next name of the folder. 1, 0: there is none, or -errno. */
int rec_folder_next(DIR *folder, struct dirent **entry);
/** Makes sure that a power cut does not take the names in this folder. -errno. */
int rec_folder_sync(const char *path);
/** Bytes of a media file on the heap. NULL: they are not there, with *error 0, or -errno. */
uint8_t *rec_media_read(int fd, uint64_t offset, uint64_t bytes, int *error);
/** Is it the name of a picture in a folder of JPEGs? */
bool rec_is_picture_name(const char *name);
/** Bytes on the disk: whole blocks, and what the file system needs to know of a file. */
uint64_t rec_occupied(uint64_t bytes);
uint64_t rec_occupied_by(const struct stat *status);

#endif
