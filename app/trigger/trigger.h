// SPDX-License-Identifier: MIT
// The trigger engine. It pairs triggers (line edges, software commands, timer ticks) with frames,
// and gives each trigger exactly one outcome. Pure: no I/O, no clock, no heap. All state is in a
// struct of the caller, time is an argument, and every call is bounded by TRIGGER_RING.
//
// How a node uses it:
//   line edges        trigger_edge() for each, before the frames of the same turn. An edge must be
//                     known before the frame that answers it.
//   TRIGGER request   trigger_software()
//   timers            one loop timer for trigger_next_deadline() calls trigger_tick(). Any call
//   below
//                     can move the deadline, so arm the timer once per turn.
//   a frame           trigger_frame() for each acquired frame, oldest first; follow the verdict
//   after encoding    for each ANSWER exactly one trigger_frame_done() or trigger_frame_failed()
//   camera state      trigger_camera_up() when frames can come, trigger_camera_down() when not
//   once per turn     trigger_pop_outcome() until it says false. Each outcome other than MATCHED
//                     becomes a TRIGGER event; the frames speak for those.
//
// What a trigger is. With TriggerMode Off nothing is. With On, these are triggers:
//   - a software command, whatever the source, except under EXTERNAL;
//   - a timer tick, with source Timer;
//   - each `divider`th line edge outside the hold-off, with source Line.
// A trigger gets the next id. Ids begin with 1, are never reused and go on over a reconfiguration.
// Its target time is edge + delay, but never before the target of the trigger before it. Other
// edges get no id and are counted: those in the hold-off, those that the divider skips, those that
// the kernel lost, and those with a refused timestamp.
//
// When a frame answers. `start` is when the first row begins its exposure, `end` is when that row
// ends it and the readout begins. A rolling shutter's last row follows the first by `readout_ns`.
//   FIRST_AFTER  The first frame with start >= target. No row saw anything older than the target.
//   CONTAINS     The first frame with start <= target <= end + readout. Some row was being exposed.
//                Once a frame starts after the target, none can contain it: MISSED.
//   EXTERNAL     The edge itself starts the exposure in the sensor. Edges and frames pair one to
//   one
//                where start = edge + offset within +-window. The engine learns the offset from the
//                first pairs and then follows it slowly (trigger_offset()). An edge that a frame
//                has passed by is MISSED. A frame without an edge is dropped and counted.
//
// Several triggers can wait at once: frames are delivered long after their exposure began, and a
// delay may be longer than the spacing of the edges. OVERRUN goes by exposure time, not by
// delivery. A trigger is OVERRUN when its target is not later than the start (CONTAINS: the last
// row's end) of a frame that answers an earlier trigger. In a burst, any frame of the burst counts.
// Two more kinds are OVERRUN, so that a storm costs constant memory and still answers every frame:
//   - triggers that find TRIGGER_PENDING_MAX waiting;
//   - once TRIGGER_PENDING_DENSE wait, those closer than `frame_interval_ns` to the last one.
//
// Outcomes, each trigger exactly one:
//   MATCHED  At least one frame of its burst was delivered (trigger_frame_done).
//   FAILED   Frames were chosen but none could be delivered. Or the camera was down when the
//   trigger
//            came, or went down while it waited. Or it was reconfigured away while it waited.
//   MISSED   No frame came within deadline_ns after its target, or the rule says that none will.
//   OVERRUN  See above.
// A burst that the camera or the deadline cuts short ends with what it has.
//
// Outcomes leave in the order of trigger ids. An outcome waits until those of all earlier triggers
// are known, so the log of frames and events is in trigger order. Consecutive triggers with the
// same outcome and source leave as one run. Nothing is lost when the caller does not pop: newer
// triggers extend the last run. Only when the ring is full of runs and of frames never reported
// does the engine refuse: an edge is refused, a tick is skipped, a software trigger gets -EAGAIN.
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
    /** Publish this many held frames before this one, the newest with burst_index -1, with the same
     * trigger_id, source and edge. There are fewer if some could not be encoded. Not 0 only when
     * burst_index is 0. Held frames are published once: those given here are held no longer,
     * whatever becomes of this frame. Frames of a burst are not held for the next trigger. */
    uint16_t pretrigger;
};

/** Whether two configurations are the same, member by member. */
bool trigger_config_equals(const struct trigger_config *a, const struct trigger_config *b);

/** TriggerMode Off, camera down, nothing counted. */
void trigger_init(struct trigger *t);

/** Takes a configuration. 0, or -EINVAL when a value is out of the ranges above; then nothing
 * changes. EXTERNAL also needs source Line and no delay, divider, hold-off, burst or pretrigger,
 * because the sensor follows the wire. Waiting triggers end FAILED. An unfinished burst ends with
 * what it has. Held frames are forgotten: drop them. The timer, the divider, the hold-off and the
 * learnt offset start over. Frames already chosen are still to be reported done or failed. */
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

/** EXTERNAL: true and the offset from edge to start of exposure, once it has been learnt. It is the
 * median of TRIGGER_CALIBRATION_PAIRS consecutive pairs that agree within the window. Until then a
 * frame pairs with the newest edge before its readout. Afterwards the offset follows by 1/16 of
 * each pair's difference. */
bool trigger_offset(const struct trigger *t, int64_t *offset_ns);

#endif
