// SPDX-License-Identifier: MIT
// pinhole-rec: what its files share. How it is used, and what it writes: tools/rec/README.md.
//
// One thread per camera takes records from its link and writes them; the main thread waits for
// signals and keeps house each second; in listen mode one more thread accepts. A camera's recording
// (struct rec_camera) outlives its links and is guarded by its lock.
#ifndef PINHOLE_TOOLS_REC_REC_H
#define PINHOLE_TOOLS_REC_REC_H

#include "hal/os/clock.h"
#include "net/client/pinhole.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REC_NS_PER_S    1000000000ull
#define REC_NEVER       UINT64_MAX
#define REC_CAMERAS_MAX 64
#define REC_NAME_SIZE   64
#define REC_PATH_SIZE   1024

/** Process exit codes. When several apply, the first in this order of weight: 1, 3, 4. */
enum rec_exit {
    REC_OK = 0,
    REC_UNWRITTEN = 1, /**< the folder cannot be used, or records were dropped: disk full, ... */
    REC_USAGE = 2,
    REC_NO_LINK = 3, /**< a camera was never reached */
    REC_MISSING = 4, /**< all was written that came, but the node no longer had some records */
};

enum rec_container { REC_MATROSKA, REC_MP4, REC_JPEG };

struct rec_options {
    const char *directory;
    enum rec_container container;
    uint64_t segment_ns, segment_bytes; /**< 0 = no bound */
    uint64_t quota_bytes, max_age_ns, free_bytes;
    uint64_t sync_ns; /**< between two calls of fdatasync */
    uint64_t run_ns;  /**< 0 = until a signal */
    bool discard_unfinished, quiet;
    const char *listen; /**< ADDRESS:PORT or NULL */
    unsigned cameras_count;
    struct {
        char name[REC_NAME_SIZE];
        const char *address;
    } cameras[REC_CAMERAS_MAX];
};

/** Where a camera stands in its node's log. */
struct rec_position {
    bool is_known;
    uint64_t boot_id;
    uint64_t last;  /**< sequence of the last record that is written, or known as missing */
    bool is_closed; /**< the end of that boot is already in a sidecar as missing */
};

struct rec_keeper;
struct rec_segment;

struct rec_camera {
    char name[REC_NAME_SIZE];
    char folder[REC_PATH_SIZE];
    const char *address; /**< NULL: it dials in */
    const struct rec_options *options;
    struct rec_keeper *keeper;

    pthread_mutex_t lock; /**< of what follows, up to the counters */
    struct rec_segment *segment;
    uint64_t serial_next;
    struct rec_position position;
    char *pending; /**< sidecar lines to be written first thing; heap, NULL = none */
    uint64_t dropped_first,
        dropped_last; /**< could not be written, not yet in a sidecar; 0 = none */
    bool is_failing;  /**< writing does not work now */
    uint64_t retry_ns;
    unsigned width, height;

    atomic_ullong frames, bytes, missing, dropped; /**< since the start */
    atomic_bool was_reached, is_linked;
    atomic_ullong last_record_ns; /**< CLOCK_MONOTONIC */
};

/** SIGINT or SIGTERM came, or the time is up: every thread ends soon. */
extern atomic_bool rec_is_stopping;

/** Fills *out. REC_OK; or an exit code after printing what was wrong; -1: help was printed. */
int rec_options_read(struct rec_options *out, int argc, char **argv);
/** Makes text fit to be the name of a folder. */
void rec_name_clean(char out[REC_NAME_SIZE], const char *text);

/** Prints a line about what happens, to stderr, unharmed by the progress line. */
void rec_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Replaces the progress line; "" takes it away. Only on a terminal. */
void rec_show_progress(const char *text);
/** Sleeps, but not longer than until the end. */
void rec_sleep_ms(int ms);

/** Prepares the camera: its folder, its next serial number, its position. -errno. */
int rec_camera_init(struct rec_camera *camera, const char *name, const char *address,
                    const struct rec_options *options, struct rec_keeper *keeper);
/** Writes one record, or notes that it could not be written. */
void rec_camera_take(struct rec_camera *camera, const struct pinhole_record *record);
/** Completes the open segment, or removes it when `discard`. */
void rec_camera_close_segment(struct rec_camera *camera, const char *reason, bool discard);
/** Completes a segment whose time is up though no record comes. */
void rec_camera_tick(struct rec_camera *camera);
/** Frees what rec_camera_init() made. The segment is closed already. */
void rec_camera_free(struct rec_camera *camera);

/** Subscribes where the recording stands. */
int rec_link_subscribe(struct rec_camera *camera, struct pinhole *p);
/** Takes records until the link is broken for good, *is_over is set or the program ends. */
int rec_link_run(struct rec_camera *camera, struct pinhole *p, const atomic_bool *is_over);
/** Thread of a camera with an address: connects, for as long as it takes. */
void *rec_link_thread(void *camera);

/** Listens and records whoever dials in. */
struct rec_listener;
/** -errno after saying what was wrong. */
int rec_listen_start(struct rec_listener **out, const struct rec_options *options,
                     struct rec_keeper *keeper);
/** Calls `visit` for each camera that has dialled in. */
void rec_listen_each(struct rec_listener *listener,
                     void (*visit)(struct rec_camera *camera, void *user), void *user);
/** Waits for its threads (rec_is_stopping is set). */
void rec_listen_stop(struct rec_listener *listener);
/** Frees it with its cameras. */
void rec_listen_free(struct rec_listener *listener);

#endif
