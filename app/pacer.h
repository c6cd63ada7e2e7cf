// SPDX-License-Identifier: MIT
// Pacing of a free-running camera: which frames to leave out when the camera is faster than
// AcquisitionFrameRate. Pure: the frame's time comes in, a decision goes out.
#ifndef PINHOLE_APP_PACER_H
#define PINHOLE_APP_PACER_H

#include "hal/base.h"

/** All zero: the next frame is due. */
struct pacer {
    uint64_t due_ns; /**< when the next frame is due, on the clock of the frames' timestamps */
};

/** Whether the frame with this timestamp is due. Both rates in frames/s, > 0: what the camera
 * makes, and what is wanted. Stays in step with the wish, unless the camera fell behind by a
 * period. */
bool pacer_is_due(struct pacer *pacer, uint64_t timestamp_ns, double camera_rate,
                  double wanted_rate);
/** The next frame is due: the rate changed, or the stream was started again. */
void pacer_restart(struct pacer *pacer);

#endif
