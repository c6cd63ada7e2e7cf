// SPDX-License-Identifier: MIT
#include "tools/common/preview.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

enum {
    HEADERS_BYTES = 4096,
    DECODER_BYTES_MAX = 64 << 20, /**< what a progressive picture may need for its coefficients */
};

/** One conversion. libjpeg reports errors by a jump to `failed`. */
struct conversion {
    struct jpeg_error_mgr errors; /**< first member: libjpeg hands it back */
    jmp_buf failed;
    struct jpeg_decompress_struct in;
    struct jpeg_compress_struct out;
    unsigned char *row, *room, *result;
    unsigned long result_bytes;
};

static void fail(j_common_ptr any)
{
    longjmp(((struct conversion *)(void *)any->err)->failed, 1);
}

static void say_nothing(j_common_ptr any)
{
    (void)any;
}

static void begin_decode(struct conversion *c, const uint8_t *jpeg, size_t bytes, unsigned width)
{
    jpeg_mem_src(&c->in, jpeg, bytes);
    jpeg_read_header(&c->in, TRUE);
    if ((uint64_t)c->in.image_width * c->in.image_height > PREVIEW_PIXELS_MAX)
        longjmp(c->failed, 1);
    c->in.mem->max_memory_to_use = DECODER_BYTES_MAX;
    c->in.scale_denom = 8;
    c->in.scale_num = 8;
    while (c->in.scale_num > 1 && (c->in.image_width * c->in.scale_num + 7) / 8 > width)
        c->in.scale_num--;
    // Both sides work in YCbCr: no pixel is converted to RGB and back.
    c->in.out_color_space = c->in.num_components == 1 ? JCS_GRAYSCALE : JCS_YCbCr;
    c->in.dct_method = JDCT_IFAST;
    c->in.do_fancy_upsampling = FALSE;
    jpeg_start_decompress(&c->in);
}

static void begin_encode(struct conversion *c, unsigned quality)
{
    // Room for the raw picture: libjpeg then never grows a buffer of its own, which a jump would
    // lose.
    c->result_bytes = (unsigned long)c->in.output_width * c->in.output_height *
                          (unsigned)c->in.output_components +
                      HEADERS_BYTES;
    c->result = c->room = malloc(c->result_bytes);
    if (c->room == NULL)
        longjmp(c->failed, 1);
    jpeg_mem_dest(&c->out, &c->result, &c->result_bytes);
    c->out.image_width = c->in.output_width;
    c->out.image_height = c->in.output_height;
    c->out.input_components = c->in.output_components;
    c->out.in_color_space = c->in.out_color_space;
    jpeg_set_defaults(&c->out);
    jpeg_set_quality(&c->out, (int)quality, TRUE);
    jpeg_start_compress(&c->out, TRUE);
}

static void convert(struct conversion *c)
{
    const size_t row_bytes = (size_t)c->in.output_width * (unsigned)c->in.output_components;
    c->row = malloc(row_bytes);
    if (c->row == NULL)
        longjmp(c->failed, 1);
    while (c->in.output_scanline < c->in.output_height) {
        jpeg_read_scanlines(&c->in, &c->row, 1);
        jpeg_write_scanlines(&c->out, &c->row, 1);
    }
    jpeg_finish_compress(&c->out);
}

/** True: the result is there. What is set here is read by the caller only, behind the jump. */
static bool run(struct conversion *c, const uint8_t *jpeg, size_t bytes, unsigned width,
                unsigned quality)
{
    if (setjmp(c->failed) != 0)
        return false;
    jpeg_create_decompress(&c->in);
    jpeg_create_compress(&c->out);
    begin_decode(c, jpeg, bytes, width);
    begin_encode(c, quality);
    convert(c);
    return true;
}

uint8_t *preview_make(const uint8_t *jpeg, size_t jpeg_bytes, unsigned width, unsigned quality,
                      size_t *bytes)
{
    struct conversion c = {.row = NULL};
    c.in.err = c.out.err = jpeg_std_error(&c.errors);
    c.errors.error_exit = fail;
    c.errors.output_message = say_nothing;
    uint8_t *result = run(&c, jpeg, jpeg_bytes, width, quality) ? c.result : NULL;
    *bytes = c.result_bytes;
    jpeg_destroy_decompress(&c.in);
    jpeg_destroy_compress(&c.out);
    free(c.row);
    if (result != c.room)
        free(c.room);
    return result;
}
