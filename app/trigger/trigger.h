// SPDX-License-Identifier: MIT
// The trigger engine: pairs triggers (line edges, software commands, timer ticks) with frames and
// says for every trigger, exactly once, what became of it. Pure: no I/O, no clock, no heap; all
// state is in a caller-owned struct, time is an argument, everything is bounded and
// O(TRIGGER_RING).
//
// How a node uses it:
//   line edges        trigger_edge() for each, BEFORE the frames that wait in the same turn are
//                     offered (an edge must be known before the frame that answers it)
//   TRIGGER request   trigger_software()
//   timers            arm one loop timer for trigger_next_deadline(), call trigger_tick() there;
//                     the deadline can move with every call below, so re-arm once per turn
//   a frame           trigger_frame() for each acquired frame, oldest first; follow the verdict
//   after encoding    for each ANSWER exactly one trigger_frame_done() or trigger_frame_failed()
//   camera state      trigger_camera_up() when frames can come, trigger_camera_down() when not
//   once per turn     trigger_pop_outcome() until it says false; one TRIGGER event per outcome
//                     other than MATCHED (the frames speak for those)
//
// What a trigger is. With TriggerMode Off nothing is. With On, a trigger is: a software command
// (whatever the source, except with EXTERNAL), a timer tick (source Timer), or each `divider`th
// line edge that does not fall into the hold-off (source Line). It gets the next id (from 1, never
// reused, continues over reconfiguration) and a target time = edge + delay, but never before the
// target of the trigger before it. Edges in the hold-off, edges that the
// divider swallows, edges lost by the kernel and refused timestamps are counted, but are no
// triggers and get no id.
//
// When a frame answers (start = first row begins exposure; end = first row ends it and readout
// begins; with a rolling shutter the last row follows the first by `readout_ns`):
//   FIRST_AFTER  the first frame with start >= target: no row saw anything older than the target
//   CONTAINS     the first frame with start <= target <= end + readout: some row was being exposed.
//                When a frame starts after the target, none can contain it any more: MISSED
//   EXTERNAL     the edge itself starts the exposure in the sensor: edges and frames pair one to
//                one where start = edge + offset within +-window. The offset is learnt from the
//                first pairs (see trigger_offset()) and then followed slowly. An edge that a frame
//                has passed by is MISSED; a frame without an edge is dropped and counted
//
// Several triggers can wait at once, because frames are delivered long after their exposure began
// and because delays may be longer than the edges' spacing. What makes an OVERRUN is exposure time,
// not delivery time: a trigger whose target is not later than the start (CONTAINS: the last row's
// end) of a frame that answers an earlier trigger - the same frame or, in a burst, any of its
// frames - came while the previous one was pending, and is OVERRUN. So are triggers that find
// TRIGGER_PENDING_MAX waiting, and, once TRIGGER_PENDING_DENSE wait, those closer than
// `frame_interval_ns` to the last one waiting: a storm then costs constant memory and still answers
// every frame.
//
// Outcomes, each trigger exactly one:
//   MATCHED  at least one frame of its burst was delivered (trigger_frame_done)
//   FAILED   frames were chosen but none could be delivered; or the camera was down when it came or
//            went down while it waited; or it was reconfigured away while it waited
//   MISSED   no frame within deadline_ns after its target (or the rule says that none will come)
//   OVERRUN  see above
// A burst that the camera or the deadline cuts short ends with what it has.
//
// Outcomes leave in the order of trigger ids: an outcome waits until those of all earlier triggers
// are known, so a log of frames and events is in trigger order. Consecutive triggers with the same
// outcome and source leave as one run. Nothing is ever lost: when the caller does not pop, newer
// triggers grow the last run, and when that cannot be (the ring is full of runs and of frames never
// reported), an edge is refused, a tick skipped and a software trigger answered with -EAGAIN.
#ifndef PINHOLE_APP_TRIGGER_TRIGGER_H
#define PINHOLE_APP_TRIGGER_TRIGGER_H

#include "app/trigger/trigger_ring.h"

/** One acquired frame. For a frame of the camera contract: end = timestamp, start = end - exposure.
 */
struct trigger_frame {
    uint64_t start_ns;
    uint64_t end_ns;
    uint32_t sensor_sequence;
};

enum trigger_verdict {
    TRIGGER_FREE,  /**< TriggerMode is Off: pace by the frame rate; the engine does not care */
    TRIGGER_DROP,  /**< answers nothing: release it */
    TRIGGER_HOLD,  /**< encode it and keep the last `pretrigger` such frames unpublished */
    TRIGGER_ANSWER /**< encode and publish it with the fields below */
};

struct trigger_decision {
    enum trigger_verdict verdict;
    enum wire_trigger_source source;
    uint64_t trigger_id; /**< ANSWER only, as are all below; else 0 */
    uint64_t edge_ns;
    int64_t exposure_delta_ns; /**< start - edge */
    int16_t burst_index;       /**< 0.. */
    /** Publish this many held frames before this one, newest with burst_index -1, with the same
     * trigger_id, source and edge (fewer if some could not be encoded). Not 0 only when burst_index
     * is 0. Held frames are published once: those given here are held no longer, whatever becomes
     * of this frame; frames of a burst are not held for the next trigger. */
    uint16_t pretrigger;
};

/** Whether two configurations are the same, member by member. */
bool trigger_config_equals(const struct trigger_config *a, const struct trigger_config *b);

/** TriggerMode Off, camera down, nothing counted. */
void trigger_init(struct trigger *t);

/** Takes a configuration. 0, or -EINVAL when a value is out of the ranges above (EXTERNAL also
 * needs source Line and no delay, divider, hold-off, burst or pretrigger: the sensor follows the
 * wire), and then nothing changes. Waiting triggers end FAILED, an unfinished burst ends with what
 * it has, held frames are forgotten (drop them), the timer, the divider, the hold-off and the
 * learnt offset start anew. Frames already chosen are still to be reported done or failed. */
int trigger_configure(struct trigger *t, const struct trigger_config *config, uint64_t now_ns);

/** The node can get frames. */
void trigger_camera_up(struct trigger *t, uint64_t now_ns);
/** It cannot: waiting triggers end FAILED (MISSED where the deadline has passed), new ones end
 * FAILED at once, held frames are forgotten.
 */
void trigger_camera_down(struct trigger *t, uint64_t now_ns);

/** A software trigger. Returns its id (> 0), or -EAGAIN: TriggerMode is Off, the rule is EXTERNAL,
 * the camera is down, or there is no room. Waits for its frame like any trigger. */
int64_t trigger_software(struct trigger *t, uint64_t now_ns);
/** Why a software trigger is impossible once `config` is in force, as the end of a sentence; NULL
 * when it is possible. Static storage. The place in the ring that it finds is there also after
 * another configuration or a restart of the camera. (Without one it may still join the last run.)
 */
const char *trigger_refusal(struct trigger *t, const struct trigger_config *config);

/** The line was (re)opened: the next edge's line sequence is expected to be 1. */
void trigger_line_opened(struct trigger *t);
/** One edge of the line (only those of the wanted direction are to be asked of the kernel). Returns
 * its trigger id, or 0 when the edge is no trigger. */
uint64_t trigger_edge(struct trigger *t, uint64_t edge_ns, uint32_t line_sequence, uint64_t now_ns);

/** When trigger_tick() wants to be called: a timer tick or a deadline. NS_NEVER = not at all. */
uint64_t trigger_next_deadline(const struct trigger *t);
/** Timer ticks and missed deadlines up to now. Early or spurious calls do no harm. */
void trigger_tick(struct trigger *t, uint64_t now_ns);

/** Decides one acquired frame; frames are offered once, in the order of the sensor. */
void trigger_frame(struct trigger *t, const struct trigger_frame *frame, uint64_t now_ns,
                   struct trigger_decision *out);
/** The frame that ANSWERed `trigger_id` is published / cannot be delivered (did not fit, encoder
 * error, no room). Exactly one of the two per ANSWER, in any order. Unknown ids are ignored. */
void trigger_frame_done(struct trigger *t, uint64_t trigger_id);
void trigger_frame_failed(struct trigger *t, uint64_t trigger_id, uint32_t sensor_sequence);

/** Takes the next run of outcomes, in id order. False when the next trigger's is not known yet. */
bool trigger_pop_outcome(struct trigger *t, struct trigger_outcome *out);

/** A trigger that waits for its first frame. */
struct trigger_waiting {
    uint64_t trigger_id, edge_ns, target_ns;
};
/** The oldest waiting trigger with an id above `after_id`; false when there is none. */
bool trigger_find_waiting(const struct trigger *t, uint64_t after_id, struct trigger_waiting *out);

/** EXTERNAL: true and the offset from edge to start of exposure when it has been learnt: the median
 * of TRIGGER_CALIBRATION_PAIRS consecutive pairs that agree within the window; until then a frame
 * pairs with the newest edge before its readout. Afterwards it follows by 1/16 of each pair's
 * difference. */
bool trigger_offset(const struct trigger *t, int64_t *offset_ns);

#endif
