// SPDX-License-Identifier: MIT
// Pictures for tests: procedural scenes and photographs, laid out as a camera frame in any format.
#ifndef PINHOLE_TEST_SUPPORT_PICTURE_H
#define PINHOLE_TEST_SUPPORT_PICTURE_H

#include "app/jpeg/jpeg.h"
#include "hal/camera.h"

enum picture_scene {
    PICTURE_BLACK,
    PICTURE_WHITE,
    PICTURE_NOISE,     /**< every sample random: what compresses worst */
    PICTURE_TEXT,      /**< small dark shapes on white: hard edges */
    PICTURE_GRADIENT,  /**< smooth colour */
    PICTURE_LANDSCAPE, /**< soft structure on several scales with some grain, like a photograph */
    PICTURE_SCENES
};

/** A frame with memory of its own. */
struct picture {
    struct hal_frame frame;
    uint8_t *memory[HAL_CAMERA_PLANES_MAX]; /**< writable twins of frame.plane[].data */
};

/** Allocates planes whose stride is the least possible plus `slack` bytes. Exits when out of
 * memory. */
void picture_alloc(struct picture *picture, enum hal_pixel_format format, uint32_t width,
                   uint32_t height, uint32_t slack);
void picture_free(struct picture *picture);

/** The frame's samples as the encoder takes them. */
struct jpeg_picture picture_planes(const struct hal_frame *frame);

/** Draws a scene, moved by `shift` samples to the left and up; the same arguments give the same
 * bytes. Contrast is in percent. Stride slack is filled with bytes that no picture may show. */
void picture_draw(struct picture *picture, enum picture_scene scene, uint32_t seed, uint32_t shift,
                  uint32_t contrast);

/** A photograph, decoded to YUV 4:4:4. NULL when it cannot be read. */
struct photo *photo_load(const char *path);
/** A drawn scene that can be cropped like a photograph. */
struct photo *photo_draw(enum picture_scene scene, uint32_t seed, uint32_t width, uint32_t height);
void photo_free(struct photo *photo);
/** Copies the part of the photograph at (x, y), which wraps around its edges. */
void picture_crop(struct picture *picture, const struct photo *photo, uint32_t x, uint32_t y);

/** Paths of the photographs in $PINHOLE_PHOTOS. Returns how many (at most max). */
unsigned photo_list(char (*paths)[512], unsigned max);

#endif
