// SPDX-License-Identifier: MIT
// Reaches: hal/replay/jpeg.c
// The replay camera's decoder on hostile files. The first byte chooses the format and how much
// larger than the photograph its place is; the rest is the file.
#include <stdlib.h>
#include <string.h>

#include "hal/replay/jpeg.h"

#define PIXELS_MAX (512u * 512u) /**< keeps one input within milliseconds */
#define GUARD      64
#define GUARD_BYTE 0xA7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void decode(const uint8_t *jpeg, size_t bytes, struct canvas canvas, uint32_t padding)
{
    char error[REPLAY_JPEG_ERROR_BYTES];
    uint32_t stride = canvas_row_bytes(canvas.format, canvas.width) + padding;
    size_t size = canvas_layout(&canvas, NULL, stride);
    uint8_t *memory = malloc(size + GUARD);
    if (memory == NULL)
        abort();
    memset(memory, GUARD_BYTE, size + GUARD);
    canvas_layout(&canvas, memory, stride);
    replay_jpeg_decode(jpeg, bytes, &canvas, 64u << 20, error);
    for (size_t i = size; i < size + GUARD; i++)
        if (memory[i] != GUARD_BYTE)
            abort();
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char error[REPLAY_JPEG_ERROR_BYTES];
    uint32_t width, height;
    if (bytes < 1)
        return 0;
    uint8_t choice = *data;
    if (replay_jpeg_probe(data + 1, bytes - 1, &width, &height, error) != 0) {
        if (error[0] == '\0')
            abort(); // a refusal without a reason
        return 0;
    }
    if (width < 2 || height < 2 || width > HAL_CAMERA_DIMENSION_MAX ||
        height > HAL_CAMERA_DIMENSION_MAX)
        abort();
    if ((uint64_t)width * height > PIXELS_MAX)
        return 0;
    uint32_t larger = choice >> 2 & 15;
    struct canvas canvas = {.format = (enum hal_pixel_format)(HAL_PIXEL_YUV420 + choice % 4),
                            .width = (width & ~1u) + 2 * larger,
                            .height = (height & ~1u) + 2 * (larger & 3)};
    decode(data + 1, bytes - 1, canvas, choice >> 6);
    replay_jpeg_decode(data + 1, bytes - 1, NULL, 64u << 20, error);
    return 0;
}
