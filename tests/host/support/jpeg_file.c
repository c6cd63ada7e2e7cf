// SPDX-License-Identifier: MIT
#include "tests/host/support/jpeg_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jpeglib.h>

static const struct {
    J_COLOR_SPACE from, stored;
    int components, sampling;
} kinds[] = {
    [JPEG_FILE_420] = {JCS_YCbCr, JCS_YCbCr, 3, 2},
    [JPEG_FILE_444] = {JCS_YCbCr, JCS_YCbCr, 3, 1},
    [JPEG_FILE_GREY] = {JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1},
    [JPEG_FILE_RGB] = {JCS_RGB, JCS_RGB, 3, 1},
    [JPEG_FILE_CMYK] = {JCS_CMYK, JCS_CMYK, 4, 1},
};

/** Fails the running case instead of ending the program, as libjpeg's own handler does. */
static void on_error(j_common_ptr codec)
{
    char text[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, text);
    jpeg_destroy(codec);
    fail_msg("libjpeg: %s", text);
    exit(1); // outside of a case fail_msg() returns
}

static struct jpeg_error_mgr *use_errors(struct jpeg_error_mgr *errors)
{
    jpeg_std_error(errors);
    errors->error_exit = on_error;
    return errors;
}

struct jpeg_file jpeg_file_encode(enum jpeg_file_kind kind, uint32_t width, uint32_t height,
                                  const uint8_t *pixels, int quality, bool is_progressive)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long bytes = 0;
    c.err = use_errors(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &bytes);
    c.image_width = width;
    c.image_height = height;
    c.input_components = kinds[kind].components;
    c.in_color_space = kinds[kind].from;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, kinds[kind].stored);
    c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = kinds[kind].sampling;
    jpeg_set_quality(&c, quality, TRUE);
    if (is_progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *row = pixels + (size_t)y * width * (unsigned)c.input_components;
        JSAMPROW rows[1] = {(JSAMPROW)(uintptr_t)row};
        jpeg_write_scanlines(&c, rows, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return (struct jpeg_file){data, bytes};
}

static void take_pixel(const struct hal_frame *f, uint32_t x, uint32_t y, uint8_t out[3])
{
    const struct hal_plane *p = f->plane;
    const uint8_t *luma = p[0].data + (size_t)y * p[0].stride;
    size_t row = y / 2;
    out[0] = luma[f->format == HAL_PIXEL_YUYV ? 2 * x : x];
    out[1] = out[2] = 128;
    if (f->format == HAL_PIXEL_YUYV) {
        out[1] = luma[x / 2 * 4 + 1];
        out[2] = luma[x / 2 * 4 + 3];
    } else if (f->format == HAL_PIXEL_NV12) {
        out[1] = p[1].data[row * p[1].stride + x / 2 * 2];
        out[2] = p[1].data[row * p[1].stride + x / 2 * 2 + 1];
    } else if (f->format == HAL_PIXEL_YUV420) {
        out[1] = p[1].data[row * p[1].stride + x / 2];
        out[2] = p[2].data[row * p[2].stride + x / 2];
    }
}

struct jpeg_file jpeg_file_of_frame(const struct hal_frame *frame, int quality)
{
    bool is_grey = frame->format == HAL_PIXEL_GREY;
    uint8_t *pixels = malloc((size_t)frame->width * frame->height * 3), *at = pixels;
    assert_non_null(pixels);
    for (uint32_t y = 0; y < frame->height; y++)
        for (uint32_t x = 0; x < frame->width; x++) {
            uint8_t pixel[3];
            take_pixel(frame, x, y, pixel);
            memcpy(at, pixel, is_grey ? 1 : 3);
            at += is_grey ? 1 : 3;
        }
    struct jpeg_file file = jpeg_file_encode(is_grey ? JPEG_FILE_GREY : JPEG_FILE_420, frame->width,
                                             frame->height, pixels, quality, false);
    free(pixels);
    return file;
}

struct jpeg_file jpeg_file_plain(enum jpeg_file_kind kind, uint32_t width, uint32_t height,
                                 const uint8_t colour[4], bool has_texture)
{
    size_t components = (size_t)kinds[kind].components;
    uint8_t *pixels = malloc((size_t)width * height * components);
    assert_non_null(pixels);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (size_t i = 0; i < components; i++) {
                uint32_t add = has_texture ? (x / 8 * 37 + y / 8 * 61) % 64 : 0;
                pixels[((size_t)y * width + x) * components + i] = (uint8_t)(colour[i] + add);
            }
    struct jpeg_file file = jpeg_file_encode(kind, width, height, pixels, 95, false);
    free(pixels);
    return file;
}

uint8_t *jpeg_file_luma(const struct jpeg_file *file, uint32_t *width, uint32_t *height)
{
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    d.err = use_errors(&errors);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, file->data, (unsigned long)file->bytes);
    jpeg_read_header(&d, TRUE);
    d.out_color_space = JCS_GRAYSCALE;
    jpeg_start_decompress(&d);
    *width = d.output_width;
    *height = d.output_height;
    uint8_t *luma = malloc((size_t)d.output_width * d.output_height);
    assert_non_null(luma);
    while (d.output_scanline < d.output_height) {
        JSAMPROW rows[1] = {luma + (size_t)d.output_scanline * d.output_width};
        jpeg_read_scanlines(&d, rows, 1);
    }
    jpeg_finish_decompress(&d);
    const long warnings = errors.num_warnings;
    jpeg_destroy_decompress(&d);
    assert_int_equal(warnings, 0);
    return luma;
}

void jpeg_file_write(const char *folder, const char *name, const void *data, size_t bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    const size_t written = fwrite(data, 1, bytes, out);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(written, bytes);
}
