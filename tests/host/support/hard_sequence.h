// SPDX-License-Identifier: MIT
// A sequence that is hard on rate control: photographs (or drawn landscapes) panned and cut, grain,
// noise, black, white, text, flicker, fades. The same frames on every run of one machine.
#ifndef PINHOLE_TEST_SUPPORT_HARD_SEQUENCE_H
#define PINHOLE_TEST_SUPPORT_HARD_SEQUENCE_H

#include "tests/host/support/picture.h"

#define HARD_SEQUENCE_FRAMES 2400u

/** The sequence and the canvases that it looks at. */
struct hard_sequence {
    struct picture picture; /**< the current frame */
    struct photo *canvas[32];
    unsigned canvases, photographs;
};

/** Draws or loads the canvases. Frames are YUV420 of that size. */
void hard_sequence_open(struct hard_sequence *sequence, uint32_t width, uint32_t height);
void hard_sequence_close(struct hard_sequence *sequence);
/** Draws frame `index` into sequence->picture. */
void hard_sequence_draw(struct hard_sequence *sequence, unsigned index);

#endif
