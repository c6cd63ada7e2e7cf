// SPDX-License-Identifier: MIT
// What the tools share: text from outside, JSON, names as levels, secrets, previews.
#include "hal/base.h"
#include "tests/host/support/jpeg_file.h"
#include "tools/common/frame_members.h"
#include "tools/common/jpeg_shape.h"
#include "tools/common/json.h"
#include "tools/common/level.h"
#include "tools/common/preview.h"
#include "tools/common/secret.h"
#include "tools/common/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_cleaned(const char *text, bool keeps_lines, const char *expected)
{
    char copy[64], *printed = NULL;
    size_t size;
    snprintf(copy, sizeof copy, "%s", text);
    text_clean(copy, keeps_lines);
    assert_string_equal(copy, expected);
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    (keeps_lines ? text_print_lines : text_print)(out, text);
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
}

static void text_that_drives_a_terminal_is_harmless(void **state)
{
    (void)state;
    assert_cleaned("plain", false, "plain");
    assert_cleaned("\xE7\x9B\xB8\xE6\x9C\xBA T\xC3\xBCr \xF0\x9F\x93\xB7", false,
                   "\xE7\x9B\xB8\xE6\x9C\xBA T\xC3\xBCr \xF0\x9F\x93\xB7");
    assert_cleaned("a\x1B[31mb\r\n<3>c\x7F", false, "a [31mb  <3>c ");
    assert_cleaned("a\nb\r\n", true, "a\nb \n");
    assert_cleaned("\xC2\x9B"
                   "31m\xC2\xA0",
                   false, "  31m\xC2\xA0"); // C1's CSI; a no-break space stays
    assert_cleaned("\x9B"
                   "31m\xFF\xC3",
                   false, "?31m??");
    assert_cleaned("\xED\xA0\x80\xC0\xAF", false, "?????"); // half a surrogate, an overlong slash
}

static void assert_line(json_t *document, const char *expected)
{
    char *line = json_line(document);
    assert_non_null(line);
    assert_string_equal(line, expected);
    free(line);
}

static void members_keep_their_order_and_integers_their_digits(void **state)
{
    (void)state;
    json_t *line = json_object();
    json_put_u64(&line, "z", 1795762671095747449);
    json_put_i64(&line, "a", INT64_MIN);
    json_put_u64(&line, "largest", INT64_MAX);
    json_put_u64(&line, "larger", UINT64_MAX);
    json_put_id(&line, "id", 0xFEDCBA9876543210);
    json_put_flag(&line, "flag", true);
    uint64_t value = 0;
    assert_true(json_get_u64(line, "z", &value));
    assert_true(value == 1795762671095747449);
    assert_true(json_get_u64(line, "larger", &value));
    assert_true(value == UINT64_MAX);
    assert_false(json_get_u64(line, "a", &value));
    assert_false(json_get_u64(line, "flag", &value));
    assert_false(json_get_u64(line, "absent", &value));
    assert_line(line, "{\"z\":1795762671095747449,\"a\":-9223372036854775808,"
                      "\"largest\":9223372036854775807,\"larger\":\"18446744073709551615\","
                      "\"id\":\"fedcba9876543210\",\"flag\":true}\n");
}

static void numbers_are_numbers_where_json_has_them(void **state)
{
    (void)state;
    json_t *line = json_object();
    json_put_real(&line, "a", 29.97002997);
    json_put_real(&line, "b", 1.0 / 0.0);
    json_put_number(&line, "c", "9007199254740993");
    json_put_number(&line, "d", "0.1");
    json_put_number(&line, "e", "+Inf");
    json_put_number(&line, "f", "");
    json_put_number(&line, "g", "18446744073709551615");
    json_put_number(&line, "h", "true");
    assert_line(line, "{\"a\":29.97,\"b\":null,\"c\":9007199254740993,\"d\":0.1,\"e\":\"+Inf\","
                      "\"f\":null,\"g\":\"18446744073709551615\",\"h\":\"true\"}\n");
}

static void a_time_is_in_two_parts_of_less_than_53_bits(void **state)
{
    (void)state;
    json_t *line = json_object();
    json_put_time(&line, "a", 1795762671095747449);
    json_put_time(&line, "b", UINT64_MAX);
    assert_line(line, "{\"a_s\":1795762671,\"a_frac_ns\":95747449,\"b_s\":18446744073,"
                      "\"b_frac_ns\":709551615}\n");
}

static void broken_text_is_mended(void **state)
{
    (void)state;
    json_t *line = json_object();
    json_put_text(&line, "t", "\"q\\\xFF\xC3( \xC3\xA9\x1B");
    assert_line(line, "{\"t\":\"\\\"q\\\\\\uFFFD\\uFFFD( \\u00E9\\u001B\"}\n");
}

/** An APP0, a fill byte, a baseline frame header of 4:2:0, and what follows. */
static const uint8_t picture[] = {0xFF, 0xD8, 0xFF, 0xE0, 0,    4, 1,    2,    0xFF, 0xFF, 0xC0,
                                  0,    17,   8,    2,    0xD0, 5, 0,    3,    1,    0x22, 0,
                                  2,    0x11, 1,    3,    0x11, 1, 0xFF, 0xDA, 0,    2};

static void a_shape_is_read_from_the_frame_header(void **state)
{
    (void)state;
    struct jpeg_shape shape, other;
    uint8_t changed[sizeof picture];
    assert_true(jpeg_shape_read(&shape, picture, sizeof picture));
    assert_int_equal(shape.width, 1280);
    assert_int_equal(shape.height, 720);
    assert_int_equal(shape.components, 3);
    assert_int_equal(shape.sampling[0], 0x22);
    assert_int_equal(shape.sampling[2], 0x11);
    memcpy(changed, picture, sizeof picture);
    changed[20] = 0x21; // 4:2:2
    assert_true(jpeg_shape_read(&other, changed, sizeof changed));
    assert_false(jpeg_shape_equals(&shape, &other));
    changed[20] = 0x22;
    changed[3] = 0xE1; // other metadata is no other shape
    assert_true(jpeg_shape_read(&other, changed, sizeof changed));
    assert_true(jpeg_shape_equals(&shape, &other));
}

static void a_shape_of_a_broken_picture_is_none(void **state)
{
    (void)state;
    struct jpeg_shape shape;
    for (size_t bytes = 0; bytes < 28; bytes++) {
        uint8_t *exact = malloc(bytes + 1); // so that a sanitizer sees each byte too many
        memcpy(exact, picture, bytes);
        assert_false(jpeg_shape_read(&shape, exact, bytes));
        assert_int_equal(shape.components, 0);
        free(exact);
    }
    uint8_t broken[sizeof picture];
    for (size_t at = 0; at < 14; at++) {
        memcpy(broken, picture, sizeof picture);
        broken[at] ^= 0xFF;
        (void)jpeg_shape_read(&shape, broken, sizeof broken);
    }
    memcpy(broken, picture, sizeof picture);
    broken[18] = 5;
    assert_false(jpeg_shape_read(&shape, broken, sizeof broken));
    broken[18] = 0;
    assert_false(jpeg_shape_read(&shape, broken, sizeof broken));
}

static const struct frame_member *member(const struct frame_member *members, unsigned count,
                                         const char *name)
{
    while (count > 0 && strcmp(members->name, name) != 0)
        members++, count--;
    assert_int_not_equal(count, 0);
    return members;
}

static void a_frame_keeps_each_digit(void **state)
{
    (void)state;
    struct frame_member members[FRAME_MEMBERS_MAX];
    const struct pinhole_frame frame = {.frame_id = UINT64_MAX,
                                        .sequence = INT64_MAX,
                                        .boot_id = 0xfedcba9800000001,
                                        .timestamp_ns = 12000000034,
                                        .trigger_id = 10,
                                        .exposure_delta_ns = INT64_MIN,
                                        .burst_index = -1};
    const unsigned count = frame_members(members, &frame);
    const struct {
        const char *name, *text;
        bool is_number;
    } expected[] = {{"frame_id", "18446744073709551615", false},
                    {"sequence", "9223372036854775807", true},
                    {"boot_id", "fedcba9800000001", false},
                    {"monotonic_s", "12", true},
                    {"monotonic_frac_ns", "34", true},
                    {"width", "0", true},
                    {"trigger_id", "10", true},
                    {"exposure_delta_ns", "-9223372036854775808", true},
                    {"burst_index", "-1", true}};
    assert_true(count <= FRAME_MEMBERS_MAX);
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
        const struct frame_member *found = member(members, count, expected[i].name);
        assert_string_equal(found->text, expected[i].text);
        assert_int_equal(found->is_number, expected[i].is_number);
    }
}

// --- previews -----------------------------------------------------------------------------------

/** A picture whose frame header says another size, if one is given. */
static struct jpeg_file make_jpeg(bool is_progressive, unsigned said)
{
    static uint8_t pixels[320 * 240 * 3];
    struct jpeg_file file = jpeg_file_encode(JPEG_FILE_420, 320, 240, pixels, 80, is_progressive);
    const size_t header = jpeg_frame_header(file.data, file.bytes);
    assert_int_not_equal(header, 0);
    for (size_t i = 0; said != 0 && i < 4; i++) // height, then width, behind the precision
        file.data[header + 5 + i] = (uint8_t)(i % 2 == 0 ? said >> 8 : said);
    return file;
}

static void assert_preview(const struct jpeg_file *file, unsigned width, unsigned wanted)
{
    struct jpeg_shape shape;
    size_t bytes;
    uint8_t *preview = preview_make(file->data, file->bytes, width, 70, &bytes);
    assert_non_null(preview);
    assert_true(jpeg_shape_read(&shape, preview, bytes));
    assert_int_equal(shape.width, wanted);
    assert_int_equal(shape.height, wanted * 3 / 4);
    free(preview);
}

static void a_preview_is_at_most_as_wide_or_an_eighth(void **state)
{
    (void)state;
    struct jpeg_file file = make_jpeg(false, 0);
    assert_preview(&file, 1000, 320);
    assert_preview(&file, 319, 280);
    assert_preview(&file, 100, 80);
    assert_preview(&file, 1, 40);
    free(file.data);
}

static void assert_no_preview(struct jpeg_file file)
{
    size_t bytes;
    assert_null(preview_make(file.data, file.bytes, 160, 70, &bytes));
    free(file.data);
}

static void no_preview_of_what_is_no_picture_or_too_large(void **state)
{
    (void)state;
    struct jpeg_file file = make_jpeg(false, 0);
    size_t bytes;
    for (size_t cut = 0; cut < jpeg_frame_header(file.data, file.bytes); cut++)
        assert_null(preview_make(file.data, cut, 160, 70, &bytes));
    memset(file.data, 0xA5, file.bytes);
    assert_no_preview(file);
    static uint8_t pixels[16 * 16 * 4];
    assert_no_preview(jpeg_file_encode(JPEG_FILE_CMYK, 16, 16, pixels, 80, false));
    // Small files that would take hundreds of megabytes.
    assert_no_preview(make_jpeg(false, 65000));
    assert_no_preview(make_jpeg(true, 8000));
}

static unsigned allocations_left;
static bool is_once, has_failed;

static void *scarce_malloc(size_t size)
{
    const bool is_to_fail = allocations_left == 0 && !(is_once && has_failed);
    if (allocations_left > 0)
        allocations_left--;
    has_failed = has_failed || is_to_fail;
    return is_to_fail ? NULL : malloc(size);
}

static char *make_line(void)
{
    const struct pinhole_frame frame = {.frame_id = 1, .trigger_id = 2};
    json_t *list = json_array(), *object = json_object();
    json_put_item(&list, json_from_text("one"));
    json_put_item(&list, json_from_text("\xFF"));
    json_put_frame(&object, &frame);
    json_put(&object, "list", list);
    return json_line(object);
}

/** The line is whole or none, whether memory is short for one allocation or from then on. */
static void memory_that_runs_out_anywhere_is_seen_at_the_end(void **state)
{
    (void)state;
    char *whole = make_line();
    assert_non_null(strstr(whole, "\"burst_index\":0,\"list\":[\"one\",\"\\uFFFD\"]}\n"));
    json_set_alloc_funcs(scarce_malloc, free);
    for (int once = 0; once < 2; once++) {
        unsigned lacking = 0, tried = 0;
        is_once = once;
        do {
            has_failed = false;
            allocations_left = tried++;
            char *line = make_line();
            if (line != NULL)
                assert_string_equal(line, whole);
            lacking += line == NULL;
            free(line);
        } while (has_failed);
        assert_true(lacking > 50);
    }
    json_set_alloc_funcs(malloc, free);
    free(whole);
}

static void names_survive_levels(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"cam-1", "cam-1"},   {"cam_1", "cam__1"},      {"line 1.5", "line_201_2e5"},
        {"/+#", "_2f_2b_23"}, {"K\xc3\xa4", "K_c3_a4"}, {"_20", "__20"},
    };
    char level[LEVEL_BYTES], name[64];
    for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
        assert_true(level_from_name(level, sizeof level, pairs[i][0]));
        assert_string_equal(level, pairs[i][1]);
        assert_true(level_to_name(name, sizeof name, level));
        assert_string_equal(name, pairs[i][0]);
    }
    for (unsigned c = 1; c < 256; c++) { // each byte, alone and before digits
        const char one[] = {(char)c, '2', '0', '\0'};
        assert_true(level_from_name(level, sizeof level, one));
        assert_int_equal(strspn(level, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789-_"),
                         strlen(level));
        assert_true(level_to_name(name, sizeof name, level));
        assert_string_equal(name, one);
    }
}

static void odd_levels_have_no_name(void **state)
{
    (void)state;
    static const char *const levels[] = {"a b", "a.b", "_",   "_2",  "_2E",
                                         "_41", "_5f", "_00", "\xc3"};
    char name[64], level[4];
    for (unsigned i = 0; i < ARRAY_SIZE(levels); i++)
        assert_false(level_to_name(name, sizeof name, levels[i]));
    assert_false(level_from_name(level, sizeof level, "a. b"));
    assert_string_equal(level, "a");
    assert_false(level_to_name(level, sizeof level, "abcd"));
}

static void a_secret_is_the_first_line_of_its_file(void **state)
{
    (void)state;
    char path[] = "/tmp/pinhole-secret-XXXXXX", secret[16], why[200];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "se;cr et\r\nmore", 14), 14);
    close(fd);
    assert_int_equal(secret_read(path, "none", secret, sizeof secret, why, sizeof why), 0);
    assert_string_equal(secret, "se;cr et");
    unlink(path);
    assert_int_equal(secret_read(path, "none", secret, sizeof secret, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, path));
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(secret_read("", "none", secret, sizeof secret, why, sizeof why), -ENOENT);
    setenv("CREDENTIALS_DIRECTORY", "/tmp", 1);
    assert_int_equal(
        secret_read("", path + strlen("/tmp/"), secret, sizeof secret, why, sizeof why), -ENOENT);
    unsetenv("CREDENTIALS_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_drives_a_terminal_is_harmless),
        cmocka_unit_test(members_keep_their_order_and_integers_their_digits),
        cmocka_unit_test(numbers_are_numbers_where_json_has_them),
        cmocka_unit_test(a_time_is_in_two_parts_of_less_than_53_bits),
        cmocka_unit_test(a_frame_keeps_each_digit),
        cmocka_unit_test(broken_text_is_mended),
        cmocka_unit_test(a_shape_is_read_from_the_frame_header),
        cmocka_unit_test(a_shape_of_a_broken_picture_is_none),
        cmocka_unit_test(names_survive_levels),
        cmocka_unit_test(odd_levels_have_no_name),
        cmocka_unit_test(a_preview_is_at_most_as_wide_or_an_eighth),
        cmocka_unit_test(no_preview_of_what_is_no_picture_or_too_large),
        cmocka_unit_test(a_secret_is_the_first_line_of_its_file),
        cmocka_unit_test(memory_that_runs_out_anywhere_is_seen_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
