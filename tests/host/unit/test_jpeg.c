// SPDX-License-Identifier: MIT
// The encoder against libjpeg's own straightforward encode of the same samples: whole pictures
// handed over as interleaved YUV 4:4:4, padding and chroma averaging left to libjpeg.
//   test_jpeg              runs the tests
//   test_jpeg encode N     encodes N frames of each format and nothing else (to count heap calls)
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <cmocka.h>
#undef stop // cmocka 2 has a macro of this name

#include "app/jpeg/private.h"
#include "tests/host/support/picture.h"

static struct jpeg_encoder encoder; /**< static, as in the node */
static const struct jpeg_scan_variant *variant;

/** A sink of blocks that refuses after a given number of them. */
struct blocks {
    uint8_t *memory;
    uint32_t block_bytes, count, given;
};

static uint8_t *give_block(void *user, uint32_t *bytes)
{
    struct blocks *b = user;
    if (b->given == b->count)
        return NULL;
    *bytes = b->block_bytes;
    return b->memory + (size_t)b->block_bytes * b->given++;
}

static struct blocks blocks_new(uint32_t block_bytes, uint32_t count)
{
    struct blocks b = {.block_bytes = block_bytes, .count = count};
    b.memory = malloc((size_t)block_bytes * count + 1);
    assert_non_null(b.memory);
    return b;
}

static int encode(const struct hal_frame *frame, const struct jpeg_options *options,
                  struct blocks *blocks)
{
    blocks->given = 0;
    struct jpeg_sink sink = {give_block, blocks};
    struct jpeg_picture picture = picture_planes(frame);
    int status = jpeg_encoder_begin(&encoder, &picture, options, &sink);
    for (status = status ? status : 1; status == 1;)
        status = jpeg_encoder_slice(&encoder);
    return status;
}

// ---- the reference ----

/** Like a decoder that repeats chroma: the input that "the same planes" are to plain libjpeg. */
static void row_444(const struct hal_frame *f, uint32_t y, uint8_t *out)
{
    const struct hal_plane *p = f->plane;
    const uint8_t *luma = p[0].data + (size_t)y * p[0].stride;
    for (uint32_t x = 0; x < f->width; x++, out += 3) {
        size_t half = (size_t)(y / 2) * p[1].stride + x / 2;
        switch (f->format) {
        case HAL_PIXEL_YUYV:
            out[0] = luma[2 * x];
            out[1] = luma[x / 2 * 4 + 1];
            out[2] = luma[x / 2 * 4 + 3];
            break;
        case HAL_PIXEL_NV12:
            out[0] = luma[x];
            out[1] = p[1].data[(size_t)(y / 2) * p[1].stride + x / 2 * 2];
            out[2] = p[1].data[(size_t)(y / 2) * p[1].stride + x / 2 * 2 + 1];
            break;
        default:
            out[0] = luma[x];
            out[1] = p[1].data[half];
            out[2] = p[2].data[half];
        }
    }
}

static uint32_t encode_plainly(const struct hal_frame *f, const struct jpeg_options *options,
                               uint8_t **out)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned long bytes = 0;
    bool is_grey = f->format == HAL_PIXEL_GREY;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, out, &bytes);
    c.image_width = f->width;
    c.image_height = f->height;
    c.input_components = is_grey ? 1 : 3;
    c.in_color_space = is_grey ? JCS_GRAYSCALE : JCS_YCbCr;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, options->quality, TRUE);
    if (f->format == HAL_PIXEL_YUYV && options->chroma == JPEG_CHROMA_422)
        c.comp_info[0].v_samp_factor = 1;
    c.restart_in_rows = options->restart_rows;
    jpeg_start_compress(&c, TRUE);
    uint8_t *row = malloc((size_t)f->width * 3);
    for (uint32_t y = 0; y < f->height; y++) {
        if (is_grey)
            memcpy(row, f->plane[0].data + (size_t)y * f->plane[0].stride, f->width);
        else
            row_444(f, y, row);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(row);
    return (uint32_t)bytes;
}

/** Equal bytes decode equally with any decoder. */
static void check_same(const struct hal_frame *f, const struct jpeg_options *options)
{
    uint8_t *plain = NULL;
    uint32_t plain_bytes = encode_plainly(f, options, &plain);
    struct blocks b = blocks_new(4096, plain_bytes / 4096 + 2);
    assert_int_equal(encode(f, options, &b), 0);
    if (jpeg_encoder_bytes(&encoder) != plain_bytes || memcmp(b.memory, plain, plain_bytes))
        fail_msg("%s: %s %ux%u quality %u chroma %d: not libjpeg's bytes (%u, libjpeg %u)",
                 variant->name, hal_pixel_format_name(f->format), f->width, f->height,
                 options->quality, (int)options->chroma, jpeg_encoder_bytes(&encoder), plain_bytes);
    assert_int_equal(jpeg_encoder_rows_done(&encoder), f->height);
    assert_int_equal(jpeg_encoder_rows_total(&encoder), f->height);
    free(b.memory);
    free(plain);
}

static const enum hal_pixel_format formats[] = {HAL_PIXEL_YUV420, HAL_PIXEL_NV12, HAL_PIXEL_YUYV,
                                                HAL_PIXEL_GREY};

static void check_size(uint32_t width, uint32_t height, uint32_t slack, uint8_t quality)
{
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        struct picture p;
        picture_alloc(&p, formats[i], width, height, slack);
        picture_draw(&p, PICTURE_LANDSCAPE, width * 31 + height, 3, 100);
        struct jpeg_options options = {.quality = quality};
        check_same(&p.frame, &options);
        options.chroma = JPEG_CHROMA_422;
        check_same(&p.frame, &options);
        picture_free(&p);
    }
}

static void test_common_sizes(void **state)
{
    (void)state;
    static const uint16_t sizes[][2] = {{1640, 1232}, {1456, 1088}, {1920, 1080},
                                        {1280, 720},  {640, 480},   {66, 34}};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
        check_size(sizes[i][0], sizes[i][1], 0, 80);
}

static void test_every_small_size(void **state)
{
    (void)state;
    for (uint32_t width = 2; width <= 50; width += 2)
        for (uint32_t height = 2; height <= 36; height += 2)
            check_size(width, height, width % 3, 90);
}

static void test_strides(void **state)
{
    (void)state;
    static const uint16_t slack[] = {1, 2, 7, 16, 33, 64, 4096};
    for (unsigned i = 0; i < ARRAY_SIZE(slack); i++) {
        check_size(200, 56, slack[i], 75);
        check_size(102, 50, slack[i], 75);
    }
}

static void test_widest_and_tallest(void **state)
{
    (void)state;
    check_size(8192, 18, 0, 60);
    check_size(8190, 18, 2, 60);
    check_size(2, 8192, 0, 60);
}

static void test_every_quality(void **state)
{
    (void)state;
    for (uint8_t quality = 1; quality <= 100; quality++)
        check_size(98, 42, 0, quality);
}

static void test_every_scene(void **state)
{
    (void)state;
    for (unsigned scene = 0; scene < PICTURE_SCENES; scene++)
        for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
            struct picture p;
            picture_alloc(&p, formats[i], 130, 70, 6);
            picture_draw(&p, scene, 5, 0, 100);
            check_same(&p.frame, &(struct jpeg_options){.quality = 95});
            check_same(&p.frame, &(struct jpeg_options){.quality = 10});
            picture_free(&p);
        }
}

/** Each block has the greatest value that one of the 64 coefficients can take, of either sign:
 * where 16 bits could be too few. */
static void test_greatest_coefficients(void **state)
{
    (void)state;
    struct picture p;
    picture_alloc(&p, HAL_PIXEL_YUV420, 256, 128, 0);
    for (unsigned i = 0; i < 3; i++) {
        const struct hal_plane *plane = &p.frame.plane[i];
        for (uint32_t y = 0; y < plane->rows; y++)
            for (uint32_t x = 0; x < plane->stride; x++) {
                uint32_t n = (y / 8 * 16 + x / 8) % 128, u = n % 8, v = n / 8 % 8;
                bool is_high = (cos((2 * (x % 8) + 1) * u * M_PI / 16) *
                                    cos((2 * (y % 8) + 1) * v * M_PI / 16) >
                                0) == (n < 64);
                ((uint8_t *)(uintptr_t)plane->data)[(size_t)y * plane->stride + x] =
                    is_high ? 255 : 0;
            }
    }
    for (uint8_t quality = 1; quality <= 100; quality++) {
        p.frame.format = quality % 2 ? HAL_PIXEL_YUV420 : HAL_PIXEL_GREY;
        check_same(&p.frame, &(struct jpeg_options){.quality = quality});
    }
    p.frame.format = HAL_PIXEL_YUV420;
    check_same(&p.frame, &(struct jpeg_options){.quality = 100});
    picture_free(&p);
}

/** A fresh picture must not depend on what the encoder did before: formats, sizes, subsampling and
 * restart markers in turn, in both directions. */
static void test_changing_layouts(void **state)
{
    (void)state;
    struct picture p[ARRAY_SIZE(formats)];
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        picture_alloc(&p[i], formats[i], 66 + 16 * i, 34 + 2 * i, i);
        picture_draw(&p[i], PICTURE_LANDSCAPE, i, 0, 100);
    }
    for (uint32_t step = 0; step < 400; step++) {
        uint32_t r = step * 2654435761u >> 7;
        struct jpeg_options options = {.quality = (uint8_t)(1 + r % 100),
                                       .chroma = (enum jpeg_chroma)(r / 100 % 2),
                                       .restart_rows = (uint16_t)(r / 200 % 3)};
        check_same(&p[r / 600 % ARRAY_SIZE(formats)].frame, &options);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        picture_free(&p[i]);
}

static void test_restart_markers(void **state)
{
    (void)state;
    struct picture p;
    picture_alloc(&p, HAL_PIXEL_YUV420, 160, 160, 0);
    picture_draw(&p, PICTURE_LANDSCAPE, 1, 0, 100);
    struct blocks b = blocks_new(65536, 1);
    assert_int_equal(encode(&p.frame, &(struct jpeg_options){.quality = 80, .restart_rows = 2}, &b),
                     0);
    unsigned markers = 0;
    for (uint32_t i = 0; i + 1 < jpeg_encoder_bytes(&encoder); i++)
        if (b.memory[i] == 0xff && b.memory[i + 1] == 0xd0 + markers % 8)
            markers++;
    assert_int_equal(markers, 4); // 10 MCU rows, one marker between each two
    free(b.memory);
    picture_free(&p);
}

static void test_slices_of_16_rows(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        struct picture p;
        picture_alloc(&p, formats[i], 64, 72, 0);
        picture_draw(&p, PICTURE_LANDSCAPE, 1, 0, 100);
        struct blocks b = blocks_new(4096, 64);
        struct jpeg_sink sink = {give_block, &b};
        struct jpeg_options options = {.quality = 80, .chroma = JPEG_CHROMA_422};
        struct jpeg_picture planes = picture_planes(&p.frame);
        assert_int_equal(jpeg_encoder_begin(&encoder, &planes, &options, &sink), 0);
        uint32_t before = jpeg_encoder_bytes(&encoder);
        for (uint32_t slice = 1; slice <= 5; slice++) {
            assert_int_equal(jpeg_encoder_slice(&encoder), slice < 5);
            assert_int_equal(jpeg_encoder_rows_done(&encoder), slice < 5 ? 16 * slice : 72);
            assert_true(jpeg_encoder_bytes(&encoder) > before);
            before = jpeg_encoder_bytes(&encoder);
        }
        assert_int_equal(jpeg_encoder_slice(&encoder), -EINVAL);
        free(b.memory);
        picture_free(&p);
    }
}

static void test_sink_refuses_at_every_block(void **state)
{
    (void)state;
    struct picture p;
    picture_alloc(&p, HAL_PIXEL_NV12, 200, 100, 0);
    picture_draw(&p, PICTURE_NOISE, 1, 0, 100);
    struct jpeg_options options = {.quality = 90};
    uint8_t *plain = NULL;
    uint32_t bytes = encode_plainly(&p.frame, &options, &plain);
    static const uint16_t block_bytes[] = {1, 61, 512, 1000};
    for (unsigned size = 0; size < ARRAY_SIZE(block_bytes); size++) {
        uint32_t needed = (bytes + block_bytes[size] - 1) / block_bytes[size];
        struct blocks b = blocks_new(block_bytes[size], needed);
        for (uint32_t count = 0; count < needed; count += size ? 1 : 97) {
            b.count = count;
            assert_int_equal(encode(&p.frame, &options, &b), -ENOBUFS);
            assert_int_equal(b.given, count);
            assert_int_equal(jpeg_encoder_bytes(&encoder), count * block_bytes[size]);
            assert_string_not_equal(jpeg_encoder_error(&encoder), "");
            assert_int_equal(jpeg_encoder_slice(&encoder), -EINVAL);
        }
        b.count = needed;
        assert_int_equal(encode(&p.frame, &options, &b), 0);
        assert_int_equal(jpeg_encoder_bytes(&encoder), bytes);
        assert_memory_equal(b.memory, plain, bytes);
        assert_string_equal(jpeg_encoder_error(&encoder), "");
        free(b.memory);
    }
    free(plain);
    picture_free(&p);
}

static void test_cap_is_exact(void **state)
{
    (void)state;
    struct picture p;
    picture_alloc(&p, HAL_PIXEL_YUV420, 80, 48, 0);
    picture_draw(&p, PICTURE_LANDSCAPE, 1, 0, 100);
    struct jpeg_options options = {.quality = 90};
    uint8_t *plain = NULL;
    uint32_t bytes = encode_plainly(&p.frame, &options, &plain);
    struct blocks b = blocks_new(256, bytes / 256 + 2);
    for (uint32_t cap = 1; cap < bytes + 20; cap++) {
        options.bytes_max = cap;
        memset(b.memory, 0x5a, (size_t)b.block_bytes * b.count);
        int status = encode(&p.frame, &options, &b);
        assert_int_equal(status, cap < bytes ? -EFBIG : 0);
        for (uint32_t i = cap; i < cap + 16 && i < b.block_bytes * b.count; i++)
            assert_true(b.memory[i] == (i < bytes && status == 0 ? plain[i] : 0x5a));
        assert_true(jpeg_encoder_bytes(&encoder) <= cap);
        if (status == 0)
            assert_memory_equal(b.memory, plain, bytes);
    }
    free(b.memory);
    free(plain);
    picture_free(&p);
}

static void test_restart_of_a_frame(void **state)
{
    (void)state;
    struct picture p;
    picture_alloc(&p, HAL_PIXEL_YUYV, 202, 100, 0);
    picture_draw(&p, PICTURE_LANDSCAPE, 1, 0, 100);
    struct blocks b = blocks_new(512, 200);
    struct jpeg_sink sink = {give_block, &b};
    struct jpeg_picture planes = picture_planes(&p.frame);
    for (unsigned slices = 0; slices < 7; slices++) {
        assert_int_equal(
            jpeg_encoder_begin(&encoder, &planes, &(struct jpeg_options){.quality = 95}, &sink), 0);
        for (unsigned i = 0; i < slices; i++)
            assert_int_equal(jpeg_encoder_slice(&encoder), i < 6);
        if (slices % 2)
            jpeg_encoder_abort(&encoder);
        check_same(&p.frame, &(struct jpeg_options){.quality = 40});
        b.given = 0;
    }
    free(b.memory);
    picture_free(&p);
}

static void test_refuses_what_it_cannot_encode(void **state)
{
    (void)state;
    struct picture p;
    picture_alloc(&p, HAL_PIXEL_YUV420, 64, 64, 0);
    struct blocks b = blocks_new(4096, 16);
    struct jpeg_options good = {.quality = 50};
    struct hal_frame f = p.frame;
    assert_int_equal(encode(&f, &(struct jpeg_options){.quality = 0}, &b), -EINVAL);
    assert_int_equal(encode(&f, &(struct jpeg_options){.quality = 101}, &b), -EINVAL);
    static const uint32_t sizes[][2] = {{0, 64},  {64, 0},    {63, 64},
                                        {64, 63}, {8194, 64}, {64, 8194}};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        f = p.frame;
        f.width = sizes[i][0];
        f.height = sizes[i][1];
        assert_int_equal(encode(&f, &good, &b), -EINVAL);
    }
    for (unsigned plane = 0; plane < 3; plane++) {
        f = p.frame;
        f.plane[plane].stride--;
        assert_int_equal(encode(&f, &good, &b), -EINVAL);
        f = p.frame;
        f.plane[plane].rows--;
        assert_int_equal(encode(&f, &good, &b), -EINVAL);
        f = p.frame;
        f.plane[plane].data = NULL;
        assert_int_equal(encode(&f, &good, &b), -EINVAL);
    }
    f = p.frame;
    f.format = HAL_PIXEL_MJPEG;
    assert_int_equal(encode(&f, &good, &b), -EINVAL);
    assert_string_not_equal(jpeg_encoder_error(&encoder), "");
    assert_int_equal(encode(&p.frame, &good, &b), 0);
    free(b.memory);
    picture_free(&p);
}

static int start(void **state)
{
    (void)state;
    jpeg_encoder_init(&encoder, variant);
    return 0;
}

static int encode_only(unsigned count)
{
    static struct jpeg_encoder own;
    static uint8_t memory[1 << 20];
    jpeg_encoder_init(&own, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        struct picture p;
        picture_alloc(&p, formats[i], 330, 180, 0);
        picture_draw(&p, PICTURE_LANDSCAPE, 1, 0, 100);
        struct jpeg_picture planes = picture_planes(&p.frame);
        struct jpeg_exif exif = {.realtime_ns = NS_PER_S, .exposure_us = 100, .frame_id = 7};
        for (unsigned frame = 0; frame < count; frame++) {
            struct blocks b = {memory, frame % 3 ? sizeof memory : 700, 2, 0};
            struct jpeg_sink sink = {give_block, &b};
            struct jpeg_options options = {.quality = (uint8_t)(frame % 100 + 1), .exif = &exif};
            int status = jpeg_encoder_begin(&own, &planes, &options, &sink);
            for (status = status ? status : 1; status == 1;)
                status = jpeg_encoder_slice(&own);
            if (status != (frame % 3 ? 0 : -ENOBUFS))
                return 1;
        }
        picture_free(&p);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "encode"))
        return encode_only((unsigned)atoi(argv[2]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common_sizes),
        cmocka_unit_test(test_every_small_size),
        cmocka_unit_test(test_strides),
        cmocka_unit_test(test_widest_and_tallest),
        cmocka_unit_test(test_every_quality),
        cmocka_unit_test(test_every_scene),
        cmocka_unit_test(test_greatest_coefficients),
        cmocka_unit_test(test_changing_layouts),
        cmocka_unit_test(test_restart_markers),
        cmocka_unit_test(test_slices_of_16_rows),
        cmocka_unit_test(test_sink_refuses_at_every_block),
        cmocka_unit_test(test_cap_is_exact),
        cmocka_unit_test(test_restart_of_a_frame),
        cmocka_unit_test(test_refuses_what_it_cannot_encode),
    };
    static const struct jpeg_scan_variant *const variants[] = {&jpeg_scan_avx2, &jpeg_scan_neon,
                                                               &jpeg_scan_portable};
    int failed = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(variants); i++) {
        variant = variants[i];
        if (variant->row != NULL && variant->is_supported())
            failed += cmocka_run_group_tests_name(variant->name, tests, start, NULL);
        else
            print_message("%s: not on this machine\n", variant->name);
    }
    return failed;
}
