// SPDX-License-Identifier: MIT
// What is known of a fleet: one place for each node of a stream, filled from the headers of its
// records. The newest picture is known by its place in the stream alone.
//
// `lock` guards all of it. It is taken with none other held, and is held for a few milliseconds at
// most. Functions without a word on it are called with the lock held.
#ifndef PINHOLE_TOOLS_WEB_FLEET_H
#define PINHOLE_TOOLS_WEB_FLEET_H

#include "net/client/pinhole.h"
#include "tools/common/diagnosis.h"
#include "tools/common/level.h"
#include "tools/web/fleet_link.h"

#include <pthread.h>

#define WEB_FLEET_NODES_MAX 1024u
#define WEB_FLEET_TIMES     16u
/** Memory of all thumbnails that are kept. */
#define WEB_FLEET_THUMBNAIL_BYTES_MAX (8u << 20)

/** Triggers by outcome, in net/SPEC.md's order from MATCHED on. */
enum {
    WEB_FLEET_MATCHED,
    WEB_FLEET_MISSED,
    WEB_FLEET_OVERRUN,
    WEB_FLEET_FAILED,
    WEB_FLEET_OUTCOMES
};

struct web_fleet_node {
    char level[LEVEL_BYTES]; /**< its token in subjects */
    char name[LEVEL_BYTES];  /**< what that stands for: text from outside */
    char page[280];          /**< URL of its own page; "": not known */
    uint64_t changed;        /**< the table's version then */
    uint64_t boot_id, restarts;
    uint64_t seen_ns; /**< when its newest record was stored, by the server's clock */
    uint64_t frame;   /**< place of its newest frame in the stream; 0: none yet */
    uint64_t frames;
    uint64_t times[WEB_FLEET_TIMES]; /**< when the newest frames were taken; a ring */
    unsigned times_count;            /**< ever put there */
    uint64_t trigger;                /**< the last that a frame of this boot answers */
    uint64_t outcomes[WEB_FLEET_OUTCOMES];
    uint64_t gaps, lost, gap_first, gap_last; /**< ranges told as lost, their records, the newest */
    uint64_t spool;                           /**< records of its leaf that are not here yet */
    struct {
        uint64_t told_ns; /**< when its relay told, since 1970; 0: never */
        enum finding_state state;
        unsigned count; /**< findings that are not ok */
        char text[400]; /**< the first of the gravest, and what to do; "": none */
    } health;
    struct {
        uint64_t frame; /**< of which frame; 0: nothing is kept */
        uint8_t *jpeg;  /**< NULL: that frame is no JPEG */
        size_t bytes;
    } thumbnail;
};

/** A node that discovery has found. */
struct web_fleet_found {
    uint64_t boot_id;
    char host[256]; /**< "" when no URL can have it; IPv6 in brackets */
};

enum web_fleet_state {
    WEB_FLEET_CONNECTING,
    WEB_FLEET_AWAY,
    WEB_FLEET_WITHOUT_STREAM,
    WEB_FLEET_LIVE
};

struct web_fleet {
    const struct web_fleet_ops *ops; /**< constant; NULL: there is no fleet */
    unsigned page_port;              /**< constant */
    pthread_mutex_t lock;
    enum web_fleet_state state;
    char why[WEB_FLEET_WHY_BYTES]; /**< a sentence while it is not LIVE */
    struct web_fleet_extent extent;
    uint64_t run;      /**< another one when all begins again */
    uint64_t since_ns; /**< counts begin here, since 1970 */
    uint64_t history;  /**< records up to this place are older: they are not counted */
    uint64_t place;    /**< of the newest record that was taken; 0: none */
    uint64_t version;  /**< counts changes of nodes */
    uint64_t records, left_out, thumbnails;
    size_t thumbnail_bytes; /**< kept now */
    unsigned count, found_count;
    uint32_t hashes[WEB_FLEET_NODES_MAX]; /**< of the nodes' levels */
    struct web_fleet_node nodes[WEB_FLEET_NODES_MAX];
    struct web_fleet_found found[WEB_FLEET_NODES_MAX];
};

/** Without the lock. */
void web_fleet_init(struct web_fleet *fleet, const struct web_fleet_ops *ops, unsigned page_port);
/** Frees what it holds. Without the lock. */
void web_fleet_free(struct web_fleet *fleet);
/** Takes over how far the stream is. When it is another one, all begins again. */
void web_fleet_look(struct web_fleet *fleet, const struct web_fleet_extent *extent,
                    uint64_t now_ns);
void web_fleet_take(struct web_fleet *fleet, const struct web_fleet_record *record);
/** Takes what a relay tells of its node. What is no finding is left out. */
void web_fleet_take_health(struct web_fleet *fleet, const struct web_fleet_health *health,
                           uint64_t now_ns);
/** Takes how many records a leaf has that are not here yet. */
void web_fleet_take_source(struct web_fleet *fleet, const struct web_fleet_source *source);
/** True: it was another state or sentence before. */
bool web_fleet_set_state(struct web_fleet *fleet, enum web_fleet_state state, const char *why);
/** A node by its token, or NULL. */
struct web_fleet_node *web_fleet_find(struct web_fleet *fleet, const char *level);
/** Replaces what discovery has found, and tells nodes where their own pages are. */
void web_fleet_set_found(struct web_fleet *fleet, const struct pinhole_node *found, unsigned count);
/** Frames a second by the times at which the newest were taken; 0: not known. */
double web_fleet_rate(const struct web_fleet_node *node);
/** Keeps a copy of the thumbnail of a frame (NULL: it is no JPEG). When there is no room, all
 * others go. */
void web_fleet_keep_thumbnail(struct web_fleet *fleet, struct web_fleet_node *node, uint64_t frame,
                              const uint8_t *jpeg, size_t bytes);

#endif
