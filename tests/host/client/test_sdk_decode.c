// SPDX-License-Identifier: MIT
// The decode helpers against TurboJPEG itself: every byte order, every scale, rows with gaps.
#include "net/client/pinhole.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef HAVE_TURBOJPEG
#include <turbojpeg.h>

enum { WIDTH = 149, HEIGHT = 83, GAP = 13, CANARY = 0xA5 };

static unsigned char *jpeg;
static unsigned long jpeg_bytes;

static int make_jpeg(void **state)
{
    (void)state;
    static unsigned char pixels[HEIGHT][WIDTH][3];
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            pixels[y][x][0] = (unsigned char)(x * 255 / WIDTH);
            pixels[y][x][1] = (unsigned char)(y * 255 / HEIGHT);
            pixels[y][x][2] = (unsigned char)((x / 8 + y / 8) % 2 * 200);
        }
    tjhandle encoder = tjInitCompress();
    int error = tjCompress2(encoder, pixels[0][0], WIDTH, 0, HEIGHT, TJPF_RGB, &jpeg, &jpeg_bytes,
                            TJSAMP_420, 85, 0);
    tjDestroy(encoder);
    return error;
}

static int free_jpeg(void **state)
{
    (void)state;
    tjFree(jpeg);
    return 0;
}

static const struct {
    enum pinhole_pixels pixels;
    int turbojpeg, bytes;
} orders[] = {{PINHOLE_GREY, TJPF_GRAY, 1},
              {PINHOLE_RGB, TJPF_RGB, 3},
              {PINHOLE_BGR, TJPF_BGR, 3},
              {PINHOLE_RGBA, TJPF_RGBA, 4},
              {PINHOLE_BGRA, TJPF_BGRA, 4}};

/** Decodes both ways; our rows are `gap` bytes apart, which stay as they were. */
static void check_one(unsigned order, tjscalingfactor scale, size_t gap)
{
    const int columns = TJSCALED(WIDTH, scale), rows = TJSCALED(HEIGHT, scale);
    const size_t row = (size_t)(columns * orders[order].bytes), pitch = row + gap;
    unsigned char *theirs = malloc(row * (size_t)rows), *ours = malloc(pitch * (size_t)rows);
    memset(ours, CANARY, pitch * (size_t)rows);
    tjhandle decoder = tjInitDecompress();
    assert_int_equal(tjDecompress2(decoder, jpeg, jpeg_bytes, theirs, columns, 0, rows,
                                   orders[order].turbojpeg, TJFLAG_ACCURATEDCT),
                     0);
    tjDestroy(decoder);

    struct pinhole_picture picture = {.size = sizeof picture,
                                      .pixels = orders[order].pixels,
                                      .scale_num = (unsigned)scale.num,
                                      .scale_denom = (unsigned)scale.denom,
                                      .row_bytes = gap == 0 ? 0 : pitch};
    const int64_t need = (int64_t)(pitch * (size_t)(rows - 1) + row);
    assert_int_equal(pinhole_decode_size(jpeg, jpeg_bytes, &picture), need);
    assert_int_equal(picture.width, columns);
    assert_int_equal(picture.height, rows);
    assert_int_equal(picture.row_bytes, pitch);
    assert_int_equal(pinhole_decode(jpeg, jpeg_bytes, &picture, ours, (size_t)need - 1), -ENOSPC);
    assert_int_equal(ours[0], CANARY);
    assert_int_equal(pinhole_decode(jpeg, jpeg_bytes, &picture, ours, (size_t)need), need);
    for (size_t y = 0; y < (size_t)rows; y++) {
        assert_memory_equal(ours + y * pitch, theirs + y * row, row);
        for (size_t i = row; i < pitch; i++)
            assert_int_equal(ours[y * pitch + i], CANARY);
    }
    free(ours);
    free(theirs);
}

static void test_all_orders_and_scales(void **state)
{
    (void)state;
    int count = 0;
    tjscalingfactor *scales = tjGetScalingFactors(&count);
    assert_true(count >= 16);
    for (int i = 0; i < count; i++)
        for (unsigned order = 0; order < sizeof orders / sizeof orders[0]; order++) {
            check_one(order, scales[i], 0);
            check_one(order, scales[i], GAP);
        }
}

static void test_defaults(void **state)
{
    (void)state;
    static unsigned char pixels[WIDTH * HEIGHT * 3];
    struct pinhole_picture picture = {.size = sizeof picture};
    assert_int_equal(pinhole_decode(jpeg, jpeg_bytes, &picture, pixels, sizeof pixels),
                     sizeof pixels);
    assert_int_equal(picture.pixels, PINHOLE_RGB);
    assert_int_equal(picture.width, WIDTH);
    assert_int_equal(picture.row_bytes, WIDTH * 3);
    // The same scale in other terms.
    picture = (struct pinhole_picture){.size = sizeof picture, .scale_num = 8, .scale_denom = 16};
    assert_true(pinhole_decode(jpeg, jpeg_bytes, &picture, pixels, sizeof pixels) > 0);
    assert_int_equal(picture.width, (WIDTH + 1) / 2);
}

static void test_refusals(void **state)
{
    (void)state;
    static unsigned char pixels[WIDTH * HEIGHT * 4];
    struct pinhole_picture picture = {.size = sizeof picture};
#define DECODE(bytes) pinhole_decode(jpeg, bytes, &picture, pixels, sizeof pixels)
    assert_int_equal(DECODE(jpeg_bytes / 2), -EBADMSG);
    assert_int_equal(DECODE(0), -EBADMSG);
    assert_int_equal(pinhole_decode("nothing", 7, &picture, pixels, sizeof pixels), -EBADMSG);
    assert_int_equal(pinhole_decode(jpeg, jpeg_bytes, &picture, NULL, 0), -EINVAL);
    picture = (struct pinhole_picture){.size = sizeof picture, .row_bytes = WIDTH * 3 - 1};
    assert_int_equal(DECODE(jpeg_bytes), -EINVAL);
    picture = (struct pinhole_picture){.size = sizeof picture, .row_bytes = SIZE_MAX};
    assert_int_equal(DECODE(jpeg_bytes), -EINVAL);
    picture = (struct pinhole_picture){.size = sizeof picture, .pixels = (enum pinhole_pixels)6};
    assert_int_equal(DECODE(jpeg_bytes), -EINVAL);
    picture = (struct pinhole_picture){.size = 0};
    assert_int_equal(DECODE(jpeg_bytes), -EINVAL);
    const unsigned bad[][2] = {{1, 0}, {0, 1}, {1, 3}, {3, 1}, {17, 8}, {1, 16}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        picture = (struct pinhole_picture){
            .size = sizeof picture, .scale_num = bad[i][0], .scale_denom = bad[i][1]};
        assert_int_equal(DECODE(jpeg_bytes), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_orders_and_scales),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_jpeg, free_jpeg);
}
#else
static void test_says_that_it_cannot(void **state)
{
    (void)state;
    unsigned char pixels[4];
    struct pinhole_picture picture = {.size = sizeof picture};
    assert_int_equal(pinhole_decode_size("", 0, &picture), -ENOTSUP);
    assert_int_equal(pinhole_decode("", 0, &picture, pixels, sizeof pixels), -ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_says_that_it_cannot)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
