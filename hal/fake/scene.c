// SPDX-License-Identifier: MIT
#include "hal/fake/scene.h"

#include <stdio.h>

#include "hal/fake/backdrop.h"
#include "hal/fake/code.h"
#include "hal/fake/paint.h"

#define LINES         3
#define LINE_GLYPHS   16
#define LINE_PITCH    9 /**< font pixels from line to line */
#define PANEL_LUMA    28
#define TEXT_LUMA     226
#define CROSSING_S    8 /**< what a parcel takes from edge to edge */
#define NS_PER_DAY_MS (UINT64_C(24) * 3600 * 1000)

/** The place of the text: right of the code, else below. Empty when there is no room. */
static struct canvas_rect text_panel(const struct canvas *canvas, int32_t *scale)
{
    int32_t width = (int32_t)canvas->width, height = (int32_t)canvas->height;
    int32_t cell = (int32_t)fake_code_cell(canvas->width, canvas->height);
    *scale = width < 960 ? 1 : width / 480;
    int32_t w = ((LINE_GLYPHS * CANVAS_GLYPH_PITCH + 5) * *scale + 1) & ~1;
    int32_t h = ((LINES * LINE_PITCH + 4) * *scale + 1) & ~1;
    int32_t code_right = (FAKE_CODE_COLUMNS + 2) * cell, code_bottom = (FAKE_CODE_ROWS + 2) * cell;
    if (cell != 0 && code_right + w <= width)
        return (struct canvas_rect){width - w, 0, w, h};
    if (w <= width && code_bottom + h <= height / 2)
        return (struct canvas_rect){0, code_bottom, w, h};
    return (struct canvas_rect){0};
}

static void draw_text(struct canvas *canvas, const struct scene_moment *moment)
{
    int32_t scale;
    struct canvas_rect panel = text_panel(canvas, &scale);
    if (panel.w == 0)
        return;
    uint64_t ms = moment->realtime_ns / NS_PER_MS % NS_PER_DAY_MS;
    char line[LINES][40];
    snprintf(line[0], sizeof line[0], "FRAME %10u", moment->sequence);
    snprintf(line[1], sizeof line[1], "%02u:%02u:%02u.%03u UTC", (unsigned)(ms / 3600000),
             (unsigned)(ms / 60000 % 60), (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
    snprintf(line[2], sizeof line[2], "%7u US X%2u.%u", moment->exposure_us,
             moment->gain_milli / 1000, moment->gain_milli / 100 % 10);
    canvas_fill_luma(canvas, panel, PANEL_LUMA);
    for (int32_t i = 0; i < LINES; i++)
        canvas_text(canvas, panel.x + 3 * scale, panel.y + (3 + i * LINE_PITCH) * scale, scale,
                    line[i], TEXT_LUMA);
}

static void draw_label(const struct paint *paint, int32_t x, int32_t y, int32_t w, int32_t h)
{
    static const uint8_t bar[] = {3, 1, 2, 1, 1, 3, 1, 2, 2, 1, 3, 1};
    paint_rect(paint, x, y, w, h, 0xf4f1e8);
    int32_t unit = w / 26;
    if (unit < 2)
        return;
    unit &= ~1;
    int32_t at = x + (w - unit * 21) / 2;
    for (size_t i = 0; i < ARRAY_SIZE(bar); i++) {
        if (i % 2 == 0)
            paint_rect(paint, at, y + h / 6, unit * bar[i], h / 2, 0x1c1c20);
        at += unit * bar[i];
    }
    paint_rect(paint, x + w / 8, y + h * 3 / 4, w * 5 / 8, h / 8, 0x8a8a90);
}

static void draw_parcel(const struct paint *paint, struct canvas_rect box, uint32_t rgb)
{
    int32_t edge = (box.h / 24 + 1) & ~1;
    paint_rect(paint, box.x, box.y, box.w, box.h, rgb);
    paint_rect(paint, box.x, box.y, box.w, edge, paint_mix(rgb, 0xffffff, 90));
    paint_rect(paint, box.x + box.w - box.w / 6, box.y, box.w / 6, box.h,
               paint_mix(rgb, 0x000000, 60));
    paint_rect(paint, box.x, box.y + box.h - edge, box.w, edge, paint_mix(rgb, 0x000000, 110));
    paint_rect(paint, box.x + box.w * 3 / 8, box.y, box.w / 9, box.h,
               paint_mix(rgb, 0xf0e2c0, 110));
    draw_label(paint, box.x + box.w / 10, box.y + box.h * 2 / 5, box.w / 2, box.h * 2 / 5);
}

/** Width and height in thousandths of the picture's height, so that boxes keep their shape. */
static const struct {
    int32_t w, h;
    uint32_t rgb;
} parcels[SCENE_PARCELS] = {
    {210, 150, 0xc08a52},
    {150, 190, 0x3f7fb8},
    {240, 110, 0xc9523f},
    {170, 150, 0x5c9a5a},
};

static void draw_belt(const struct paint *paint, uint64_t travelled_px)
{
    int32_t width = (int32_t)paint->canvas->width, pitch = (width / 16 & ~1) + 2;
    int32_t top = paint_y(paint, BACKDROP_BELT_TOP), height = paint_y(paint, BACKDROP_BELT_HIGH);
    paint_rect(paint, 0, top, width, height, 0x34373d);
    for (int32_t x = (int32_t)(travelled_px % (uint64_t)pitch) - pitch; x < width; x += pitch)
        paint_rect(paint, x, top, pitch / 8, height, 0x565b64);
}

static void draw_parcels(const struct paint *paint, struct scene_dirt *dirt, uint64_t travelled_px)
{
    int32_t width = (int32_t)paint->canvas->width, height = (int32_t)paint->canvas->height;
    int32_t top = paint_y(paint, BACKDROP_BELT_TOP), room = height * 260 / 1000;
    uint64_t lap = (uint64_t)width + (uint64_t)room;
    dirt->count = 0;
    for (int32_t i = 0; i < SCENE_PARCELS; i++) {
        uint64_t at = (travelled_px + lap * (uint64_t)i / SCENE_PARCELS) % lap;
        int32_t w = height * parcels[i].w / 1000, h = height * parcels[i].h / 1000 & ~1;
        struct canvas_rect box = {((int32_t)at - room) & ~1, top - h, w, h};
        draw_parcel(paint, box, parcels[i].rgb);
        dirt->rect[dirt->count++] = box;
    }
}

void scene_draw_background(struct canvas *canvas, uint32_t brightness_milli,
                           enum fake_sensor_pattern pattern)
{
    const struct paint paint = {canvas, brightness_milli};
    backdrop_draw(&paint, pattern);
    int32_t scale;
    canvas_fill(canvas, text_panel(canvas, &scale), (struct canvas_colour){PANEL_LUMA, 128, 128});
    fake_code_draw_margin(canvas);
}

void scene_draw_frame(struct canvas *canvas, const struct canvas *background,
                      struct scene_dirt *dirt, const struct scene_moment *moment)
{
    for (unsigned i = 0; i < dirt->count; i++)
        canvas_copy(canvas, background, dirt->rect[i]);
    dirt->count = 0;
    if (moment->pattern == FAKE_PATTERN_OFF) {
        const struct paint paint = {canvas, moment->brightness_milli};
        uint64_t travelled_px =
            moment->timestamp_ns / NS_PER_MS * canvas->width / (CROSSING_S * 1000);
        draw_belt(&paint, travelled_px);
        draw_parcels(&paint, dirt, travelled_px);
    }
    draw_text(canvas, moment);
    const struct fake_code code = {.sequence = moment->sequence,
                                   .timestamp_ns = moment->timestamp_ns};
    fake_code_draw(canvas, &code);
}

void scene_draw_torn(struct canvas *canvas)
{
    int32_t from = (int32_t)(canvas->height * 5 / 8) & ~1;
    // All bytes zero, as in memory that the transfer never reached: green.
    canvas_fill(canvas,
                (struct canvas_rect){0, from, (int32_t)canvas->width, (int32_t)canvas->height},
                (struct canvas_colour){0, 0, 0});
}
