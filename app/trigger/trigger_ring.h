// SPDX-License-Identifier: MIT
// The trigger engine's memory: every trigger whose outcome has not left yet, in id order. Included
// through app/trigger/trigger.h, which says what the rules and outcomes mean.
#ifndef PINHOLE_APP_TRIGGER_TRIGGER_RING_H
#define PINHOLE_APP_TRIGGER_TRIGGER_RING_H

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
    bool is_on; /**< TriggerMode */
    enum wire_trigger_source source;
    enum trigger_rule rule;
    uint64_t delay_ns; /**< TriggerDelay: edge to target */
    uint32_t divider;  /**< TriggerDivider, >= 1: each Nth edge is a trigger (line only) */
    uint64_t
        hold_off_ns; /**< after an accepted edge, edges are ignored for this time (line only) */
    uint32_t burst_count; /**< AcquisitionBurstFrameCount, 1..TRIGGER_BURST_MAX */
    uint32_t pretrigger;  /**< frames to give from before, 0..TRIGGER_PRETRIGGER_MAX */
    uint64_t deadline_ns; /**< > 0: from target to the latest delivery of the frame */
    uint64_t period_ns;   /**< Timer: >= TRIGGER_PERIOD_MIN_NS; first tick one period from now */
    uint64_t readout_ns;  /**< first row's to last row's; 0 = global shutter */
    uint64_t frame_interval_ns; /**< the sensor's nominal period, 0 = unknown; see OVERRUN */
    uint64_t window_ns;         /**< EXTERNAL: > 0 */
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

/** The rest is the engine's own: others read counters, `used`, `is_camera_up` and `config`. */
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
    bool is_camera_up;
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
    bool is_offset_known;
    unsigned offset_pairs; /**< samples while learning, disagreements while known */
    int64_t offset_ns;
    int64_t offset_samples[TRIGGER_CALIBRATION_PAIRS];
};

/** The i-th oldest entry, i < t->used. */
static inline struct trigger_entry *trigger_ring_at(struct trigger *t, unsigned i)
{
    return &t->ring[(t->head + i) % TRIGGER_RING];
}

/** Gives a trigger its one outcome. */
void trigger_ring_resolve(struct trigger *t, struct trigger_entry *entry,
                          enum wire_outcome outcome);
/** Joins neighbours with the same known outcome. */
void trigger_ring_compact(struct trigger *t);
/** The oldest waiting trigger, or NULL. */
struct trigger_entry *trigger_ring_pending(struct trigger *t);
/** Gives a new trigger its id and place, waiting or with its outcome. 0 = no room, no id. */
uint64_t trigger_ring_add(struct trigger *t, enum wire_trigger_source source, uint64_t edge_ns);
/** Stops waiting for the rest of the running burst, if there is one. */
void trigger_ring_end_burst(struct trigger *t);
/** A trigger with no frame to come and none open gets its outcome. */
void trigger_ring_settle(struct trigger *t, struct trigger_entry *entry);
/** Gives up on what has waited too long. */
void trigger_ring_expire(struct trigger *t, uint64_t now_ns);

#endif
