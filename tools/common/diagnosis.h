// SPDX-License-Identifier: MIT
// What is wrong with a node, by what it tells itself: sentences, and what to do. `pinholectl
// doctor` adds what it sees of the node's machine; pinhole-relay tells the fleet.
#ifndef PINHOLE_TOOLS_COMMON_DIAGNOSIS_H
#define PINHOLE_TOOLS_COMMON_DIAGNOSIS_H

#include "tools/common/json.h"

enum finding_state {
    FINDING_OK,
    FINDING_WARNING, /**< works, but will not for long, or loses something */
    FINDING_FAULT,   /**< does not work */
};

struct finding {
    enum finding_state state;
    const char *check;  /**< a word: what was looked at */
    const char *advice; /**< what to do; "": nothing */
    char text[512];
};

/** Told of each finding, which is gone after the call. */
typedef void finding_fn(void *user, const struct finding *finding);

/** ok, warning, fault. */
const char *finding_state_name(enum finding_state state);
/** check, state, text, advice: a line of `pinholectl doctor --json`. NULL: out of memory. */
json_t *finding_json(const struct finding *finding);
/** Asks the node for what is not in `stats`, its counters. Waits as pinhole_get() does. */
void diagnose(struct pinhole *p, const char *stats, finding_fn *tell, void *user);

#endif
