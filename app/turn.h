// SPDX-License-Identifier: MIT
// The longest turn of the superloop, by the wall clock and in CPU time of its thread.
//
// CPU time leaves out the time that the kernel gave to others. Its clock costs a system call, and
// the wall clock costs none. So CPU time is read before a wait ten times a second at most, and
// after a turn that was longer by the wall clock than any in CPU time. All functions are pure; the
// caller reads the clocks.
//
//   turn_wait(), turn_read() if it asks for it, before a wait that may block
//   -> turn_start() after any wait -> turn_end() -> turn_judge() or turn_skip()
#ifndef PINHOLE_APP_TURN_H
#define PINHOLE_APP_TURN_H

#include "hal/base.h"

/** How old a reading of CPU time may become. A wait takes CPU time that belongs to no turn, and
 * what many waits take would hide the time of others. */
#define TURN_READING_NS (100 * NS_PER_MS)

struct turn {
    uint64_t worst_ns, worst_cpu_ns;
    uint64_t start_ns, length_ns; /**< of the turn under way or just over */
    uint64_t read_ns, cpu_ns;     /**< when CPU time was last read, and the reading */
    uint64_t busy_ns;             /**< length of all turns since then */
    bool has_waited;
};

/** The thread is going to wait. True: turn_read() should follow. */
bool turn_wait(struct turn *turn);
/** `cpu_ns` is the thread's CPU time between two turns. */
void turn_read(struct turn *turn, uint64_t cpu_ns);
/** A turn begins. When there was no turn_wait(), it began where the last one ended. */
void turn_start(struct turn *turn, uint64_t now_ns);
/** The turn is over. True: its CPU time may be the longest, so turn_judge() should follow. */
bool turn_end(struct turn *turn, uint64_t now_ns);
/** The turn's CPU time: its length less the time since the last reading that the turns did not run.
 * `cpu_ns` is the thread's CPU time at turn_end(). */
void turn_judge(struct turn *turn, uint64_t cpu_ns);
/** In place of turn_end(): a turn that may take long, as when a camera is opened, does not count.
 */
void turn_skip(struct turn *turn, uint64_t now_ns, uint64_t cpu_ns);

#endif
