// SPDX-License-Identifier: MIT
// Between scene and canvas: colours as 0xRRGGBB in the light of the moment, places in thousandths
// of the picture. Internal to the fake camera's scene.
#ifndef PINHOLE_HAL_FAKE_PAINT_H
#define PINHOLE_HAL_FAKE_PAINT_H

#include "hal/fake/canvas.h"

/** What to draw on, in which light: 1000 = as meant. */
struct paint {
    struct canvas *canvas;
    uint32_t brightness_milli;
};

/** The colour under that light; clips at white, as a sensor does. */
struct canvas_colour paint_colour(const struct paint *paint, uint32_t rgb);
/** From `a` (part = 0) to `b` (part = 256). */
uint32_t paint_mix(uint32_t a, uint32_t b, int32_t part);

/** Pixels. */
void paint_rect(const struct paint *paint, int32_t x, int32_t y, int32_t w, int32_t h,
                uint32_t rgb);
void paint_disc(const struct paint *paint, int32_t x, int32_t y, int32_t radius, uint32_t rgb);

/** Thousandths of width and height as even pixels. */
int32_t paint_x(const struct paint *paint, int32_t milli);
int32_t paint_y(const struct paint *paint, int32_t milli);

/** Sine as -256..256 of an angle of which 1024 make a turn. */
int32_t paint_sine(int32_t angle);

#endif
