// SPDX-License-Identifier: MIT
#include "tests/host/support/hard_sequence.h"

#include <string.h>

#define SEGMENT 80u /**< frames between cuts */

enum content { PAN, PAN_GRAIN, STILL_GRAIN, FADE, FLICKER, LAMP, NOISE, BLACK, WHITE, TEXT, BLINK };

/** What each segment shows. Every neighbour of another kind is a cut, and so is every change of
 * canvas. */
static const uint8_t plan[HARD_SEQUENCE_FRAMES / SEGMENT] = {
    PAN,  PAN_GRAIN, BLACK, PAN_GRAIN, PAN, FLICKER, STILL_GRAIN, TEXT,        PAN,   NOISE,
    PAN,  FADE,      PAN,   WHITE,     PAN, LAMP,    TEXT,        STILL_GRAIN, NOISE, BLACK,
    FADE, PAN_GRAIN, PAN,   TEXT,      PAN, FLICKER, NOISE,       PAN_GRAIN,   BLINK, PAN,
};

static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 15) * 0x2c1b3c6du;
    x = (x ^ x >> 12) * 0x297a2d39u;
    return x ^ x >> 15;
}

void hard_sequence_open(struct hard_sequence *s, uint32_t width, uint32_t height)
{
    static char paths[24][512];
    memset(s, 0, sizeof *s);
    picture_alloc(&s->picture, HAL_PIXEL_YUV420, width, height, 0);
    s->photographs = photo_list(paths, ARRAY_SIZE(paths));
    for (unsigned i = 0; i < s->photographs; i++)
        if ((s->canvas[s->canvases] = photo_load(paths[i])) != NULL)
            s->canvases++;
    while (s->canvases < ARRAY_SIZE(s->canvas)) {
        s->canvas[s->canvases] = photo_draw(PICTURE_LANDSCAPE, s->canvases, 768, 512);
        s->canvases++;
    }
}

void hard_sequence_close(struct hard_sequence *s)
{
    for (unsigned i = 0; i < s->canvases; i++)
        photo_free(s->canvas[i]);
    picture_free(&s->picture);
}

static void scale_luma(struct picture *p, uint32_t percent)
{
    size_t samples = (size_t)p->frame.width * p->frame.height;
    for (size_t i = 0; i < samples; i++)
        p->memory[0][i] = (uint8_t)(p->memory[0][i] * percent / 100);
}

/** Sensor grain of about +-2, different in each frame. */
static void add_grain(struct picture *p, uint32_t seed)
{
    size_t samples = (size_t)p->frame.width * p->frame.height;
    uint32_t random = mix(seed + 1) | 1;
    for (size_t i = 0; i < samples; i++) {
        random = random * 1664525u + 1013904223u;
        int value = p->memory[0][i] + (int)(random >> 30) + (int)(random >> 28 & 3) - 3;
        p->memory[0][i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

void hard_sequence_draw(struct hard_sequence *s, unsigned index)
{
    unsigned segment = index / SEGMENT, t = index % SEGMENT;
    const struct photo *canvas = s->canvas[segment * 7 % s->canvases];
    uint32_t pan = plan[segment] == STILL_GRAIN || plan[segment] == LAMP ? 0 : t;
    uint32_t x = mix(segment) % 256 + pan * (1 + segment % 3), y = mix(segment + 99) % 128 + pan;
    struct picture *p = &s->picture;
    switch (plan[segment]) {
    case NOISE: picture_draw(p, PICTURE_NOISE, index, 0, 100); return;
    case BLACK: picture_draw(p, PICTURE_BLACK, 0, 0, 100); return;
    case WHITE: picture_draw(p, PICTURE_WHITE, 0, 0, 100); return;
    case TEXT: picture_draw(p, PICTURE_TEXT, segment, t / 2, 100); return;
    case BLINK: // the camera's cap goes on and off
        if (t / 20 % 2) {
            picture_draw(p, PICTURE_BLACK, 0, 0, 100);
            return;
        }
        break;
    default: break;
    }
    picture_crop(p, canvas, x, y);
    switch (plan[segment]) {
    case PAN_GRAIN:
    case STILL_GRAIN: add_grain(p, index); break;
    case FADE: scale_luma(p, t < 40 ? 100 - 2 * t : 20 + 2 * (t - 40)); break;
    case FLICKER: scale_luma(p, index % 2 ? 55 : 100); break;
    case LAMP: // a tube against the frame rate: three frames to the beat, and grain
        scale_luma(p, 60 + 20 * (index % 3));
        add_grain(p, index);
        break;
    default: break;
    }
}
