// SPDX-License-Identifier: MIT
#include "hal/fake/backdrop.h"

#define HORIZON   600 /**< thousandths of the height, as all places here */
#define CHART_TOP 790
#define SUN_X     700
#define SUN_Y     470

static uint32_t sky_colour(int32_t y, int32_t horizon)
{
    static const struct {
        int32_t at;
        uint32_t rgb;
    } stop[] = {{0, 0x1c2f63}, {400, 0x4f6fb2}, {700, 0xc79bb0}, {900, 0xf6b98a}, {1000, 0xffd9a6}};
    int32_t milli = (int32_t)((int64_t)y * 1000 / horizon);
    for (size_t i = 1; i < ARRAY_SIZE(stop); i++)
        if (milli <= stop[i].at)
            return paint_mix(stop[i - 1].rgb, stop[i].rgb,
                             (milli - stop[i - 1].at) * 256 / (stop[i].at - stop[i - 1].at));
    return stop[ARRAY_SIZE(stop) - 1].rgb;
}

static void draw_sky(const struct paint *paint)
{
    int32_t width = (int32_t)paint->canvas->width, horizon = paint_y(paint, HORIZON);
    for (int32_t y = 0; y < paint_y(paint, CHART_TOP); y += 2)
        paint_rect(paint, 0, y, width, 2, sky_colour(y, horizon));
}

static void draw_sun(const struct paint *paint)
{
    int32_t horizon = paint_y(paint, HORIZON);
    int32_t x0 = paint_x(paint, SUN_X), y0 = paint_y(paint, SUN_Y);
    int32_t disc = paint_y(paint, 60), glow = disc * 4;
    int64_t limit = (int64_t)glow * glow;
    for (int32_t dy = -glow; dy < glow; dy += 2)
        for (int32_t dx = -glow; dx < glow; dx += 2) {
            int64_t distance = (int64_t)dx * dx + (int64_t)dy * dy;
            if (distance >= limit || y0 + dy < 0)
                continue;
            int32_t part = (int32_t)((limit - distance) * 256 / limit);
            part = part * part / 256 * part / 256 * 5 / 8;
            uint32_t sky = sky_colour(y0 + dy, horizon);
            paint_rect(paint, x0 + dx, y0 + dy, 2, 2, paint_mix(sky, 0xfff3d0, part));
        }
    paint_disc(paint, x0, y0, disc, 0xfff6dc);
}

static void draw_hills(const struct paint *paint)
{
    static const struct {
        int32_t base, high, wave, phase;
        uint32_t top, foot;
    } range[] = {
        {505, 60, 700, 130, 0x9c86ac, 0xc79fae},
        {555, 55, 1150, 400, 0x66628f, 0x8a7ba0},
        {610, 40, 1700, 900, 0x33456a, 0x3f5a72},
    };
    int32_t width = (int32_t)paint->canvas->width;
    int32_t foot = paint_y(paint, BACKDROP_BELT_TOP + BACKDROP_BELT_HIGH + 60);
    for (size_t i = 0; i < ARRAY_SIZE(range); i++)
        for (int32_t x = 0; x < width; x += 2) {
            int32_t a = (int32_t)((int64_t)x * range[i].wave / width) + range[i].phase;
            int32_t wave = paint_sine(a) * 5 + paint_sine(a * 2 + 77) * 2 + paint_sine(a * 5 + 300);
            int32_t top = paint_y(paint, range[i].base - range[i].high * wave / (256 * 8));
            int32_t step = paint_y(paint, 40) + 2;
            for (int32_t y = top; y < foot; y += step) {
                int32_t part = (y - top) * 256 / (foot - top);
                paint_rect(paint, x, y, 2, y + step < foot ? step : foot - y,
                           paint_mix(range[i].top, range[i].foot, part));
            }
        }
}

static void draw_conveyor(const struct paint *paint)
{
    int32_t width = (int32_t)paint->canvas->width;
    int32_t top = paint_y(paint, BACKDROP_BELT_TOP + BACKDROP_BELT_HIGH);
    int32_t bottom = paint_y(paint, CHART_TOP - 24), high = bottom - top;
    paint_rect(paint, 0, top, width, high, 0xb9bfc8);
    paint_rect(paint, 0, top, width, high / 6, 0xdfe3e8);
    paint_rect(paint, 0, bottom - high / 5, width, high / 5, 0x8b929d);
    for (int32_t i = 0; i < 12; i++) {
        int32_t x = width * (2 * i + 1) / 24 & ~1, y = top + (high / 2 & ~1);
        paint_disc(paint, x, y, high / 4, 0x6c7480);
        paint_disc(paint, x, y, high / 10, 0xdfe3e8);
    }
    paint_rect(paint, 0, bottom, width, paint_y(paint, CHART_TOP) - bottom, 0x14171d);
}

static int32_t glyph_bit(const uint8_t *glyph, int32_t column, int32_t row)
{
    bool is_inside =
        column >= 0 && column < CANVAS_GLYPH_COLUMNS && row >= 0 && row < CANVAS_GLYPH_ROWS;
    return is_inside ? glyph[row] >> (CANVAS_GLYPH_COLUMNS - 1 - column) & 1 : 0;
}

/** A glyph much enlarged: between the centres of the font's pixels the ink is interpolated, and
 * drawn where there is enough of it. That rounds corners and joins diagonals. */
static void draw_smooth_glyph(const struct paint *paint, int32_t left, int32_t top, int32_t scale,
                              const uint8_t *glyph, uint8_t luma)
{
    for (int32_t y = -scale; y < (CANVAS_GLYPH_ROWS + 1) * scale; y++)
        for (int32_t x = -scale; x < (CANVAS_GLYPH_COLUMNS + 1) * scale; x++) {
            // In 1/256 of a font pixel, from the centre of the pixel at (-2, -2) to stay positive.
            int32_t u = (2 * x + 1) * 128 / scale + 384, v = (2 * y + 1) * 128 / scale + 384;
            int32_t column = u / 256 - 2, row = v / 256 - 2, du = u % 256, dv = v % 256;
            int32_t upper =
                glyph_bit(glyph, column, row) * (256 - du) + glyph_bit(glyph, column + 1, row) * du;
            int32_t lower = glyph_bit(glyph, column, row + 1) * (256 - du) +
                            glyph_bit(glyph, column + 1, row + 1) * du;
            if (upper * (256 - dv) + lower * dv > 256 * 256 * 4 / 9)
                canvas_fill_luma(paint->canvas, (struct canvas_rect){left + x, top + y, 1, 1},
                                 luma);
        }
}

static void draw_title(const struct paint *paint)
{
    static const char title[] = "PINHOLE";
    int32_t glyphs = (int32_t)sizeof title - 1;
    int32_t scale = (int32_t)paint->canvas->width * 36 / 100 / (glyphs * CANVAS_GLYPH_PITCH);
    if (scale < 1)
        return;
    uint8_t luma = paint_colour(paint, 0xf0f0f0).y;
    for (int32_t i = 0; i < glyphs; i++)
        draw_smooth_glyph(paint, paint_x(paint, 50) + i * CANVAS_GLYPH_PITCH * scale,
                          paint_y(paint, 360), scale, canvas_glyph(title[i]), luma);
}

static const uint32_t bar_colours[] = {0xffffff, 0xffe000, 0x00d8e0, 0x10c020,
                                       0xd020c0, 0xe02018, 0x1838d8, 0x000000};

static void draw_bars(const struct paint *paint, struct canvas_rect box)
{
    int32_t count = (int32_t)ARRAY_SIZE(bar_colours);
    for (int32_t i = 0; i < count; i++) {
        int32_t from = box.w * i / count & ~1, to = box.w * (i + 1) / count & ~1;
        paint_rect(paint, box.x + from, box.y, to - from, box.h, bar_colours[i]);
    }
}

static void draw_greys(const struct paint *paint, struct canvas_rect box)
{
    const int32_t steps = 11;
    int32_t upper = box.h / 2 & ~1;
    for (int32_t i = 0; i < steps; i++) {
        int32_t from = box.w * i / steps & ~1, to = box.w * (i + 1) / steps & ~1;
        uint32_t level = (uint32_t)(255 * i / (steps - 1));
        paint_rect(paint, box.x + from, box.y, to - from, upper, level * 0x010101);
    }
    for (int32_t x = 0; x < box.w; x += 2) {
        uint32_t level = (uint32_t)(255 - 255 * x / box.w);
        paint_rect(paint, box.x + x, box.y + upper, 2, box.h - upper, level * 0x010101);
    }
}

/** Rings whose frequency rises with the radius up to what the pixels can carry. */
static void draw_zone_plate(const struct paint *paint, struct canvas_rect box)
{
    int32_t half = (box.w < box.h ? box.w : box.h) / 2;
    for (int32_t y = -half; y < half; y++)
        for (int32_t x = -half; x < half; x++) {
            // The phase r^2 / 4 half turns per diameter: one turn per 4 px at the rim.
            int32_t angle = (int32_t)((int64_t)(x * x + y * y) * 128 / (half ? half : 1)) + 256;
            uint32_t level = (uint32_t)(128 + paint_sine(angle) * 110 / 256);
            uint8_t luma = paint_colour(paint, level * 0x010101).y;
            canvas_fill_luma(paint->canvas,
                             (struct canvas_rect){box.x + half + x, box.y + half + y, 1, 1}, luma);
        }
}

/** Groups of lines 1, 2, 3, 4 pixels wide, upright and lying. */
static void draw_lines(const struct paint *paint, struct canvas_rect box)
{
    uint8_t dark = paint_colour(paint, 0x181818).y;
    int32_t group = box.w / 4 & ~1, upper = box.h / 2 & ~1;
    paint_rect(paint, box.x, box.y, box.w, box.h, 0xe8e8e8);
    for (int32_t i = 0; i < 4; i++) {
        int32_t thick = i + 1, x0 = box.x + i * group;
        for (int32_t x = 0; x + thick <= group - 4; x += 2 * thick)
            canvas_fill_luma(paint->canvas, (struct canvas_rect){x0 + x, box.y, thick, upper - 2},
                             dark);
        for (int32_t y = 2; y + thick <= box.h - upper; y += 2 * thick)
            canvas_fill_luma(paint->canvas,
                             (struct canvas_rect){x0, box.y + upper + y, group - 4, thick}, dark);
    }
}

static void draw_chart(const struct paint *paint)
{
    int32_t width = (int32_t)paint->canvas->width, top = paint_y(paint, CHART_TOP);
    paint_rect(paint, 0, top, width, (int32_t)paint->canvas->height - top, 0x23272f);
    int32_t y = paint_y(paint, CHART_TOP + 30), h = paint_y(paint, 970) - y;
    int32_t plate = h & ~1, right = paint_x(paint, 980) - plate, left = paint_x(paint, 20);
    int32_t gap = paint_x(paint, 15), third = ((right - left) / 3 - gap) & ~1;
    draw_bars(paint, (struct canvas_rect){left, y, third, h});
    draw_greys(paint, (struct canvas_rect){left + third + gap, y, third, h});
    draw_lines(paint, (struct canvas_rect){left + 2 * (third + gap), y, third, h});
    paint_rect(paint, right, y, plate, plate, 0x808080);
    draw_zone_plate(paint, (struct canvas_rect){right, y, plate, plate});
}

static void draw_noise(const struct paint *paint)
{
    int32_t width = (int32_t)paint->canvas->width, height = (int32_t)paint->canvas->height;
    uint32_t state = 0x2545F491;
    paint_rect(paint, 0, 0, width, height, 0x808080);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            uint8_t luma = paint_colour(paint, (state >> 24) * 0x010101).y;
            canvas_fill_luma(paint->canvas, (struct canvas_rect){x, y, 1, 1}, luma);
        }
}

void backdrop_draw(const struct paint *paint, enum fake_sensor_pattern pattern)
{
    struct canvas_rect all = {0, 0, (int32_t)paint->canvas->width, (int32_t)paint->canvas->height};
    if (pattern == FAKE_PATTERN_BARS) {
        draw_bars(paint, all);
        return;
    }
    if (pattern == FAKE_PATTERN_NOISE) {
        draw_noise(paint);
        return;
    }
    draw_sky(paint);
    draw_sun(paint);
    draw_hills(paint);
    draw_conveyor(paint);
    draw_chart(paint);
    draw_title(paint);
}
