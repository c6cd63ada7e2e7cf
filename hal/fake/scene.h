// SPDX-License-Identifier: MIT
// The scene in front of the fake camera: parcels on a conveyor belt and a test chart. A strip above
// shows frame number, clock and settings. The still part is drawn once; a frame redraws only what
// moves, and costs well under a millisecond at 1080p.
#ifndef PINHOLE_HAL_FAKE_SCENE_H
#define PINHOLE_HAL_FAKE_SCENE_H

#include "hal/fake/canvas.h"
#include "hal/fake/sensor.h"

#define SCENE_PARCELS 4

/** What shows in one frame. */
struct scene_moment {
    uint32_t sequence;
    uint64_t timestamp_ns; /**< CLOCK_MONOTONIC; also moves the belt */
    uint64_t realtime_ns;  /**< the same instant since 1970-01-01 UTC, for the clock */
    uint32_t exposure_us;
    uint32_t gain_milli;
    uint32_t brightness_milli; /**< 1000 = as meant; text and code keep their contrast */
    enum fake_sensor_pattern pattern;
};

/** Where a buffer differs from the background: the caller keeps one per buffer, zeroed at first. */
struct scene_dirt {
    struct canvas_rect rect[SCENE_PARCELS];
    unsigned count;
};

/** Draws the still part over the whole canvas. Tens of milliseconds at most. */
void scene_draw_background(struct canvas *canvas, uint32_t brightness_milli,
                           enum fake_sensor_pattern pattern);

/** Brings a canvas that holds `background` and what `dirt` says to `moment`. */
void scene_draw_frame(struct canvas *canvas, const struct canvas *background,
                      struct scene_dirt *dirt, const struct scene_moment *moment);

/** Spoils the lower part of a picture, as a broken transfer does; copy the background back before
 * the next frame. */
void scene_draw_torn(struct canvas *canvas);

#endif
