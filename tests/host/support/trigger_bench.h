// SPDX-License-Identifier: MIT
// A node in a process of its own, a subscriber to all its records, and the account of its triggers:
// each id once, in order, with its outcome.
#ifndef TESTS_SUPPORT_TRIGGER_BENCH_H
#define TESTS_SUPPORT_TRIGGER_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/client/pinhole.h"

#define TRIGGER_BENCH_PATIENCE_MS 60000

struct trigger_bench {
    pid_t pid;
    char folder[64];
    struct pinhole *client;
    uint64_t last_id;           /**< all ids up to here are accounted for */
    uint64_t outcomes[5];       /**< triggers by enum wire_outcome */
    uint64_t frames;            /**< that answered a trigger (not: bursts' later frames) */
    uint64_t events;            /**< TRIGGER events, each a run of triggers */
    uint64_t sequence;          /**< of the last record */
    struct pinhole_frame frame; /**< the last frame; its jpeg is gone */
    /** Called for each frame that answers a trigger, while its JPEG is there; may be NULL. */
    void (*on_frame)(struct trigger_bench *bench, const struct pinhole_frame *frame);
};

/** Writes `config` and `script` (a fault script, or NULL) to files, starts $BUILD/pinhole with them
 * and subscribes to every record from now on. Fails the test when that takes too long. */
void trigger_bench_start(struct trigger_bench *bench, const char *config, const char *script);
/** Ends the node by SIGTERM; it must exit with 0. Removes the files. */
void trigger_bench_stop(struct trigger_bench *bench);
/** Kills a node that a failed test has left behind. */
void trigger_bench_kill(struct trigger_bench *bench);
/** Leaves, and comes back at the record after the last one that was taken. */
void trigger_bench_leave_and_resume(struct trigger_bench *bench);

/** Takes one record if one comes in time; checks that trigger ids follow each other. */
bool trigger_bench_take(struct trigger_bench *bench, int timeout_ms);
/** Takes records until the ids up to `id` are accounted for. Fails the test when none comes. */
void trigger_bench_take_until(struct trigger_bench *bench, uint64_t id);

/** A counter of the node, named as in its statistics with its labels. */
uint64_t trigger_bench_counter(struct trigger_bench *bench, const char *name);
/** The node's resident memory in KiB. */
unsigned long trigger_bench_memory_kib(const struct trigger_bench *bench);

#endif
