// SPDX-License-Identifier: MIT
#include "hal/fake/canvas.h"

#include <string.h>

struct box {
    uint32_t left, top, right, bottom;
};

static uint32_t clamp_edge(int64_t at, uint32_t limit)
{
    return at < 0 ? 0 : at > limit ? limit : (uint32_t)at;
}

/** Clips, then mirrors. Edges stay even when they were: width and height are. */
static struct box place(const struct canvas *canvas, struct canvas_rect rect)
{
    struct box box = {
        .left = clamp_edge(rect.x, canvas->width),
        .top = clamp_edge(rect.y, canvas->height),
        .right = clamp_edge((int64_t)rect.x + rect.w, canvas->width),
        .bottom = clamp_edge((int64_t)rect.y + rect.h, canvas->height),
    };
    if (box.right < box.left)
        box.right = box.left;
    if (box.bottom < box.top)
        box.bottom = box.top;
    struct box out = box;
    if (canvas->hflip) {
        out.left = canvas->width - box.right;
        out.right = canvas->width - box.left;
    }
    if (canvas->vflip) {
        out.top = canvas->height - box.bottom;
        out.bottom = canvas->height - box.top;
    }
    return out;
}

static struct canvas_rect round_to_even(struct canvas_rect rect)
{
    int32_t right = (rect.x + rect.w) & ~1, bottom = (rect.y + rect.h) & ~1;
    rect.x &= ~1;
    rect.y &= ~1;
    rect.w = right - rect.x;
    rect.h = bottom - rect.y;
    return rect;
}

uint32_t canvas_row_bytes(enum hal_pixel_format format, uint32_t width)
{
    return hal_pixel_format_plane(format, width, 0, 0).stride;
}

size_t canvas_layout(struct canvas *canvas, uint8_t *base, uint32_t luma_stride)
{
    bool is_planar = canvas->format == HAL_PIXEL_YUV420,
         is_semi_planar = canvas->format == HAL_PIXEL_NV12;
    uint32_t chroma_stride = is_planar ? (luma_stride + 1) / 2 : is_semi_planar ? luma_stride : 0;
    uint32_t stride[HAL_CAMERA_PLANES_MAX] = {luma_stride, chroma_stride,
                                              is_planar ? chroma_stride : 0};
    size_t used = 0;
    for (int i = 0; i < HAL_CAMERA_PLANES_MAX; i++) {
        canvas->stride[i] = stride[i];
        canvas->rows[i] = stride[i] == 0 ? 0 : i == 0 ? canvas->height : canvas->height / 2;
        canvas->data[i] = base != NULL && stride[i] != 0 ? base + used : NULL;
        used += (size_t)canvas->stride[i] * canvas->rows[i];
    }
    return (used + 63) & ~(size_t)63;
}

struct canvas_colour canvas_rgb(uint32_t red, uint32_t green, uint32_t blue)
{
    int32_t r = (int32_t)red, g = (int32_t)green, b = (int32_t)blue;
    int32_t u = (-11056 * r - 21712 * g + 32768 * b + 32768) / 65536 + 128;
    int32_t v = (32768 * r - 27440 * g - 5328 * b + 32768) / 65536 + 128;
    return (struct canvas_colour){
        .y = (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) / 65536),
        .u = (uint8_t)(u < 0     ? 0
                       : u > 255 ? 255
                                 : u),
        .v = (uint8_t)(v < 0     ? 0
                       : v > 255 ? 255
                                 : v),
    };
}

static void fill_rows(uint8_t *data, uint32_t stride, uint32_t bytes, uint32_t rows, uint8_t value)
{
    for (uint32_t i = 0; i < rows; i++)
        memset(data + (size_t)i * stride, value, bytes);
}

static void fill_pairs(uint8_t *row, uint32_t pairs, uint8_t first, uint8_t second)
{
    for (uint32_t i = 0; i < pairs; i++) {
        row[2 * i] = first;
        row[2 * i + 1] = second;
    }
}

static void fill_yuyv(struct canvas *canvas, struct box box, struct canvas_colour colour)
{
    const uint8_t unit[4] = {colour.y, colour.u, colour.y, colour.v};
    for (uint32_t y = box.top; y < box.bottom; y++) {
        uint8_t *at = canvas->data[0] + (size_t)y * canvas->stride[0] + (size_t)box.left * 2;
        for (uint32_t x = box.left; x < box.right; x += 2, at += 4)
            memcpy(at, unit, sizeof unit);
    }
}

void canvas_fill(struct canvas *canvas, struct canvas_rect rect, struct canvas_colour colour)
{
    struct box box = place(canvas, round_to_even(rect));
    uint32_t width = box.right - box.left, height = box.bottom - box.top;
    if (canvas->format == HAL_PIXEL_YUYV) {
        fill_yuyv(canvas, box, colour);
        return;
    }
    fill_rows(canvas->data[0] + (size_t)box.top * canvas->stride[0] + box.left, canvas->stride[0],
              width, height, colour.y);
    size_t chroma_row = box.top / 2;
    if (canvas->format == HAL_PIXEL_YUV420) {
        size_t at = chroma_row * canvas->stride[1] + box.left / 2;
        fill_rows(canvas->data[1] + at, canvas->stride[1], width / 2, height / 2, colour.u);
        fill_rows(canvas->data[2] + at, canvas->stride[2], width / 2, height / 2, colour.v);
    } else if (canvas->format == HAL_PIXEL_NV12) {
        uint8_t *at = canvas->data[1] + chroma_row * canvas->stride[1] + box.left;
        for (uint32_t i = 0; i < height / 2; i++)
            fill_pairs(at + (size_t)i * canvas->stride[1], width / 2, colour.u, colour.v);
    }
}

void canvas_fill_luma(struct canvas *canvas, struct canvas_rect rect, uint8_t luma)
{
    struct box box = place(canvas, rect);
    uint32_t width = box.right - box.left;
    uint32_t step = canvas_row_bytes(canvas->format, 1);
    for (uint32_t y = box.top; y < box.bottom; y++) {
        uint8_t *row = canvas->data[0] + (size_t)y * canvas->stride[0] + (size_t)box.left * step;
        if (step == 1)
            memset(row, luma, width);
        else
            for (uint32_t x = 0; x < width; x++)
                row[2 * x] = luma;
    }
}

static void copy_rows(struct canvas *to, const struct canvas *from, int plane, uint32_t first_row,
                      uint32_t rows, size_t offset, size_t bytes)
{
    for (uint32_t i = 0; i < rows; i++) {
        size_t at = (size_t)(first_row + i) * to->stride[plane] + offset;
        memcpy(to->data[plane] + at, from->data[plane] + at, bytes);
    }
}

void canvas_copy(struct canvas *to, const struct canvas *from, struct canvas_rect rect)
{
    rect.w += (rect.x & 1) + 1;
    rect.h += (rect.y & 1) + 1;
    struct box box = place(to, round_to_even(rect));
    uint32_t width = box.right - box.left, height = box.bottom - box.top;
    uint32_t step = canvas_row_bytes(to->format, 1);
    copy_rows(to, from, 0, box.top, height, (size_t)box.left * step, (size_t)width * step);
    if (to->format == HAL_PIXEL_NV12)
        copy_rows(to, from, 1, box.top / 2, height / 2, box.left, width);
    if (to->format == HAL_PIXEL_YUV420) {
        copy_rows(to, from, 1, box.top / 2, height / 2, box.left / 2, width / 2);
        copy_rows(to, from, 2, box.top / 2, height / 2, box.left / 2, width / 2);
    }
}

// --- text ---------------------------------------------------------------------------------------

static const uint8_t letters[26][CANVAS_GLYPH_ROWS] = {
    {0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}, // A
    {0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e}, // B
    {0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e}, // C
    {0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e}, // D
    {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f}, // E
    {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10}, // F
    {0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f}, // G
    {0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}, // H
    {0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e}, // I
    {0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c}, // J
    {0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11}, // K
    {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f}, // L
    {0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11}, // M
    {0x11, 0x11, 0x19, 0x15, 0x13, 0x11, 0x11}, // N
    {0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}, // O
    {0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10}, // P
    {0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d}, // Q
    {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11}, // R
    {0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e}, // S
    {0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}, // T
    {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}, // U
    {0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04}, // V
    {0x11, 0x11, 0x11, 0x15, 0x15, 0x1b, 0x11}, // W
    {0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11}, // X
    {0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04}, // Y
    {0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f}, // Z
};

static const uint8_t digits[10][CANVAS_GLYPH_ROWS] = {
    {0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e}, // 0
    {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e}, // 1
    {0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f}, // 2
    {0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e}, // 3
    {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}, // 4
    {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e}, // 5
    {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e}, // 6
    {0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08}, // 7
    {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e}, // 8
    {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c}, // 9
};

const uint8_t *canvas_glyph(char c)
{
    static const uint8_t colon[] = {0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00};
    static const uint8_t dot[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c};
    static const uint8_t dash[] = {0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00};
    static const uint8_t plus[] = {0x00, 0x04, 0x04, 0x1f, 0x04, 0x04, 0x00};
    static const uint8_t slash[] = {0x01, 0x01, 0x02, 0x04, 0x08, 0x10, 0x10};
    static const uint8_t percent[] = {0x18, 0x19, 0x02, 0x04, 0x08, 0x13, 0x03};
    static const uint8_t blank[CANVAS_GLYPH_ROWS];
    if (c >= 'A' && c <= 'Z')
        return letters[c - 'A'];
    if (c >= '0' && c <= '9')
        return digits[c - '0'];
    switch (c) {
    case ':': return colon;
    case '.': return dot;
    case '-': return dash;
    case '+': return plus;
    case '/': return slash;
    case '%': return percent;
    default: return blank;
    }
}

void canvas_text(struct canvas *canvas, int32_t x, int32_t y, int32_t scale, const char *text,
                 uint8_t luma)
{
    for (; *text != '\0'; text++, x += CANVAS_GLYPH_PITCH * scale) {
        const uint8_t *glyph = canvas_glyph(*text);
        for (int32_t row = 0; row < CANVAS_GLYPH_ROWS; row++)
            for (int32_t column = 0; column < CANVAS_GLYPH_COLUMNS; column++)
                if (glyph[row] >> (CANVAS_GLYPH_COLUMNS - 1 - column) & 1)
                    canvas_fill_luma(
                        canvas,
                        (struct canvas_rect){x + column * scale, y + row * scale, scale, scale},
                        luma);
    }
}
