// SPDX-License-Identifier: MIT
// The replay camera: the contract, then which files it takes, what it makes of them and in what
// order. The photographs are made here.
#include "tests/host/support/camera_contract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hal/replay/camera_replay.h"
#include "tests/host/support/jpeg_file.h"
#include "tests/host/support/picture.h"

static const struct hal_camera_ops *const ops = &hal_camera_replay;
static char folder[64];

static struct camera_contract contract = {
    .ops = &hal_camera_replay,
    .id = folder,
    .wish = {.framerate = 100},
    .size = {{64, 48}, {320, 200}, {640, 480}, {50, 400}},
    .is_free_running = true,
};
static struct camera_contract contract_mjpeg = {
    .ops = &hal_camera_replay,
    .id = folder,
    .wish = {.format = HAL_PIXEL_MJPEG, .framerate = 100},
    .is_free_running = true,
};

static const uint8_t colour_a[4] = {60, 90, 200}, colour_b[4] = {150, 170, 80},
                     colour_c[4] = {220, 128, 128};

static void add(const char *name, enum jpeg_file_kind kind, uint32_t width, uint32_t height,
                const uint8_t colour[4], bool has_texture)
{
    struct jpeg_file file = jpeg_file_plain(kind, width, height, colour, has_texture);
    jpeg_file_write(folder, name, file.data, file.bytes);
    free(file.data);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pinhole-photos-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int fill_folder(void **state)
{
    if (make_folder(state) != 0)
        return -1;
    add("a.jpg", JPEG_FILE_420, 160, 120, colour_a, true);
    add("b.jpg", JPEG_FILE_444, 160, 120, colour_b, true);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    ops->close();
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static struct hal_camera_config start(const struct hal_camera_config *wish)
{
    struct hal_camera_config got;
    int result = ops->open(folder);
    if (result == 0)
        result = ops->configure(wish, &got);
    if (result == 0)
        result = ops->start();
    if (result != 0)
        fail_msg("%d: %s", result, ops->last_error());
    return got;
}

static void set(unsigned index, const char *name, double value)
{
    assert_string_equal(ops->feature(index)->name, name);
    assert_int_equal(ops->feature_set(index, value), 0);
}

static struct hal_frame next(void)
{
    struct hal_frame frame;
    int got = camera_contract_wait(ops, &frame);
    if (got != 1)
        fail_msg("no frame: %d, %s", got, ops->last_error());
    ops->release(&frame);
    return frame;
}

static void expect_near(unsigned value, unsigned wanted)
{
    if (value + 3 < wanted || value > wanted + 3)
        fail_msg("sample is %u, should be about %u", value, wanted);
}

/** Y, U and V of a frame at even (x, y). */
static void sample(const struct hal_frame *f, uint32_t x, uint32_t y, unsigned out[3])
{
    const struct hal_plane *p = f->plane;
    const uint8_t *luma = p[0].data + (size_t)y * p[0].stride;
    out[0] = luma[f->format == HAL_PIXEL_YUYV ? 2 * x : x];
    out[1] = out[2] = 128;
    if (f->format == HAL_PIXEL_YUYV) {
        out[1] = luma[2 * x + 1];
        out[2] = luma[2 * x + 3];
    } else if (f->format == HAL_PIXEL_NV12) {
        out[1] = p[1].data[(size_t)y / 2 * p[1].stride + x];
        out[2] = p[1].data[(size_t)y / 2 * p[1].stride + x + 1];
    } else if (f->format == HAL_PIXEL_YUV420) {
        out[1] = p[1].data[(size_t)y / 2 * p[1].stride + x / 2];
        out[2] = p[2].data[(size_t)y / 2 * p[2].stride + x / 2];
    }
}

static void expect_colour(const struct hal_frame *frame, uint32_t x, uint32_t y,
                          const uint8_t wanted[4])
{
    unsigned yuv[3];
    sample(frame, x, y, yuv);
    bool is_grey = frame->format == HAL_PIXEL_GREY;
    expect_near(yuv[0], wanted[0]);
    expect_near(yuv[1], is_grey ? 128 : wanted[1]);
    expect_near(yuv[2], is_grey ? 128 : wanted[2]);
}

static void samples_are_passed_on_in_every_format(void **state)
{
    (void)state;
    static const enum jpeg_file_kind kinds[] = {JPEG_FILE_420, JPEG_FILE_444, JPEG_FILE_RGB,
                                                JPEG_FILE_GREY};
    // R G B of about Y 76, Cb 85, Cr 255 is pure red; grey has neutral chroma.
    static const uint8_t red[4] = {255, 0, 0}, red_yuv[4] = {76, 85, 255}, grey[4] = {60, 128, 128};
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        enum jpeg_file_kind kind = kinds[k];
        add("only.jpg", kind, 98, 66, kind == JPEG_FILE_RGB ? red : colour_a, false);
        const uint8_t *wanted = kind == JPEG_FILE_RGB    ? red_yuv
                                : kind == JPEG_FILE_GREY ? grey
                                                         : colour_a;
        for (int format = HAL_PIXEL_YUV420; format <= HAL_PIXEL_GREY; format++) {
            struct hal_camera_config wish = {.format = (enum hal_pixel_format)format,
                                             .framerate = 500};
            start(&wish);
            struct hal_frame frame = next();
            assert_int_equal(frame.width, 98);
            assert_int_equal(frame.height, 66);
            static const uint32_t at[][2] = {{0, 0}, {96, 0}, {0, 64}, {96, 64}, {48, 32}};
            for (size_t i = 0; i < ARRAY_SIZE(at); i++)
                expect_colour(&frame, at[i][0], at[i][1], wanted);
            ops->close();
        }
    }
}

/** What libjpeg itself decodes: upsampling and averaging chroma must cancel out, luma is
 * untouched. */
static void luma_equals_the_decoders(void **state)
{
    (void)state;
    struct jpeg_file file = jpeg_file_plain(JPEG_FILE_420, 161, 123, colour_a, true);
    jpeg_file_write(folder, "odd.jpeg", file.data, file.bytes);
    uint32_t width, height;
    uint8_t *luma = jpeg_file_luma(&file, &width, &height);
    start(&(struct hal_camera_config){.framerate = 500});
    struct hal_frame frame = next();
    assert_int_equal(frame.width, 160); // made even
    assert_int_equal(frame.height, 122);
    for (uint32_t y = 0; y < 122; y++)
        assert_memory_equal(frame.plane[0].data + (size_t)y * frame.plane[0].stride,
                            luma + (size_t)y * width, 160);
    free(luma);
    free(file.data);
}

static void photographs_follow_by_name_endlessly(void **state)
{
    (void)state;
    add("c.jpg", JPEG_FILE_420, 64, 64, colour_c, false);
    add("a.JPG", JPEG_FILE_420, 64, 64, colour_a, false);
    add("b.jpeg", JPEG_FILE_420, 64, 64, colour_b, false);
    jpeg_file_write(folder, "a0.txt", "not a photograph", 16);
    const uint8_t *const order[] = {colour_a, colour_b, colour_c};
    struct hal_camera_config got = start(&(struct hal_camera_config){.framerate = 40});
    assert_true(got.framerate == 40);
    double value;
    assert_int_equal(ops->feature_get(1, &value), 0);
    assert_true(value == 40); // a second each
    struct hal_frame first = next();
    expect_colour(&first, 32, 32, order[first.sensor_sequence / 40 % 3]);
    set(0, "AcquisitionFrameRate", 500);
    assert_int_equal(ops->feature_get(1, &value), 0);
    assert_true(value == 500);
    set(1, "ReplayFrames", 1);
    for (int i = 0; i < 12; i++) {
        struct hal_frame frame = next();
        expect_colour(&frame, 32, 32, order[frame.sensor_sequence % 3]);
    }
    set(1, "ReplayFrames", 4);
    for (int i = 0; i < 24; i++) {
        struct hal_frame frame = next();
        expect_colour(&frame, 32, 32, order[frame.sensor_sequence / 4 % 3]);
    }
}

static void a_small_photograph_stands_in_the_middle_of_grey(void **state)
{
    (void)state;
    add("small.jpg", JPEG_FILE_420, 40, 20, colour_b, false);
    static const uint8_t grey[4] = {128, 128, 128};
    for (int format = HAL_PIXEL_YUV420; format <= HAL_PIXEL_GREY; format++) {
        start(&(struct hal_camera_config){
            .width = 100, .height = 80, .format = (enum hal_pixel_format)format, .framerate = 500});
        struct hal_frame frame = next();
        expect_colour(&frame, 50, 40, colour_b);
        expect_colour(&frame, 30, 30, colour_b);
        expect_colour(&frame, 68, 48, colour_b);
        expect_colour(&frame, 28, 40, grey);
        expect_colour(&frame, 70, 40, grey);
        expect_colour(&frame, 50, 28, grey);
        expect_colour(&frame, 50, 50, grey);
        expect_colour(&frame, 98, 78, grey);
        ops->close();
    }
}

/** The frame must be one and the same window of the photograph in luma and chroma. */
static void a_large_photograph_is_panned_through(void **state)
{
    (void)state;
    struct jpeg_file file = jpeg_file_plain(JPEG_FILE_444, 200, 150, colour_a, true);
    jpeg_file_write(folder, "large.jpg", file.data, file.bytes);
    free(file.data);
    for (int format = HAL_PIXEL_YUV420; format <= HAL_PIXEL_GREY; format++) {
        struct hal_camera_config wish = {.format = (enum hal_pixel_format)format, .framerate = 500};
        start(&wish);
        struct hal_frame whole = next();
        static unsigned all[75][100][3];
        for (uint32_t y = 0; y < 150; y += 2)
            for (uint32_t x = 0; x < 200; x += 2)
                sample(&whole, x, y, all[y / 2][x / 2]);
        ops->close();
        wish.width = 160;
        wish.height = 130;
        start(&wish);
        struct hal_frame before = {0};
        for (int i = 0; i < 60; i++) {
            struct hal_frame frame = next();
            if (frame.sensor_sequence - before.sensor_sequence == 1)
                assert_ptr_not_equal(frame.plane[0].data, before.plane[0].data);
            before = frame;
            // There and back over 40 columns and 20 rows, two at a time.
            uint32_t n = frame.sensor_sequence;
            uint32_t left = n % 40 * 2, top = n % 20 * 2;
            left = left <= 40 ? left : 80 - left;
            top = top <= 20 ? top : 40 - top;
            for (uint32_t y = 0; y < 130; y += 16)
                for (uint32_t x = 0; x < 160; x += 10) {
                    unsigned yuv[3];
                    sample(&frame, x, y, yuv);
                    assert_memory_equal(yuv, all[(y + top) / 2][(x + left) / 2], sizeof yuv);
                }
        }
        ops->close();
    }
}

/** Runs with stderr in a file and returns what was logged. */
static char *logged(int *result, const struct hal_camera_config *wish)
{
    static char text[8192];
    char path[] = "/tmp/pinhole-log-XXXXXX";
    int file = mkstemp(path), saved = dup(2);
    assert_true(file >= 0 && saved >= 0);
    unlink(path);
    dup2(file, 2);
    struct hal_camera_config got;
    *result = ops->open(folder);
    if (*result == 0)
        *result = ops->configure(wish, &got);
    dup2(saved, 2);
    close(saved);
    ssize_t bytes = pread(file, text, sizeof text - 1, 0);
    close(file);
    assert_true(bytes >= 0);
    text[bytes] = '\0';
    return text;
}

static void expect_logged(const char *log, const char *name, const char *reason)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "%s/%s is left out: ", folder, name);
    const char *at = strstr(log, wanted);
    if (at == NULL)
        fail_msg("nothing about %s in: %s", name, log);
    const char *end = strchr(at, '\n'), *found = strstr(at, reason);
    if (found == NULL || found > end)
        fail_msg("'%s' is not the reason in: %.*s", reason, (int)(end - at), at);
}

static void add_broken_files(void)
{
    struct jpeg_file file = jpeg_file_plain(JPEG_FILE_420, 96, 64, colour_a, true);
    jpeg_file_write(folder, "cut.jpg", file.data, file.bytes / 2);
    jpeg_file_write(folder, "empty.jpg", "", 0);
    jpeg_file_write(folder, "text.jpg", "this is no photograph\n", 22);
    jpeg_file_write(folder, "header.jpg", file.data, 100);
    // 96 x 64 becomes 9000 x 64.
    for (size_t i = 0; i + 8 < file.bytes; i++)
        if (file.data[i] == 0xff && file.data[i + 1] == 0xc0) {
            file.data[i + 7] = 9000 >> 8;
            file.data[i + 8] = 9000 & 255;
            break;
        }
    jpeg_file_write(folder, "wide.jpg", file.data, file.bytes);
    free(file.data);
    add("cmyk.jpg", JPEG_FILE_CMYK, 96, 64, colour_a, false);
    char path[128];
    snprintf(path, sizeof path, "%s/folder.jpg", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/fifo.jpg", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/dangling.jpg", folder);
    assert_int_equal(symlink("/nowhere", path), 0);
}

static void broken_files_are_named_and_left_out(void **state)
{
    (void)state;
    add_broken_files();
    add("z.jpg", JPEG_FILE_420, 96, 64, colour_a, false);
    for (int format = HAL_PIXEL_YUV420; format <= HAL_PIXEL_MJPEG; format += 4) {
        int result;
        char *log = logged(&result, &(struct hal_camera_config){
                                        .format = (enum hal_pixel_format)format, .framerate = 500});
        assert_int_equal(result, 0);
        expect_logged(log, "cut.jpg", "Premature end");
        expect_logged(log, "empty.jpg", "empty");
        expect_logged(log, "text.jpg", "not a JPEG file");
        expect_logged(log, "header.jpg", "");
        expect_logged(log, "wide.jpg", "9000x64 pixels are more than 8192x8192");
        expect_logged(log, "cmyk.jpg", "neither grey, YCbCr nor RGB");
        expect_logged(log, "folder.jpg", "not a regular file");
        expect_logged(log, "fifo.jpg", "not a regular file");
        expect_logged(log, "dangling.jpg", "No such file");
        assert_null(strstr(log, "z.jpg is"));
        assert_int_equal(ops->start(), 0);
        struct hal_frame frame = next();
        assert_int_equal(frame.width, 96);
        if (format != HAL_PIXEL_MJPEG)
            expect_colour(&frame, 40, 40, colour_a);
        ops->close();
    }
}

static void a_folder_without_a_readable_photograph_is_an_error(void **state)
{
    (void)state;
    int result;
    assert_int_equal(ops->open(""), -EINVAL);
    assert_int_equal(ops->open("/tmp/pinhole no such folder"), -EINVAL);
    assert_non_null(strstr(ops->last_error(), "/tmp/pinhole no such folder"));
    assert_int_equal(ops->open("/etc/passwd"), -EINVAL);
    assert_non_null(strstr(ops->last_error(), "/etc/passwd"));
    logged(&result, &(struct hal_camera_config){0});
    assert_true(result < 0);
    assert_non_null(strstr(ops->last_error(), folder));
    add_broken_files();
    logged(&result, &(struct hal_camera_config){0});
    assert_int_equal(result, -EINVAL);
    assert_non_null(strstr(ops->last_error(), folder));
    ops->close();
    logged(&result, &(struct hal_camera_config){.width = 96, .height = 64});
    assert_int_equal(result, -EINVAL);
    assert_non_null(strstr(ops->last_error(), folder));
}

static void what_exceeds_the_memory_is_named_and_left_out(void **state)
{
    (void)state;
    for (char name[] = "0.jpg"; name[0] < '6'; name[0]++)
        add(name, JPEG_FILE_420, 128, 128, name[0] == '0' ? colour_a : colour_b, false);
    // 24,576 bytes each: two fit.
    int result;
    char *log =
        logged(&result, &(struct hal_camera_config){.memory_bytes = 60000, .framerate = 500});
    assert_int_equal(result, 0);
    expect_logged(log, "2.jpg", "no room");
    expect_logged(log, "5.jpg", "no room");
    assert_null(strstr(log, "1.jpg is"));
    assert_int_equal(ops->start(), 0);
    set(1, "ReplayFrames", 1);
    for (int i = 0; i < 8; i++) {
        struct hal_frame frame = next();
        expect_colour(&frame, 64, 64, frame.sensor_sequence % 2 ? colour_b : colour_a);
    }
    ops->close();
    logged(&result, &(struct hal_camera_config){.memory_bytes = 20000});
    assert_int_equal(result, -EINVAL);
}

static void mjpeg_hands_out_the_files_themselves(void **state)
{
    (void)state;
    struct jpeg_file files[] = {jpeg_file_plain(JPEG_FILE_420, 96, 64, colour_a, true),
                                jpeg_file_plain(JPEG_FILE_444, 96, 64, colour_b, true)};
    jpeg_file_write(folder, "a.jpg", files[0].data, files[0].bytes);
    jpeg_file_write(folder, "b.jpg", files[1].data, files[1].bytes);
    add("other.jpg", JPEG_FILE_420, 64, 96, colour_a, false);
    int result;
    char *log =
        logged(&result, &(struct hal_camera_config){.format = HAL_PIXEL_MJPEG, .framerate = 500});
    assert_int_equal(result, 0);
    expect_logged(log, "other.jpg", "not the size");
    assert_int_equal(ops->start(), 0);
    set(1, "ReplayFrames", 1);
    for (int i = 0; i < 8; i++) {
        struct hal_frame frame = next();
        const struct jpeg_file *file = &files[frame.sensor_sequence % 2];
        assert_int_equal(frame.format, HAL_PIXEL_MJPEG);
        assert_int_equal(frame.bytes, file->bytes);
        assert_memory_equal(frame.plane[0].data, file->data, file->bytes);
        assert_int_equal(frame.plane[0].stride, 0);
    }
    free(files[0].data);
    free(files[1].data);
}

static void progressive_files_are_read(void **state)
{
    (void)state;
    uint8_t pixels[64 * 64 * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = colour_b[i % 3];
    struct jpeg_file file = jpeg_file_encode(JPEG_FILE_420, 64, 64, pixels, 90, true);
    jpeg_file_write(folder, "progressive.jpg", file.data, file.bytes);
    free(file.data);
    start(&(struct hal_camera_config){.framerate = 500});
    struct hal_frame frame = next();
    expect_colour(&frame, 30, 30, colour_b);
}

static void real_photographs_are_read(void **state)
{
    (void)state;
    static char paths[64][512];
    unsigned count = photo_list(paths, ARRAY_SIZE(paths));
    if (count == 0) {
        print_message("no photographs on this machine: PINHOLE_PHOTOS is not set\n");
        skip();
    }
    struct hal_camera_config got;
    *strrchr(paths[0], '/') = '\0';
    assert_int_equal(ops->open(paths[0]), 0);
    assert_int_equal(ops->configure(&(struct hal_camera_config){.framerate = 500}, &got), 0);
    assert_int_equal(ops->start(), 0);
    set(1, "ReplayFrames", 1);
    uint64_t sum, first = 0;
    bool is_different = false;
    for (unsigned i = 0; i < 10; i++) {
        struct hal_frame frame = next();
        camera_contract_check_frame(&frame, &sum);
        first = i == 0 ? sum : first;
        is_different |= sum != first;
    }
    assert_true(is_different);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest contract_tests[] = {CAMERA_CONTRACT_TESTS(&contract)};
    const struct CMUnitTest mjpeg_tests[] = {CAMERA_CONTRACT_TESTS(&contract_mjpeg)};
    const struct CMUnitTest tests[] = {
        CASE(samples_are_passed_on_in_every_format),
        CASE(luma_equals_the_decoders),
        CASE(photographs_follow_by_name_endlessly),
        CASE(a_small_photograph_stands_in_the_middle_of_grey),
        CASE(a_large_photograph_is_panned_through),
        CASE(broken_files_are_named_and_left_out),
        CASE(a_folder_without_a_readable_photograph_is_an_error),
        CASE(what_exceeds_the_memory_is_named_and_left_out),
        CASE(mjpeg_hands_out_the_files_themselves),
        CASE(progressive_files_are_read),
        CASE(real_photographs_are_read),
    };
    int failed = cmocka_run_group_tests(contract_tests, fill_folder, remove_folder);
    failed += cmocka_run_group_tests(mjpeg_tests, fill_folder, remove_folder);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
