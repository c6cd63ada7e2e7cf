// SPDX-License-Identifier: MIT
// A machine-readable mark inside the picture: the frame number and the time of capture. Its strip
// of black and white squares survives JPEG at quality 20. With it a test knows which frame a
// picture shows, whatever the headers around it say.
//
// 32 x 4 cells, row by row, most significant bit first, white = 1:
//   16 bits sync 0xB14C | 32 bits sequence | 64 bits timestamp_ns | 16 bits CRC
// CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF) over the twelve payload bytes. The strip
// starts one cell from the left and top edges, inside a grey margin one cell wide. A cell is a
// multiple of 8 pixels wherever it fits, so that each is whole DCT blocks of its own.
#ifndef PINHOLE_HAL_FAKE_CODE_H
#define PINHOLE_HAL_FAKE_CODE_H

#include "hal/fake/canvas.h"

#define FAKE_CODE_COLUMNS 32
#define FAKE_CODE_ROWS    4
#define FAKE_CODE_BYTES   16

struct fake_code {
    uint32_t sequence;
    uint64_t timestamp_ns;
    bool hflip, vflip; /**< answer of fake_code_read(): the picture was mirrored */
};

/** Pixels per cell: 16 from 1600x600 on, 8 from 320x240 on, 4 from 144x64 on, 0 = too small for a
 * code. Cells of 4 pixels need quality 60 or more. */
uint32_t fake_code_cell(uint32_t width, uint32_t height);

/** The 128 bits. */
void fake_code_pack(const struct fake_code *code, uint8_t out[FAKE_CODE_BYTES]);

/** Draws the margin (once per buffer is enough). Nothing when the picture is too small. */
void fake_code_draw_margin(struct canvas *canvas);
/** Draws the cells. */
void fake_code_draw(struct canvas *canvas, const struct fake_code *code);

/** Finds and checks the code in a luma plane, upright or mirrored. `pixel_bytes` is the distance of
 * neighbouring pixels: 1, or 2 for YUYV. 0, -ENOENT no sync (no code here, or damaged), -EBADMSG
 * the CRC does not match. */
int fake_code_read(const uint8_t *luma, size_t stride, size_t pixel_bytes, uint32_t width,
                   uint32_t height, struct fake_code *out);

#endif
