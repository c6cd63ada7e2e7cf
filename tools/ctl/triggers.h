// SPDX-License-Identifier: MIT
// The node's counts of triggers, taken out of its STATS.
#ifndef PINHOLE_TOOLS_CTL_TRIGGERS_H
#define PINHOLE_TOOLS_CTL_TRIGGERS_H

#include "tools/ctl/ctl.h"

#define CTL_SOURCES_MAX 8
#define CTL_OUTCOMES    4
#define CTL_DELAYS      2
#define CTL_BUCKETS_MAX 32

/** How long after their edges frames came. */
struct ctl_delay {
    unsigned count; /**< of buckets */
    unsigned long long total;
    struct {
        double up_to_s; /**< INFINITY in the last one */
        unsigned long long frames;
    } buckets[CTL_BUCKETS_MAX];
};

/** All that STATS says of triggers. */
struct ctl_triggers {
    uint64_t boot_id; /**< of the node that counted */
    unsigned source_count;
    struct {
        char name[16];
        unsigned long long counts[CTL_OUTCOMES]; /**< MATCHED, MISSED, OVERRUN, FAILED */
    } sources[CTL_SOURCES_MAX];
    struct ctl_delay delays[CTL_DELAYS]; /**< to the start of exposure, to the publication */
};

/** Asks the node. 0 or -errno. */
int ctl_triggers_fetch(struct pinhole *p, struct ctl_triggers *out);
/** Leaves what has come since `before`, which the same boot of the node counted. */
void ctl_triggers_subtract(struct ctl_triggers *triggers, const struct ctl_triggers *before);
/** How many there were. */
unsigned long long ctl_triggers_sum(const struct ctl_triggers *triggers);
/** A line for each source and each delay, leaving out those without any. */
void ctl_triggers_print(FILE *out, const struct ctl_triggers *triggers);

#endif
