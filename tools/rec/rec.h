// SPDX-License-Identifier: MIT
// pinhole-rec: what its files share. How it is used, and what it writes: tools/rec/README.md.
//
// One thread per camera takes records from its link and writes them. The main thread waits for
// signals and keeps house each second. In listen mode one more thread accepts connections.
#ifndef PINHOLE_TOOLS_REC_REC_H
#define PINHOLE_TOOLS_REC_REC_H

#include "hal/os/clock.h"
#include "net/secret.h"
#include "tools/common/say.h"
#include "tools/rec/stream.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REC_CAMERAS_MAX    64
#define REC_ALLOWED_MAX    64
#define REC_CAMERAS_OF_ONE 32
/** With the 0; a file name has at most 255 bytes. */
#define REC_NAME_SIZE 256
#define REC_PATH_SIZE 1024
/** Of a time as text, and the date that it begins with. */
#define REC_TIME_SIZE 48
#define REC_DATE      "%Y-%m-%dT%H:%M:%S"

/** Process exit codes. When several apply, the first in this order of weight: 1, 3, 4. */
enum rec_exit {
    REC_OK = 0,
    REC_UNWRITTEN =
        1, /**< the folder cannot be used, records were dropped, a segment is unfinished */
    REC_USAGE = 2,
    REC_NO_LINK = 3, /**< a camera was never reached */
    REC_MISSING = 4, /**< all was written that came, but the node no longer had some records */
};

enum rec_container { REC_MATROSKA, REC_MP4, REC_JPEG, REC_CONTAINERS };
/** As the command line and the sidecars name them. */
extern const char *const rec_container_names[REC_CONTAINERS];

/** Who may dial in. */
struct rec_allowed {
    char camera[REC_NAME_SIZE]; /**< under this name only; "" = under any */
    uint8_t network[16];        /**< IPv6; IPv4 as ::ffff:A.B.C.D */
    unsigned bits;              /**< of the network that count */
};

struct rec_options {
    const char *directory;
    enum rec_container container;
    uint64_t segment_ns, segment_bytes; /**< 0 = no bound */
    uint64_t quota_bytes, max_age_ns, free_bytes;
    uint64_t sync_ns;     /**< between two calls of fdatasync */
    uint64_t run_ns;      /**< 0 = until a signal */
    uint32_t interval_us; /**< least distance of two frames' capture times; 0 = every frame */
    bool should_discard_unfinished, is_quiet, needs_mount;
    struct rec_stream_options from; /**< `servers` NULL: from nodes */
    uint64_t lease_ns;              /**< after which another recorder of the group takes over */
    const char *listen;             /**< ADDRESS:PORT or NULL */
    unsigned allowed_count;         /**< 0: everybody may dial in */
    struct rec_allowed allowed[REC_ALLOWED_MAX];
    const char *secret_file;   /**< NULL: there is none */
    const char *node_key_file; /**< of the nodes that are dialled; NULL: there is none */
    struct net_secret secret;  /**< that who dials in must know, if there is one */
    unsigned of_one_max;       /**< cameras that dial in from one address at a time */
    unsigned cameras_count;
    struct {
        char camera[REC_NAME_SIZE];
        const char *address;
    } cameras[REC_CAMERAS_MAX];
};

/** SIGINT or SIGTERM came, or the time is up: every thread ends soon. */
extern atomic_bool rec_is_stopping;

/** Fills *out. REC_OK; or an exit code after printing what was wrong; -1: help was printed. */
int rec_options_read(struct rec_options *out, int argc, char **argv);
/** Makes a camera's name a file name: UTF-8 stays. `/`, `%`, control characters, bytes that are not
 * UTF-8, and a dot or dash in front become %XX, so that different names stay different. False: the
 * file name would be too long, and is cut. */
bool rec_name_to_file(char out[REC_NAME_SIZE], const char *camera);

/** Reads matroska, mp4 or jpeg. False: it is none of them. */
bool rec_container_read(const char *text, enum rec_container *out);
/** Writes a time of CLOCK_REALTIME: the date by `format` of strftime(), nanoseconds, and Z for UTC.
 * Returns `out`. */
char *rec_time_print(char out[REC_TIME_SIZE], uint64_t realtime_ns, const char *format);
/** Sleeps, but not longer than until the end. */
void rec_sleep_ms(int ms);

#endif
