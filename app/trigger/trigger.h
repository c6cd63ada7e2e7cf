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

#include "hal/base.h"
#include "net/wire.h"

/** Entries in id order: waiting and answering triggers, and runs of known outcomes behind them. */
#define TRIGGER_RING 64
/** From this many waiting triggers on, new ones must keep a frame interval's distance. */
#define TRIGGER_PENDING_DENSE 16
/** More than these never wait. */
#define TRIGGER_PENDING_MAX    32
#define TRIGGER_BURST_MAX      1000
#define TRIGGER_PRETRIGGER_MAX 64
#define TRIGGER_PERIOD_MIN_NS  NS_PER_MS
/** Timestamps further than this ahead of `now` are refused (another clock, or a broken one). */
#define TRIGGER_AHEAD_MAX_NS NS_PER_S
/** EXTERNAL: this many consecutive pairs must agree within the window before the offset is taken,
 * and this many disagreements in a row throw it away again. */
#define TRIGGER_CALIBRATION_PAIRS 8

/** When a frame answers; see above. */
enum trigger_rule { TRIGGER_FIRST_AFTER, TRIGGER_CONTAINS, TRIGGER_EXTERNAL };

struct trigger_config {
    bool on; /**< TriggerMode */
    enum wire_trigger_source source;
    enum trigger_rule rule;
    uint64_t delay_ns;    /**< TriggerDelay: edge to target */
    uint32_t divider;     /**< TriggerDivider, >= 1: each Nth edge is a trigger (line only) */
    uint64_t hold_off_ns; /**< after an accepted edge, edges are ignored so long (line only) */
    uint32_t burst_count; /**< AcquisitionBurstFrameCount, 1..TRIGGER_BURST_MAX */
    uint32_t pretrigger;  /**< frames to give from before, 0..TRIGGER_PRETRIGGER_MAX */
    uint64_t deadline_ns; /**< > 0: from target to the latest delivery of the frame */
    uint64_t period_ns;   /**< Timer: >= TRIGGER_PERIOD_MIN_NS; first tick one period from now */
    uint64_t readout_ns;  /**< first row's to last row's; 0 = global shutter */
    uint64_t frame_interval_ns; /**< the sensor's nominal period, 0 = unknown; see OVERRUN */
    uint64_t window_ns;         /**< EXTERNAL: > 0 */
};

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

struct trigger_outcome {
    uint64_t first_id, last_id;
    uint64_t edge_ns; /**< of first_id */
    enum wire_trigger_source source;
    enum wire_outcome outcome;
    uint32_t sensor_sequence; /**< FAILED: the last frame of first_id that failed; 0 = none did */
};

struct trigger_counters {
    /** Triggers by [source][outcome], counted when the outcome is known (not when it is popped). */
    uint64_t outcomes[WIRE_SOURCE_LINE + 1][WIRE_OUTCOME_FAILED + 1];
    uint64_t triggers;       /**< ids given out: the sum of outcomes, plus what is still open */
    uint64_t edges;          /**< line edges seen: the sum of the next four, plus line triggers */
    uint64_t edges_idle;     /**< while TriggerMode was Off or the source another */
    uint64_t edges_held_off; /**< inside the hold-off */
    uint64_t edges_divided;  /**< swallowed by the divider */
    uint64_t edges_refused; /**< timestamp ahead of now or before the previous edge's, or no room */
    uint64_t edges_lost;    /**< by the kernel: gaps in the line sequence */
    uint64_t ticks_skipped; /**< timer ticks that nobody was awake for, or no room; no triggers */
    uint64_t frames_refused;  /**< timestamps ahead of now, or going backwards */
    uint64_t frames_unpaired; /**< EXTERNAL: frames without an edge */
};

/** Private from here to the functions. */
enum trigger_state { TRIGGER_PENDING, TRIGGER_ANSWERING, TRIGGER_RESOLVED };

struct trigger_entry {
    uint64_t first_id, last_id; /**< different only when resolved */
    uint64_t edge_ns, target_ns;
    uint32_t frames_given; /**< of the burst */
    uint32_t frames_left;  /**< of the burst, not offered yet */
    uint32_t frames_open;  /**< chosen, neither done nor failed */
    uint32_t frames_done;
    uint32_t failed_sequence;
    uint8_t state, source, outcome;
};

struct trigger {
    struct trigger_config config;
    struct trigger_counters counters;
    struct trigger_entry ring[TRIGGER_RING];
    unsigned head, used; /**< oldest entry, number of entries */
    unsigned pending;    /**< entries in state PENDING */
    bool camera_up;
    uint64_t target_ns;         /**< of the last trigger */
    uint64_t pending_target_ns; /**< of the last trigger that was let wait */
    uint64_t burst_deadline_ns; /**< when to stop waiting for the next frame of a burst */
    uint64_t bursting_id;       /**< trigger whose burst wants the next frame, 0 = none */
    uint64_t answered_ns;       /**< triggers with a target up to here are OVERRUN */
    uint64_t last_end_ns;       /**< of the last frame */
    uint64_t last_edge_ns;      /**< of the last line edge */
    uint64_t hold_off_until_ns;
    uint32_t line_sequence; /**< of the last line edge */
    uint32_t divider_phase;
    uint32_t held;    /**< frames given HOLD and not yet claimed, at most config.pretrigger */
    uint64_t tick_ns; /**< next timer tick */
    bool offset_known;
    unsigned offset_pairs; /**< samples while learning, disagreements while known */
    int64_t offset_ns;
    int64_t offset_samples[TRIGGER_CALIBRATION_PAIRS];
};

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
/** True when the next trigger finds a place, also after another configuration or a restart of the
 * camera. (Without one it may still join the last run.) */
bool trigger_has_room(struct trigger *t);

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
