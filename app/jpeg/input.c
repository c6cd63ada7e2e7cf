// SPDX-License-Identifier: MIT
// Row pointers for the transform, which reads whole 8x8 blocks: rows below the picture repeat the
// last row (the same pointer again), and where a plane's width is no multiple of 8 the row is
// copied so that its last sample can be repeated, exactly as libjpeg pads its own input.
#include "app/jpeg/private.h"

#include <errno.h>
#include <string.h>

#define CHROMA_ROWS 8u

static uint32_t blocks8(uint32_t samples)
{
    return (samples + 7u) & ~7u;
}

/** Cache lines, so that vector stores of neighbouring rows do not share one. */
static uint32_t lines64(uint32_t bytes)
{
    return (bytes + 63u) & ~63u;
}

static const struct {
    const char *name;
    uint8_t planes;
    struct {
        uint8_t pair_bytes;   /**< of two columns of the picture */
        uint8_t rows_divisor; /**< rows of the picture for each row of the plane */
    } plane[JPEG_PLANES_MAX];
} layouts[JPEG_FORMATS] = {
    [JPEG_FORMAT_YUV420] = {"YUV420", 3, {{2, 1}, {1, 2}, {1, 2}}},
    [JPEG_FORMAT_NV12] = {"NV12", 2, {{2, 1}, {2, 2}}},
    [JPEG_FORMAT_YUYV] = {"YUYV", 1, {{4, 1}}},
    [JPEG_FORMAT_GREY] = {"GREY", 1, {{2, 1}}},
};

const char *jpeg_input_format_name(enum jpeg_format format)
{
    return format < JPEG_FORMATS ? layouts[format].name : "?";
}

static bool has_planes(const struct jpeg_picture *picture)
{
    for (unsigned i = 0; i < layouts[picture->format].planes; i++) {
        const struct jpeg_plane *plane = &picture->plane[i];
        uint32_t bytes = picture->width / 2 * layouts[picture->format].plane[i].pair_bytes;
        uint32_t rows = picture->height / layouts[picture->format].plane[i].rows_divisor;
        if (plane->data == NULL || plane->stride < bytes || plane->rows < rows)
            return false;
    }
    return true;
}

int jpeg_input_init(struct jpeg_input *input, const struct jpeg_picture *picture,
                    enum jpeg_chroma chroma, uint8_t *scratch)
{
    uint32_t w = picture->width, h = picture->height;
    if (picture->format >= JPEG_FORMATS || w < 2 || h < 2 || w % 2 || h % 2 ||
        w > JPEG_DIMENSION_MAX || h > JPEG_DIMENSION_MAX || !has_planes(picture))
        return -EINVAL;
    bool is_422 = picture->format == JPEG_FORMAT_YUYV && chroma == JPEG_CHROMA_422;
    bool is_grey = picture->format == JPEG_FORMAT_GREY;
    input->picture = *picture;
    input->mcu_rows = is_422 || is_grey ? 8 : 16;
    input->chroma_rows = is_grey ? 0 : CHROMA_ROWS;
    input->luma_stride = lines64(w);
    input->chroma_stride = lines64(w / 2);
    input->scratch = scratch;
    return 0;
}

static uint8_t *scratch_luma(const struct jpeg_input *input, uint32_t i)
{
    return input->scratch + (size_t)i * input->luma_stride;
}

/** Chroma follows luma, so a narrow picture touches few pages. 8 rows of U, then 8 of V. */
static uint8_t *scratch_chroma(const struct jpeg_input *input, uint32_t plane, uint32_t i)
{
    return input->scratch + 16 * (size_t)input->luma_stride +
           (size_t)(plane * CHROMA_ROWS + i) * input->chroma_stride;
}

static const uint8_t *plane_row(const struct jpeg_plane *plane, uint32_t row)
{
    return plane->data + (size_t)row * plane->stride;
}

static void repeat_last(uint8_t *row, uint32_t samples)
{
    if (samples % 8)
        memset(row + samples, row[samples - 1], blocks8(samples) - samples);
}

static const uint8_t *padded_row(const struct jpeg_plane *plane, uint32_t row, uint32_t samples,
                                 uint8_t *scratch)
{
    const uint8_t *in = plane_row(plane, row);
    if (samples % 8 == 0)
        return in;
    memcpy(scratch, in, samples);
    repeat_last(scratch, samples);
    return scratch;
}

static void fill_luma(struct jpeg_input *input, uint32_t row, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++)
        input->luma[i] = padded_row(&input->picture.plane[0], row + i, input->picture.width,
                                    scratch_luma(input, i));
}

static void fill_planes(struct jpeg_input *input, uint32_t row, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t w = input->picture.width / 2;
        input->u[i] = padded_row(&input->picture.plane[1], row + i, w, scratch_chroma(input, 0, i));
        input->v[i] = padded_row(&input->picture.plane[2], row + i, w, scratch_chroma(input, 1, i));
    }
}

static void use_scratch_chroma(struct jpeg_input *input, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        input->u[i] = scratch_chroma(input, 0, i);
        input->v[i] = scratch_chroma(input, 1, i);
    }
}

static void pad_chroma(struct jpeg_input *input, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        repeat_last(scratch_chroma(input, 0, i), input->picture.width / 2);
        repeat_last(scratch_chroma(input, 1, i), input->picture.width / 2);
    }
}

static void use_scratch_luma(struct jpeg_input *input, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        input->luma[i] = scratch_luma(input, i);
        repeat_last(scratch_luma(input, i), input->picture.width);
    }
}

static void fill_nv12_chroma(struct jpeg_input *input, uint32_t row, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++)
        jpeg_unpack_uv(plane_row(&input->picture.plane[1], row + i), scratch_chroma(input, 0, i),
                       scratch_chroma(input, 1, i), input->picture.width / 2);
    use_scratch_chroma(input, rows);
    pad_chroma(input, rows);
}

static void fill_yuyv_422(struct jpeg_input *input, uint32_t row, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++)
        jpeg_unpack_yuyv(plane_row(&input->picture.plane[0], row + i), scratch_luma(input, i),
                         scratch_chroma(input, 0, i), scratch_chroma(input, 1, i),
                         input->picture.width / 2);
    use_scratch_luma(input, rows);
    use_scratch_chroma(input, rows);
    pad_chroma(input, rows);
}

/** libjpeg repeats samples before it averages two rows, so the halves round alternately here as
 * well. */
static void pad_averaged_chroma(struct jpeg_input *input, const uint8_t *const in[2], uint32_t i)
{
    uint32_t samples = input->picture.width / 2;
    if (samples % 8 == 0)
        return;
    const uint8_t *a = in[0] + 4 * (samples - 1), *b = in[1] + 4 * (samples - 1);
    for (uint32_t x = samples; x < blocks8(samples); x++) {
        scratch_chroma(input, 0, i)[x] = jpeg_unpack_mean(a[1], b[1], x);
        scratch_chroma(input, 1, i)[x] = jpeg_unpack_mean(a[3], b[3], x);
    }
}

static void fill_yuyv_420(struct jpeg_input *input, uint32_t row, uint32_t rows)
{
    use_scratch_chroma(input, rows / 2);
    for (uint32_t i = 0; i < rows; i += 2) {
        const uint8_t *in[2] = {plane_row(&input->picture.plane[0], row + i),
                                plane_row(&input->picture.plane[0], row + i + 1)};
        uint8_t *luma[2] = {scratch_luma(input, i), scratch_luma(input, i + 1)};
        jpeg_unpack_yuyv2(in, luma, scratch_chroma(input, 0, i / 2),
                          scratch_chroma(input, 1, i / 2), input->picture.width / 2);
        pad_averaged_chroma(input, in, i / 2);
    }
    use_scratch_luma(input, rows);
}

static void repeat_rows(const uint8_t **rows, uint32_t have, uint32_t want)
{
    for (uint32_t i = have; i < want; i++)
        rows[i] = rows[have - 1];
}

/** A camera's frame is always cold, and no hardware prefetcher follows sixteen rows at once. While
 * an MCU row is coded, the next one's cache lines are asked for, some with each MCU. */
static void set_ahead(struct jpeg_input *input, uint32_t row)
{
    uint32_t rows = base_min_u32(input->mcu_rows, input->picture.height - row);
    bool is_halved = input->mcu_rows == 16;
    input->ahead_count = rows > 0 ? layouts[input->picture.format].planes : 0;
    for (unsigned i = 0; i < input->ahead_count; i++) {
        const struct jpeg_plane *plane = &input->picture.plane[i];
        uint32_t plane_rows = i > 0 && is_halved ? rows / 2 : rows;
        uint32_t at = i > 0 && is_halved ? row / 2 : row;
        // An MCU is 16 bytes wide; 32 of YUYV, 8 of a chroma plane that is not interleaved.
        uint32_t shift = input->picture.format == JPEG_FORMAT_YUYV              ? 1
                         : i > 0 && input->picture.format == JPEG_FORMAT_YUV420 ? 3
                                                                                : 2;
        input->ahead[i] = (struct jpeg_ahead){
            .first = plane_row(plane, at),
            .stride = plane->stride,
            .line_shift = shift,
            .lines_per_mcu = plane_rows >> shift,
        };
    }
}

void jpeg_input_fill(struct jpeg_input *input, uint32_t row)
{
    uint32_t rows = base_min_u32(input->mcu_rows, input->picture.height - row);
    uint32_t chroma_rows = input->mcu_rows == 16 ? rows / 2 : rows;
    set_ahead(input, row + rows);
    switch (input->picture.format) {
    case JPEG_FORMAT_YUV420:
        fill_luma(input, row, rows);
        fill_planes(input, row / 2, chroma_rows);
        break;
    case JPEG_FORMAT_NV12:
        fill_luma(input, row, rows);
        fill_nv12_chroma(input, row / 2, chroma_rows);
        break;
    case JPEG_FORMAT_YUYV:
        if (input->mcu_rows == 16)
            fill_yuyv_420(input, row, rows);
        else
            fill_yuyv_422(input, row, rows);
        break;
    default: fill_luma(input, row, rows); break;
    }
    repeat_rows(input->luma, rows, input->mcu_rows);
    if (input->chroma_rows) {
        repeat_rows(input->u, chroma_rows, CHROMA_ROWS);
        repeat_rows(input->v, chroma_rows, CHROMA_ROWS);
    }
}
