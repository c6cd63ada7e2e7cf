// SPDX-License-Identifier: MIT
// The strobe planner: when a light goes on and off, and whether it covered an exposure. Pure: no
// I/O, no clock, bounded. The caller drives the line and reports what really happened.
//
// One pulse at a time. A trigger plans one:
//   STROBE_TRIGGER   on at edge + delay. For sensors that the same edge triggers, and for lights
//                    that need time to reach their power.
//   STROBE_EXPOSURE  on at the predicted start of the answering exposure + delay. That exposure is
//                    the first one at or after the trigger's target, by the last frame's start and
//                    the frame period. Before the first frame there is no prediction and no pulse.
// The pulse ends `width` later, counted from when it really began. A pulse whose moment has passed
// when it is planned begins at once. Triggers that come while a pulse waits or shines plan none.
// Both are counted.
//
// Software drives the line, so the pulse is late by the loop's turn and the kernel's wake-up: some
// 0.1 ms as a rule, milliseconds at worst on a busy machine. `late_max_ns` says how late. With a
// second line wired to the output, the kernel's own timestamps of the real edges say it too. Where
// microseconds matter, let the sensor's own strobe pin drive the light.
#ifndef PINHOLE_APP_TRIGGER_STROBE_H
#define PINHOLE_APP_TRIGGER_STROBE_H

#include "hal/base.h"

#define STROBE_PULSES 16 /**< remembered for frames that come late */

/** What a pulse is timed from. */
enum strobe_reference { STROBE_TRIGGER, STROBE_EXPOSURE };
enum strobe_cover {
    STROBE_NONE,    /**< no pulse near this exposure */
    STROBE_COVERED, /**< Each row got the same light. The pulse shone from before the first row
                      began to after the last one ended, or all of it fell where every row is
                      exposed. */
    STROBE_MISSED   /**< there was a pulse from the trigger on, and it did neither */
};

struct strobe_config {
    bool is_on;
    enum strobe_reference reference;
    uint64_t delay_ns;
    uint64_t width_ns;        /**< > 0 */
    uint64_t readout_ns;      /**< first row's to last row's; 0 = global shutter */
    uint64_t frame_period_ns; /**< > 0 for STROBE_EXPOSURE */
};

struct strobe_counters {
    uint64_t pulses;
    uint64_t skipped; /**< triggers during a pulse, or without a prediction */
    uint64_t late;    /**< pulses planned when their moment had passed */
    uint64_t covered, missed;
    uint64_t late_max_ns;     /**< greatest (really on - planned on) */
    uint64_t readback_max_ns; /**< greatest (kernel's time of the real edge - planned on) */
};

/** A pulse; times are 0 until they are known. */
struct strobe_pulse {
    uint64_t edge_ns;             /**< of the trigger that planned it */
    uint64_t planned_ns;          /**< on */
    uint64_t on_ns, off_ns;       /**< really, by the caller's clock or by the readback line */
    bool is_on_real, is_off_real; /**< by the readback line */
};

struct strobe {
    struct strobe_config config;
    struct strobe_counters counters;
    struct strobe_pulse pulses[STROBE_PULSES];
    unsigned next;          /**< where the next pulse goes */
    bool is_busy;           /**< pulses[next - 1] waits or shines */
    bool level;             /**< as last reported */
    uint64_t last_start_ns; /**< of the last frame; 0 = none yet */
};

/** Off, nothing remembered. */
void strobe_init(struct strobe *s);
/** 0, or -EINVAL and nothing changes. A pulse under way is ended: set the line low (strobe_wants()
 * says so). */
int strobe_configure(struct strobe *s, const struct strobe_config *config, uint64_t now_ns);

/** A trigger wants its picture: edge and target as in app/trigger/trigger.h. */
void strobe_trigger(struct strobe *s, uint64_t edge_ns, uint64_t target_ns, uint64_t now_ns);
/** A frame's exposure began; keeps the prediction true. Every frame, in order. */
void strobe_frame(struct strobe *s, uint64_t start_ns);

/** The level that the line should have now. */
bool strobe_wants(const struct strobe *s, uint64_t now_ns);
/** When strobe_wants() will change by itself; NS_NEVER = not before the next trigger. */
uint64_t strobe_next_deadline(const struct strobe *s);
/** The line was set to `level`; `now_ns` is read right after it. */
void strobe_wrote(struct strobe *s, bool level, uint64_t now_ns);
/** The readback line saw an edge of the pulse. */
void strobe_readback(struct strobe *s, bool level, uint64_t timestamp_ns);

/** What the light did for the exposure [start, end] of the frame that answers the trigger with this
 * edge. To be asked once for each answering frame (it counts). */
enum strobe_cover strobe_cover(struct strobe *s, uint64_t edge_ns, uint64_t start_ns,
                               uint64_t end_ns);

#endif
