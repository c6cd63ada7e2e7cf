// SPDX-License-Identifier: MIT
// Where a camera's JPEG lacks its Huffman tables, and what goes there.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/jpeg/jpeg.h"
#include "tests/host/support/jpeg_file.h"

enum { DHT = 0xC4, SOS = 0xDA };

static uint32_t segment_bytes(const struct jpeg_file *file, size_t at)
{
    return 2 + ((uint32_t)file->data[at + 2] << 8 | file->data[at + 3]);
}

/** The first segment of that kind; every file here has it. */
static size_t find(const struct jpeg_file *file, uint8_t marker)
{
    size_t at = 2;
    while (file->data[at + 1] != marker)
        at += segment_bytes(file, at);
    return at;
}

static struct jpeg_file make(bool is_progressive)
{
    static uint8_t pixels[64 * 48 * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i >> 5);
    return jpeg_file_encode(JPEG_FILE_420, 64, 48, pixels, 80, is_progressive);
}

/** As a camera sends it. What is cut out goes to `tables`, payloads alone. Returns their length. */
static size_t cut_tables(struct jpeg_file *file, uint8_t *tables)
{
    size_t cut = 0, sos = find(file, SOS);
    for (size_t at = 2; at < sos;) {
        size_t bytes = segment_bytes(file, at);
        if (file->data[at + 1] != DHT) {
            at += bytes;
            continue;
        }
        memcpy(tables + cut, file->data + at + 4, bytes - 4);
        cut += bytes - 4;
        memmove(file->data + at, file->data + at + bytes, file->bytes - at - bytes);
        file->bytes -= bytes;
        sos -= bytes;
    }
    return cut;
}

static uint32_t missing_tables(const uint8_t *jpeg, uint32_t bytes)
{
    struct jpeg_survey survey = jpeg_survey_headers(jpeg, bytes);
    return jpeg_find_missing_tables(&survey);
}

static uint32_t found(const struct jpeg_file *file)
{
    return missing_tables(file->data, (uint32_t)file->bytes);
}

static void test_tables_are_the_standards(void **state)
{
    (void)state;
    uint8_t cut[1024];
    const uint8_t *tables = jpeg_encoder_tables();
    struct jpeg_file file = make(false);
    assert_int_equal(cut_tables(&file, cut), JPEG_TABLES_BYTES - 4);
    const uint8_t head[] = {0xFF, DHT, (JPEG_TABLES_BYTES - 2) >> 8, (JPEG_TABLES_BYTES - 2) & 255};
    assert_memory_equal(tables, head, sizeof head);
    assert_memory_equal(tables + 4, cut, JPEG_TABLES_BYTES - 4);
    free(file.data);
}

static void test_place_is_before_the_scan(void **state)
{
    (void)state;
    uint8_t cut[1024];
    struct jpeg_file file = make(false);
    assert_int_equal(found(&file), 0);
    cut_tables(&file, cut);
    size_t sos = find(&file, SOS);
    assert_int_equal(found(&file), sos);

    // Fill bytes may stand before any marker.
    uint8_t *filled = malloc(file.bytes + 3);
    assert_non_null(filled);
    memcpy(filled, file.data, sos);
    memset(filled + sos, 0xFF, 3);
    memcpy(filled + sos + 3, file.data + sos, file.bytes - sos);
    assert_int_equal(missing_tables(filled, (uint32_t)file.bytes + 3), sos + 3);
    free(filled);
    free(file.data);
}

static void test_only_baseline_gets_tables(void **state)
{
    (void)state;
    uint8_t cut[4096];
    struct jpeg_file file = make(true);
    assert_int_equal(found(&file), 0);
    cut_tables(&file, cut);
    assert_int_equal(found(&file), 0);
    free(file.data);
}

static void test_what_cannot_be_followed_is_left_alone(void **state)
{
    (void)state;
    uint8_t cut[1024];
    struct jpeg_file file = make(false);
    cut_tables(&file, cut);
    size_t sos = find(&file, SOS);
    // Each length in memory of just that length, for the sanitizer.
    for (size_t bytes = 2; bytes < sos + 4; bytes++) {
        uint8_t *part = malloc(bytes);
        assert_non_null(part);
        memcpy(part, file.data, bytes);
        assert_int_equal(missing_tables(part, (uint32_t)bytes), 0);
        free(part);
    }
    static const uint8_t wrong[] = {0x00, 0x01, 0xBF, 0xD0, 0xD7, 0xD8, 0xD9};
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        uint8_t right = file.data[3];
        file.data[3] = wrong[i];
        assert_int_equal(found(&file), 0);
        file.data[3] = right;
    }
    uint8_t length[2] = {file.data[4], file.data[5]};
    for (uint8_t i = 0; i < 2; i++) {
        file.data[4] = 0;
        file.data[5] = i;
        assert_int_equal(found(&file), 0);
    }
    memcpy(file.data + 4, length, 2);
    file.data[2] = 0xFE;
    assert_int_equal(found(&file), 0);
    static const uint8_t no_picture[] = {0xFF, 0xD8, 0xFF, SOS, 0, 2, 0xFF, 0xD9};
    assert_int_equal(missing_tables(no_picture, sizeof no_picture), 0);
    free(file.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_are_the_standards),
        cmocka_unit_test(test_place_is_before_the_scan),
        cmocka_unit_test(test_only_baseline_gets_tables),
        cmocka_unit_test(test_what_cannot_be_followed_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
