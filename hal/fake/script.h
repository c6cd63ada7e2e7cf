// SPDX-License-Identifier: MIT
// Fault scripts of the fake camera: what shall go wrong, and when. Pure: no files, no clock.
//
// A script is text, one instruction per line; `#` starts a comment. Frames are counted from the
// first start() on, over all later starts and opens; the count includes frames that nobody got.
// What is due at a frame happens when that frame, or the first delivered after it, would be.
//
//   at FRAME FAULT        once
//   every FRAMES FAULT    at frame FRAMES, 2 x FRAMES, 3 x FRAMES ...
//
// FAULT is one of
//   stall DURATION        no frames for DURATION; they are lost. Then the stream goes on
//   freeze                no frames until the stream is stopped and started again
//   drop COUNT            COUNT frames are lost
//   torn                  the lower part of this frame is garbage; flagged HAL_FRAME_TORN
//   torn-unseen           the same without the flag
//   stream-error          acquire() returns -EIO until the stream is stopped
//   unplug [DURATION]     acquire() returns -ENODEV, and so does open() until DURATION has passed;
//                         without one the camera stays away
// DURATION is a whole number with us, ms or s: 1500ms.
//
// From the beginning on:
//   open-fail COUNT       the first COUNT calls of open() fail with -ENODEV,
//   configure-fail COUNT  of configure() with -EIO,
//   start-fail COUNT      of start() with -EIO
//   stride BYTES          frames claim this luma stride, even when a row is longer than that
//   padding BYTES         the stride is a row and BYTES more
#ifndef PINHOLE_HAL_FAKE_SCRIPT_H
#define PINHOLE_HAL_FAKE_SCRIPT_H

#include "hal/base.h"

#define FAKE_SCRIPT_FAULTS_MAX  64
#define FAKE_SCRIPT_BYTES_MAX   (16 * 1024)
#define FAKE_SCRIPT_STRIDE_MAX  65536
#define FAKE_SCRIPT_FRAMES_MAX  UINT32_MAX
#define FAKE_SCRIPT_ERROR_BYTES 256

/** The faults, as listed above. */
enum fake_fault_kind {
    FAKE_FAULT_STALL,
    FAKE_FAULT_FREEZE,
    FAKE_FAULT_DROP,
    FAKE_FAULT_TORN,
    FAKE_FAULT_TORN_UNSEEN,
    FAKE_FAULT_STREAM_ERROR,
    FAKE_FAULT_UNPLUG,
};

/** One line of the script. */
struct fake_fault {
    enum fake_fault_kind kind;
    uint64_t frame;       /**< when it is due next; UINT64_MAX once it is over */
    uint64_t every;       /**< 0 = once */
    uint64_t duration_ns; /**< stall, unplug; NS_NEVER = for good */
    uint64_t count;       /**< drop */
};

struct fake_script {
    struct fake_fault fault[FAKE_SCRIPT_FAULTS_MAX];
    unsigned fault_count;
    uint32_t open_fails, configure_fails, start_fails; /**< how many are still to come */
    uint32_t stride;                                   /**< 0 = not said */
    uint32_t padding;                                  /**< meaningful when `has_padding` */
    bool has_padding;
};

/** Reads `bytes` of text. 0, or -EINVAL with "name:line: reason" in `error`. */
int fake_script_parse(struct fake_script *script, const char *name, const char *text, size_t bytes,
                      char error[FAKE_SCRIPT_ERROR_BYTES]);

/** Takes the earliest fault that is due at `frame` or was before it: true with a copy in `out`.
 * Call until it returns false, or until a fault keeps the frame back: what else is due happens at
 * the next one. A repeating fault is due once, not once per repetition missed. */
bool fake_script_due(struct fake_script *script, uint64_t frame, struct fake_fault *out);

/** Counts one of the failures to come down: true when this call is to fail. */
bool fake_script_fails(uint32_t *left);

#endif
