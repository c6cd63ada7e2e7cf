// SPDX-License-Identifier: MIT
#include "hal/fake/code.h"

#include <errno.h>
#include <string.h>

#define SYNC         0xB14Cu
#define CELLS        (FAKE_CODE_COLUMNS * FAKE_CODE_ROWS)
#define WHITE        235
#define BLACK        16
#define MARGIN       72
#define CONTRAST_MIN 64 /**< between the darkest and the lightest cell; a real code has 219 */

_Static_assert(CELLS == FAKE_CODE_BYTES * 8, "the strip holds exactly one code");

uint32_t fake_code_cell(uint32_t width, uint32_t height)
{
    if (width >= 1600 && height >= 600)
        return 16;
    if (width >= 320 && height >= 240)
        return 8;
    return width >= 144 && height >= 64 ? 4 : 0;
}

static uint16_t crc16(const uint8_t *data, size_t bytes)
{
    uint32_t crc = 0xFFFF;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= (uint32_t)data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xFFFF;
    }
    return (uint16_t)crc;
}

static void put(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static uint64_t take(const uint8_t *in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | in[i];
    return value;
}

void fake_code_pack(const struct fake_code *code, uint8_t out[FAKE_CODE_BYTES])
{
    put(out, SYNC, 2);
    put(out + 2, code->sequence, 4);
    put(out + 6, code->timestamp_ns, 8);
    put(out + 14, crc16(out + 2, 12), 2);
}

void fake_code_draw_margin(struct canvas *canvas)
{
    int32_t cell = (int32_t)fake_code_cell(canvas->width, canvas->height);
    struct canvas_rect all = {0, 0, (FAKE_CODE_COLUMNS + 2) * cell, (FAKE_CODE_ROWS + 2) * cell};
    canvas_fill(canvas, all, (struct canvas_colour){MARGIN, 128, 128});
}

void fake_code_draw(struct canvas *canvas, const struct fake_code *code)
{
    int32_t cell = (int32_t)fake_code_cell(canvas->width, canvas->height);
    if (cell == 0)
        return;
    uint8_t bits[FAKE_CODE_BYTES];
    fake_code_pack(code, bits);
    for (int32_t i = 0; i < CELLS; i++) {
        bool is_white = bits[i / 8] >> (7 - i % 8) & 1;
        struct canvas_rect rect = {(1 + i % FAKE_CODE_COLUMNS) * cell,
                                   (1 + i / FAKE_CODE_COLUMNS) * cell, cell, cell};
        canvas_fill_luma(canvas, rect, is_white ? WHITE : BLACK);
    }
}

struct plane {
    const uint8_t *luma;
    size_t stride, pixel_bytes;
    uint32_t width, height;
    bool hflip, vflip;
};

/** Mean of the middle half of a cell: its rim belongs to the ringing of its neighbours. */
static uint8_t cell_mean(const struct plane *p, uint32_t left, uint32_t top, uint32_t cell)
{
    uint32_t sum = 0, count = 0;
    for (uint32_t y = top + cell / 4; y < top + cell - cell / 4; y++)
        for (uint32_t x = left + cell / 4; x < left + cell - cell / 4; x++, count++) {
            uint32_t px = p->hflip ? p->width - 1 - x : x, py = p->vflip ? p->height - 1 - y : y;
            sum += p->luma[py * p->stride + px * p->pixel_bytes];
        }
    return (uint8_t)(sum / count);
}

static int read_upright(const struct plane *p, struct fake_code *out)
{
    uint32_t cell = fake_code_cell(p->width, p->height);
    uint8_t mean[CELLS], low = 255, high = 0;
    for (uint32_t i = 0; i < CELLS; i++) {
        mean[i] = cell_mean(p, (1 + i % FAKE_CODE_COLUMNS) * cell,
                            (1 + i / FAKE_CODE_COLUMNS) * cell, cell);
        low = mean[i] < low ? mean[i] : low;
        high = mean[i] > high ? mean[i] : high;
    }
    if (high - low < CONTRAST_MIN)
        return -ENOENT;
    uint8_t bits[FAKE_CODE_BYTES] = {0};
    for (uint32_t i = 0; i < CELLS; i++)
        if (mean[i] > (low + high) / 2)
            bits[i / 8] |= (uint8_t)(0x80 >> i % 8);
    if (take(bits, 2) != SYNC)
        return -ENOENT;
    if (take(bits + 14, 2) != crc16(bits + 2, 12))
        return -EBADMSG;
    *out = (struct fake_code){.sequence = (uint32_t)take(bits + 2, 4),
                              .timestamp_ns = take(bits + 6, 8),
                              .hflip = p->hflip,
                              .vflip = p->vflip};
    return 0;
}

int fake_code_read(const uint8_t *luma, size_t stride, size_t pixel_bytes, uint32_t width,
                   uint32_t height, struct fake_code *out)
{
    if (fake_code_cell(width, height) == 0)
        return -ENOENT;
    int result = -ENOENT;
    for (unsigned way = 0; way < 4; way++) {
        struct plane plane = {luma, stride, pixel_bytes, width, height, way & 1, way & 2};
        int got = read_upright(&plane, out);
        if (got == 0)
            return 0;
        if (got == -EBADMSG)
            result = -EBADMSG;
    }
    return result;
}
