// SPDX-License-Identifier: MIT
// The encoder's parts: both twins of the unpackers give the same bytes, and the EXIF block reads
// back with a TIFF reader that knows nothing of the writer.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/jpeg/private.h"

#define PAIRS_MAX 200u
#define GUARD     32u

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/** What one unpacking wrote, with guard bytes behind each row. */
struct rows {
    uint8_t y[2][2 * PAIRS_MAX + GUARD], u[PAIRS_MAX + GUARD], v[PAIRS_MAX + GUARD];
};

static void test_unpack_twins(void **state)
{
    (void)state;
    static uint8_t in[2][4 * PAIRS_MAX + 8];
    static struct rows fast, plain;
    uint32_t random = 1;
    for (uint32_t pairs = 1; pairs <= PAIRS_MAX; pairs++)
        for (uint32_t offset = 0; offset < 3; offset++) {
            for (uint32_t i = 0; i < sizeof in[0]; i++) {
                in[0][i] = (uint8_t)next_random(&random);
                in[1][i] = (uint8_t)next_random(&random);
            }
            const uint8_t *two[2] = {in[0] + offset, in[1] + offset};
            memset(&fast, 0xee, sizeof fast);
            memset(&plain, 0xee, sizeof plain);
            uint8_t *fast_y[2] = {fast.y[0], fast.y[1]}, *plain_y[2] = {plain.y[0], plain.y[1]};
            jpeg_unpack_yuyv2(two, fast_y, fast.u, fast.v, pairs);
            jpeg_unpack_yuyv2_portable(two, plain_y, plain.u, plain.v, pairs);
            assert_memory_equal(&fast, &plain, sizeof fast);
            assert_int_equal(fast.u[pairs], 0xee);
            jpeg_unpack_yuyv(two[0], fast_y[0], fast.u, fast.v, pairs);
            jpeg_unpack_yuyv_portable(two[0], plain_y[0], plain.u, plain.v, pairs);
            assert_memory_equal(&fast, &plain, sizeof fast);
            jpeg_unpack_uv(two[0], fast.u, fast.v, pairs);
            jpeg_unpack_uv_portable(two[0], plain.u, plain.v, pairs);
            assert_memory_equal(&fast, &plain, sizeof fast);
        }
    print_message("unpacker: %s\n", jpeg_unpack_variant());
}

/** Every pair of samples, in an even and in an odd column. */
static void test_every_mean(void **state)
{
    (void)state;
    static uint8_t in[2][4 * 32];
    uint8_t y[2][64], u[32], v[32];
    uint8_t *const luma[2] = {y[0], y[1]};
    const uint8_t *const two[2] = {in[0], in[1]};
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            memset(in[0], (int)a, sizeof in[0]);
            memset(in[1], (int)b, sizeof in[1]);
            jpeg_unpack_yuyv2(two, luma, u, v, 32);
            for (unsigned x = 0; x < 32; x++) {
                assert_int_equal(u[x], x % 2 ? (a + b + 1) / 2 : (a + b) / 2);
                assert_int_equal(v[x], u[x]);
            }
        }
}

/** Every quantiser and every value that the transform can give, with both scales of the product. */
static void test_every_quotient(void **state)
{
    (void)state;
    static struct jpeg_divisors divisors;
    for (uint8_t product_shift = 15; product_shift <= 16; product_shift++)
        for (uint32_t first = 1; first < 256; first += 64) {
            const struct jpeg_scan_variant variant = {.blocks = 2, .product_shift = product_shift};
            uint8_t quantiser[64];
            for (uint32_t i = 0; i < 64; i++)
                quantiser[i] = (uint8_t)base_min_u32(first + i, 255);
            jpeg_scan_set_divisors(&divisors, quantiser, &variant);
            for (uint32_t i = 0; i < 64; i++) {
                const int32_t divisor = 8 * quantiser[i];
                const int16_t *factor = divisors.factor + i / 8 * 32 + i % 8;
                const int32_t multiplier = factor[0], power = factor[16];
                assert_int_equal(factor[8], multiplier);
                assert_int_equal(factor[24], power);
                for (int32_t x = -16383; x <= 16383; x++) {
                    int32_t magnitude = ((x < 0 ? -x : x) + divisor / 2) / divisor;
                    int32_t product = x * multiplier >> product_shift;
                    if ((product * power + (1 << 14)) >> 15 != (x < 0 ? -magnitude : magnitude))
                        fail_msg("%d / %d, shift %d", x, divisor, product_shift);
                }
            }
        }
}

// ---- EXIF ----

static uint32_t get(const uint8_t *p, unsigned bytes)
{
    uint32_t value = 0;
    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | p[i];
    return value;
}

/** The value of a tag in the directory at `offset`, NULL when absent. Checks that tags ascend, that
 * values lie inside the block, and that no directory follows. */
static const uint8_t *find(const uint8_t *tiff, uint32_t bytes, uint32_t offset, uint32_t tag)
{
    static const uint8_t size_of[] = {0, 1, 1, 2, 4, 8, 0, 1};
    const uint8_t *found = NULL;
    uint32_t count = get(tiff + offset, 2), last = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = tiff + offset + 2 + 12 * i;
        uint32_t size = size_of[get(entry + 2, 2)] * get(entry + 4, 4);
        assert_true(get(entry, 2) > last && size > 0);
        last = get(entry, 2);
        const uint8_t *value = size <= 4 ? entry + 8 : tiff + get(entry + 8, 4);
        assert_true(value + size <= tiff + bytes);
        if (last == tag)
            found = value;
    }
    assert_int_equal(get(tiff + offset + 2 + 12 * count, 4), 0);
    return found;
}

static void test_exif_says_everything(void **state)
{
    (void)state;
    uint8_t out[JPEG_EXIF_BYTES];
    struct jpeg_exif exif = {
        .realtime_ns = UINT64_C(1709210096) * NS_PER_S + 123456789, // 2024-02-29 12:34:56 UTC
        .exposure_us = 8333,
        .gain_milli = 2500,
        .frame_id = 0x1234567890,
        .boot_id = 0xa0a1a2a3a4a5a6a7,
        .model = "imx296",
    };
    uint32_t bytes = jpeg_exif_build(out, &exif);
    assert_true(bytes <= sizeof out);
    assert_memory_equal(out, "Exif\0\0II*\0\10\0\0\0", 14);
    const uint8_t *tiff = out + 6;
    bytes -= 6;
    assert_string_equal(find(tiff, bytes, 8, 0x0110), "imx296");
    assert_string_equal(find(tiff, bytes, 8, 0x0132), "2024:02:29 12:34:56");
    uint32_t directory = get(find(tiff, bytes, 8, 0x8769), 4);
    const uint8_t *ratio = find(tiff, bytes, directory, 0x829a);
    assert_int_equal(get(ratio, 4), 8333);
    assert_int_equal(get(ratio + 4, 4), 1000000);
    assert_int_equal(get(find(tiff, bytes, directory, 0x8827), 2), 250);
    assert_string_equal(find(tiff, bytes, directory, 0x9003), "2024:02:29 12:34:56");
    assert_string_equal(find(tiff, bytes, directory, 0x9291), "123456");
    assert_string_equal(find(tiff, bytes, directory, 0x9010), "+00:00");
    assert_string_equal(find(tiff, bytes, directory, 0x9011), "+00:00");
    assert_string_equal(find(tiff, bytes, directory, 0xa420), "a0a1a2a3a4a5a6a70000001234567890");
    assert_memory_equal(find(tiff, bytes, directory, 0x9286),
                        "ASCII\0\0\0Pinhole frame 78187493520", 33);
}

static void test_exif_dates(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *text;
    } dates[] = {
        {1, "1970:01:01 00:00:01"},          {951782399, "2000:02:28 23:59:59"},
        {951868800, "2000:03:01 00:00:00"},  {1735689599, "2024:12:31 23:59:59"},
        {1740787200, "2025:03:01 00:00:00"}, {4107542400, "2100:03:01 00:00:00"},
        {1795132800, "2026:11:20 00:00:00"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(dates); i++) {
        uint8_t out[JPEG_EXIF_BYTES];
        struct jpeg_exif exif = {.realtime_ns = dates[i].seconds * NS_PER_S};
        uint32_t bytes = jpeg_exif_build(out, &exif);
        assert_string_equal(find(out + 6, bytes - 6, 8, 0x0132), dates[i].text);
    }
}

static void test_exif_limits(void **state)
{
    (void)state;
    uint8_t out[JPEG_EXIF_BYTES];
    struct jpeg_exif nothing = {0};
    uint32_t bytes = jpeg_exif_build(out, &nothing);
    assert_null(find(out + 6, bytes - 6, 8, 0x0132));
    assert_null(find(out + 6, bytes - 6, get(find(out + 6, bytes - 6, 8, 0x8769), 4), 0xa420));
    char model[300];
    memset(model, 'm', sizeof model);
    model[299] = '\0';
    struct jpeg_exif most = {UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX, model};
    bytes = jpeg_exif_build(out, &most);
    assert_true(bytes <= sizeof out);
    assert_int_equal(strlen((const char *)find(out + 6, bytes - 6, 8, 0x0110)), 63);
    uint32_t directory = get(find(out + 6, bytes - 6, 8, 0x8769), 4);
    assert_int_equal(get(find(out + 6, bytes - 6, directory, 0x8827), 2), 65535);
}

/** A camera may leave in a frame what an earlier format had there. */
static void test_lines_ahead_are_of_planes_in_use(void **state)
{
    (void)state;
    static uint8_t picture[16 * 16], scratch[JPEG_SCRATCH_BYTES];
    static struct jpeg_input input;
    const struct jpeg_picture grey = {
        .format = JPEG_FORMAT_GREY,
        .width = 16,
        .height = 16,
        .plane = {{picture, 16, 16}, {picture, 8, 1}, {picture, 8, 1}},
    };
    assert_int_equal(jpeg_input_init(&input, &grey, JPEG_CHROMA_420, scratch), 0);
    jpeg_input_fill(&input, 0);
    assert_int_equal(input.ahead_count, 1);
    jpeg_input_fill(&input, 8); // none after the last
    assert_int_equal(input.ahead_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpack_twins),
        cmocka_unit_test(test_every_mean),
        cmocka_unit_test(test_every_quotient),
        cmocka_unit_test(test_exif_says_everything),
        cmocka_unit_test(test_exif_dates),
        cmocka_unit_test(test_exif_limits),
        cmocka_unit_test(test_lines_ahead_are_of_planes_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
