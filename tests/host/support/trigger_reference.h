// SPDX-License-Identifier: MIT
// The trigger engine's contract (app/trigger/trigger.h) once more, as slowly and plainly as
// possible: every trigger of a schedule is kept in one list for ever and each question is answered
// by walking it. Shares no code with the engine. Schedules of more than REFERENCE_TRIGGERS triggers
// abort.
#ifndef TESTS_SUPPORT_TRIGGER_REFERENCE_H
#define TESTS_SUPPORT_TRIGGER_REFERENCE_H

#include "app/trigger/trigger.h"

#define REFERENCE_TRIGGERS 4096

struct reference_trigger {
    enum wire_trigger_source source;
    uint64_t edge, target;
    bool is_chosen;             /**< a frame was chosen for it */
    bool wants_more;            /**< of its burst */
    unsigned given, open, done; /**< frames chosen; neither done nor failed; done */
    enum wire_outcome outcome;  /**< NONE = not known yet */
};

struct reference {
    struct trigger_config config;
    struct reference_trigger trigger[REFERENCE_TRIGGERS]; /**< trigger[i] has id i + 1 */
    uint64_t count, popped;
    bool is_up;
    uint64_t floor_target, last_waiting_target;
    uint64_t reach; /**< of the frames that answered */
    uint64_t burst_deadline;
    uint64_t last_end, last_edge, ignore_until, tick;
    uint32_t last_sequence, swallowed, held;
    bool knows_offset;
    int64_t offset, samples[TRIGGER_CALIBRATION_PAIRS];
    unsigned sample_count, strangers;
    struct trigger_counters counters; /**< `outcomes` and `triggers` are left 0 */
};

void reference_init(struct reference *r);
void reference_configure(struct reference *r, const struct trigger_config *config, uint64_t now);
void reference_camera(struct reference *r, bool is_up, uint64_t now);
int64_t reference_software(struct reference *r, uint64_t now);
uint64_t reference_edge(struct reference *r, uint64_t edge, uint32_t sequence, uint64_t now);
uint64_t reference_next_deadline(const struct reference *r);
void reference_tick(struct reference *r, uint64_t now);
struct trigger_decision reference_frame(struct reference *r, const struct trigger_frame *frame,
                                        uint64_t now);
void reference_result(struct reference *r, uint64_t id, bool is_done);

#endif
