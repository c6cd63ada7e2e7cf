// SPDX-License-Identifier: MIT
// A grey picture as one of three components. FFmpeg and mpv take one component for limited range,
// and crush black and white; three they take for full range, as JPEG has it.
#ifndef PINHOLE_TOOLS_WEB_COLOUR_H
#define PINHOLE_TOOLS_WEB_COLOUR_H

#include "tools/web/frame.h"

/** The same picture with three components, kept with the frame and without a reference of its own.
 * The frame itself when it is no grey baseline JPEG. NULL: no memory. Hold web.lock. */
struct web_frame *web_frame_in_colour(struct web_frame *frame);

#endif
