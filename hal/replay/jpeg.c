// SPDX-License-Identifier: MIT
#include "hal/replay/jpeg.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#define SCANS_MAX                                                                                  \
    128 /**< progressive files have about ten; thousands are made to waste our time                \
         */

/** libjpeg's view of it is `jpeg`, its first member; static, so that longjmp() finds it as it
 * was. */
static struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char *reason;
    uint8_t row[2][HAL_CAMERA_DIMENSION_MAX * 3];
} decoder;

static _Noreturn void give_up(j_common_ptr info)
{
    char message[JMSG_LENGTH_MAX];
    info->err->format_message(info, message);
    snprintf(decoder.reason, REPLAY_JPEG_ERROR_BYTES, "%s", message);
    longjmp(decoder.escape, 1);
}

static void on_message(j_common_ptr info, int level)
{
    if (level < 0)
        give_up(info);
}

static void on_progress(j_common_ptr info)
{
    (void)info;
    if (decoder.jpeg.input_scan_number <= SCANS_MAX)
        return;
    snprintf(decoder.reason, REPLAY_JPEG_ERROR_BYTES, "more than %d scans", SCANS_MAX);
    longjmp(decoder.escape, 1);
}

static _Noreturn void refuse(const char *reason)
{
    snprintf(decoder.reason, REPLAY_JPEG_ERROR_BYTES, "%s", reason);
    longjmp(decoder.escape, 1);
}

/** Everything below runs under setjmp(). */
static void read_header(const uint8_t *jpeg, size_t bytes)
{
    struct jpeg_decompress_struct *d = &decoder.jpeg;
    if (bytes < 4 || bytes > ULONG_MAX || jpeg[0] != 0xff || jpeg[1] != 0xd8)
        refuse("not a JPEG file");
    jpeg_mem_src(d, jpeg, (unsigned long)bytes);
    jpeg_read_header(d, TRUE);
    if (d->image_width > HAL_CAMERA_DIMENSION_MAX || d->image_height > HAL_CAMERA_DIMENSION_MAX) {
        snprintf(decoder.reason, REPLAY_JPEG_ERROR_BYTES, "%ux%u pixels are more than %dx%d",
                 d->image_width, d->image_height, HAL_CAMERA_DIMENSION_MAX,
                 HAL_CAMERA_DIMENSION_MAX);
        longjmp(decoder.escape, 1);
    }
    if (d->image_width < 2 || d->image_height < 2)
        refuse("smaller than 2x2 pixels");
    switch (d->jpeg_color_space) {
    case JCS_GRAYSCALE: d->out_color_space = JCS_GRAYSCALE; break;
    case JCS_YCbCr: d->out_color_space = JCS_YCbCr; break;
    case JCS_RGB: d->out_color_space = JCS_RGB; break;
    default: refuse("neither grey, YCbCr nor RGB");
    }
}

/** One output row, as Y Cb Cr triples whatever the file has. */
static void read_row(uint8_t *row)
{
    struct jpeg_decompress_struct *d = &decoder.jpeg;
    JSAMPROW rows[1] = {row};
    if (jpeg_read_scanlines(d, rows, 1) != 1)
        refuse("a row is missing");
    uint32_t width = d->output_width;
    if (d->out_color_space == JCS_RGB)
        for (uint32_t x = 0; x < width; x++) {
            struct canvas_colour c = canvas_rgb(row[3 * x], row[3 * x + 1], row[3 * x + 2]);
            row[3 * x] = c.y;
            row[3 * x + 1] = c.u;
            row[3 * x + 2] = c.v;
        }
    if (d->out_color_space == JCS_GRAYSCALE)
        for (uint32_t x = width; x-- > 0;) {
            row[3 * x] = row[x];
            row[3 * x + 1] = row[3 * x + 2] = 128;
        }
}

static uint8_t mean4(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return (uint8_t)((a + b + c + d + 2) / 4);
}

static void store_yuyv(uint8_t *to, const uint8_t *row, uint32_t width)
{
    for (uint32_t x = 0; x < width; x += 2, to += 4, row += 6) {
        to[0] = row[0];
        to[1] = (uint8_t)((row[1] + row[4] + 1) / 2);
        to[2] = row[3];
        to[3] = (uint8_t)((row[2] + row[5] + 1) / 2);
    }
}

static void store_luma(uint8_t *to, const uint8_t *row, uint32_t width)
{
    for (uint32_t x = 0; x < width; x++)
        to[x] = row[3 * x];
}

/** Two rows, from (x, y) on, all even. */
static void store_pair(struct canvas *canvas, uint32_t x, uint32_t y, uint32_t width)
{
    const uint8_t *upper = decoder.row[0], *lower = decoder.row[1];
    uint32_t step = canvas_row_bytes(canvas->format, 1);
    uint8_t *to = canvas->data[0] + (size_t)y * canvas->stride[0] + (size_t)x * step;
    if (canvas->format == HAL_PIXEL_YUYV) {
        store_yuyv(to, upper, width);
        store_yuyv(to + canvas->stride[0], lower, width);
        return;
    }
    store_luma(to, upper, width);
    store_luma(to + canvas->stride[0], lower, width);
    if (canvas->format == HAL_PIXEL_GREY)
        return;
    bool is_planar = canvas->format == HAL_PIXEL_YUV420;
    uint8_t *u = canvas->data[1] + (size_t)(y / 2) * canvas->stride[1] + (is_planar ? x / 2 : x);
    uint8_t *v = is_planar ? canvas->data[2] + (size_t)(y / 2) * canvas->stride[2] + x / 2 : u + 1;
    size_t pitch = is_planar ? 1 : 2;
    for (uint32_t i = 0; i < width / 2; i++, upper += 6, lower += 6) {
        u[i * pitch] = mean4(upper[1], upper[4], lower[1], lower[4]);
        v[i * pitch] = mean4(upper[2], upper[5], lower[2], lower[5]);
    }
}

static void read_picture(struct canvas *canvas)
{
    struct jpeg_decompress_struct *d = &decoder.jpeg;
    uint32_t width = d->image_width & ~1u, height = d->image_height & ~1u;
    if (canvas != NULL && (width > canvas->width || height > canvas->height))
        refuse("larger than its place");
    // Replicated chroma averages back to exactly what the file stores.
    d->do_fancy_upsampling = FALSE;
    jpeg_start_decompress(d);
    uint32_t left = canvas != NULL ? (canvas->width - width) / 2 & ~1u : 0;
    uint32_t top = canvas != NULL ? (canvas->height - height) / 2 & ~1u : 0;
    for (uint32_t y = 0; y < height; y += 2) {
        read_row(decoder.row[0]);
        read_row(decoder.row[1]);
        if (canvas != NULL)
            store_pair(canvas, left, top + y, width);
    }
    if (height < d->output_height)
        read_row(decoder.row[0]);
    jpeg_finish_decompress(d);
}

static void prepare(uint64_t memory_bytes, char error[REPLAY_JPEG_ERROR_BYTES])
{
    memset(&decoder.jpeg, 0, sizeof decoder.jpeg);
    decoder.reason = error;
    error[0] = '\0';
    decoder.jpeg.err = jpeg_std_error(&decoder.errors);
    decoder.errors.error_exit = give_up;
    decoder.errors.emit_message = on_message;
    decoder.progress.progress_monitor = on_progress;
    if (setjmp(decoder.escape) == 0) {
        jpeg_create_decompress(&decoder.jpeg);
        decoder.jpeg.progress = &decoder.progress;
        if (memory_bytes != 0)
            decoder.jpeg.mem->max_memory_to_use =
                (long)base_min_u64(memory_bytes, (uint64_t)LONG_MAX);
    }
}

int replay_jpeg_probe(const uint8_t *jpeg, size_t bytes, uint32_t *width, uint32_t *height,
                      char error[REPLAY_JPEG_ERROR_BYTES])
{
    prepare(0, error);
    if (error[0] == '\0' && setjmp(decoder.escape) == 0) {
        read_header(jpeg, bytes);
        *width = decoder.jpeg.image_width;
        *height = decoder.jpeg.image_height;
    }
    jpeg_destroy_decompress(&decoder.jpeg);
    return error[0] != '\0' ? -EINVAL : 0;
}

int replay_jpeg_decode(const uint8_t *jpeg, size_t bytes, struct canvas *canvas,
                       uint64_t memory_bytes, char error[REPLAY_JPEG_ERROR_BYTES])
{
    prepare(memory_bytes, error);
    if (error[0] == '\0' && setjmp(decoder.escape) == 0) {
        read_header(jpeg, bytes);
        read_picture(canvas);
    }
    jpeg_destroy_decompress(&decoder.jpeg);
    return error[0] != '\0' ? -EINVAL : 0;
}
