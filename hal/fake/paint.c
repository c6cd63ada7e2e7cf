// SPDX-License-Identifier: MIT
#include "hal/fake/paint.h"

static uint32_t lit(uint32_t value, uint32_t brightness_milli)
{
    return base_min_u32((uint32_t)((uint64_t)value * brightness_milli / 1000), 255);
}

struct canvas_colour paint_colour(const struct paint *paint, uint32_t rgb)
{
    uint32_t light = paint->brightness_milli;
    return canvas_rgb(lit(rgb >> 16 & 255, light), lit(rgb >> 8 & 255, light),
                      lit(rgb & 255, light));
}

uint32_t paint_mix(uint32_t a, uint32_t b, int32_t part)
{
    uint32_t out = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
        int32_t from = (int32_t)(a >> shift & 255), to = (int32_t)(b >> shift & 255);
        out |= (uint32_t)(from + (to - from) * part / 256) << shift;
    }
    return out;
}

void paint_rect(const struct paint *paint, int32_t x, int32_t y, int32_t w, int32_t h, uint32_t rgb)
{
    canvas_fill(paint->canvas, (struct canvas_rect){x, y, w, h}, paint_colour(paint, rgb));
}

void paint_disc(const struct paint *paint, int32_t x, int32_t y, int32_t radius, uint32_t rgb)
{
    int32_t half = radius;
    for (int32_t dy = 0; dy <= radius; dy += 2) {
        while (half > 0 && half * half + dy * dy > radius * radius)
            half--;
        paint_rect(paint, x - half, y - dy - 2, 2 * half, 2, rgb);
        paint_rect(paint, x - half, y + dy, 2 * half, 2, rgb);
    }
}

int32_t paint_x(const struct paint *paint, int32_t milli)
{
    return (int32_t)((int64_t)paint->canvas->width * milli / 1000) & ~1;
}

int32_t paint_y(const struct paint *paint, int32_t milli)
{
    return (int32_t)((int64_t)paint->canvas->height * milli / 1000) & ~1;
}

/** One parabola per half turn, then pulled towards the sine: within 0.2 %. */
int32_t paint_sine(int32_t angle)
{
    int32_t t = angle & 511;
    int32_t parabola = t * (512 - t) / 256; // 0..256
    int32_t value = (parabola * 199 + parabola * parabola / 256 * 57) / 256;
    return angle & 512 ? -value : value;
}
