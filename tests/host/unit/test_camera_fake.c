// SPDX-License-Identifier: MIT
// The fake camera: the contract, then what its scene, its pace and its faults promise.
#include "tests/host/support/camera_contract.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/fake/camera_fake.h"
#include "hal/fake/code.h"
#include "hal/fake/sensor.h"
#include "hal/os/clock.h"
#include "tests/host/support/jpeg_file.h"

static const struct hal_camera_ops *const ops = &hal_camera_fake;

static struct camera_contract contract = {
    .ops = &hal_camera_fake,
    .id = "",
    .wish = {.width = 640, .height = 480, .framerate = 100},
    .size = {{1280, 720}, {1640, 1232}, {1456, 1088}, {1920, 1080}, {64, 64}, {322, 242}},
    .is_listed = true,
    .is_free_running = true,
};

static void start_with(const char *script, const struct hal_camera_config *wish)
{
    struct hal_camera_config got;
    assert_int_equal(camera_fake_script(script), 0);
    assert_int_equal(ops->open(""), 0);
    assert_int_equal(ops->configure(wish, &got), 0);
    assert_int_equal(ops->start(), 0);
}

static const struct hal_camera_config small = {.width = 320, .height = 240, .framerate = 100};

static struct hal_frame next(void)
{
    struct hal_frame frame;
    int got = camera_contract_wait(ops, &frame);
    if (got != 1)
        fail_msg("no frame: %d, %s", got, ops->last_error());
    return frame;
}

static struct hal_frame next_released(void)
{
    struct hal_frame frame = next();
    ops->release(&frame);
    return frame;
}

static int close_camera(void **state)
{
    (void)state;
    ops->close();
    return camera_fake_script("");
}

static unsigned feature(const char *name)
{
    unsigned i = 0;
    while (strcmp(ops->feature(i)->name, name) != 0)
        i++;
    return i;
}

static double get(const char *name)
{
    double value;
    assert_int_equal(ops->feature_get(feature(name), &value), 0);
    return value;
}

static int set(const char *name, double value)
{
    return ops->feature_set(feature(name), value);
}

static void check_code(const struct hal_frame *frame, bool hflip, bool vflip)
{
    struct fake_code code;
    int result =
        fake_code_read(frame->plane[0].data, frame->plane[0].stride,
                       frame->format == HAL_PIXEL_YUYV ? 2 : 1, frame->width, frame->height, &code);
    if (result != 0)
        fail_msg("%s %ux%u: code not readable, %d", hal_pixel_format_name(frame->format),
                 frame->width, frame->height, result);
    assert_int_equal(code.sequence, frame->sensor_sequence);
    assert_true(code.timestamp_ns == frame->timestamp_ns);
    assert_int_equal(code.hflip, hflip);
    assert_int_equal(code.vflip, vflip);
}

static void check_code_in_jpeg(const struct hal_frame *frame, int quality)
{
    struct jpeg_file file = jpeg_file_of_frame(frame, quality);
    struct hal_frame decoded = *frame;
    uint8_t *luma = jpeg_file_luma(&file, &decoded.width, &decoded.height);
    decoded.format = HAL_PIXEL_GREY;
    decoded.plane[0] = (struct hal_plane){luma, decoded.width, decoded.height};
    check_code(&decoded, false, false);
    free(luma);
    free(file.data);
}

static void code_survives_jpeg_at_quality_20(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{320, 240},   {322, 246},   {640, 480},  {1280, 720},
                                        {1456, 1088}, {1640, 1232}, {1920, 1080}};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        for (int format = HAL_PIXEL_YUV420; format <= HAL_PIXEL_GREY; format++) {
            struct hal_camera_config wish = {.width = sizes[i][0],
                                             .height = sizes[i][1],
                                             .format = (enum hal_pixel_format)format,
                                             .framerate = 100};
            start_with("", &wish);
            next_released();
            struct hal_frame frame = next();
            check_code(&frame, false, false);
            check_code_in_jpeg(&frame, 20);
            ops->close();
        }
}

static void code_of_a_small_picture_survives_quality_60(void **state)
{
    (void)state;
    const struct hal_camera_config wish = {.width = 160, .height = 120, .framerate = 100};
    start_with("", &wish);
    struct hal_frame frame = next();
    check_code_in_jpeg(&frame, 60);
}

static void code_tells_a_mirrored_picture(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++)
        for (int format = HAL_PIXEL_YUV420; format <= HAL_PIXEL_GREY; format++) {
            struct hal_camera_config wish = small;
            wish.format = (enum hal_pixel_format)format;
            wish.hflip = way & 1;
            wish.vflip = way & 2;
            start_with("", &wish);
            struct hal_frame frame = next();
            check_code(&frame, way & 1, way & 2);
            ops->close();
        }
}

static void code_damage_is_noticed(void **state)
{
    (void)state;
    start_with("", &small);
    struct hal_frame frame = next();
    struct fake_code code;
    uint8_t *luma = malloc(frame.plane[0].stride * 240u);
    assert_non_null(luma);
    memcpy(luma, frame.plane[0].data, frame.plane[0].stride * 240u);
    uint32_t cell = fake_code_cell(320, 240);
    // One payload cell turned over: the second row's first.
    for (uint32_t y = 0; y < cell; y++)
        for (uint32_t x = 0; x < cell; x++) {
            uint8_t *at = luma + (2 * cell + y) * frame.plane[0].stride + cell + x;
            *at = *at > 128 ? 16 : 235;
        }
    assert_int_equal(fake_code_read(luma, frame.plane[0].stride, 1, 320, 240, &code), -EBADMSG);
    memset(luma, 90, frame.plane[0].stride * 240u);
    assert_int_equal(fake_code_read(luma, frame.plane[0].stride, 1, 320, 240, &code), -ENOENT);
    free(luma);
}

static void picture_moves(void **state)
{
    (void)state;
    start_with("", &small);
    // Compares below the code and the text, where only the parcels move.
    struct hal_frame first = next(), second = next();
    for (int i = 0; i < 10; i++) {
        ops->release(&second);
        second = next();
    }
    bool is_different = false;
    for (uint32_t y = 100; y < 240; y++)
        is_different |= memcmp(first.plane[0].data + y * first.plane[0].stride,
                               second.plane[0].data + y * second.plane[0].stride, 320) != 0;
    assert_true(is_different);
}

/** What is restored under a moving parcel must equal what was there: a picture drawn for the same
 * moment on a fresh background is the same. */
static void moving_parts_leave_no_trail(void **state)
{
    (void)state;
    start_with("", &small);
    for (int i = 0; i < 30; i++)
        next_released();
    ops->feature_set(feature("TestPattern"), FAKE_PATTERN_BARS);
    next_released();
    struct hal_frame frame = next();
    // Bars have no vertical structure: every row below code and text is the same.
    const struct hal_plane *luma = &frame.plane[0];
    for (uint32_t y = 120; y < 240; y++)
        assert_memory_equal(luma->data + y * luma->stride, luma->data + 119 * luma->stride, 320);
}

static void timestamps_keep_the_period(void **state)
{
    (void)state;
    start_with("", &small);
    struct hal_frame first = next_released();
    for (int i = 0; i < 20; i++) {
        struct hal_frame frame = next_released();
        uint64_t periods = frame.sensor_sequence - first.sensor_sequence;
        assert_true(frame.timestamp_ns - first.timestamp_ns == periods * 10 * NS_PER_MS);
        assert_int_equal(frame.frame_duration_us, 10000);
    }
    usleep(55000); // nobody looks for five periods
    struct hal_frame late = next_released(), after = next_released();
    assert_true((late.timestamp_ns - first.timestamp_ns) % (10 * NS_PER_MS) == 0);
    assert_true(after.sensor_sequence - first.sensor_sequence > 20 + 5);
}

static void rate_changes_without_a_jump(void **state)
{
    (void)state;
    start_with("", &small);
    struct hal_frame before = next_released();
    static const double rates[] = {240, 50, 120};
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        assert_int_equal(set("AcquisitionFrameRate", rates[i]), 0);
        for (int k = 0; k < 5; k++) {
            struct hal_frame frame = next_released();
            assert_true(frame.timestamp_ns > before.timestamp_ns);
            assert_true((int32_t)(frame.sensor_sequence - before.sensor_sequence) > 0);
            assert_int_equal(frame.frame_duration_us, (uint32_t)(1e6 / rates[i]));
            before = frame;
        }
    }
}

static uint64_t brightness(void)
{
    struct hal_frame frame = next();
    uint64_t sum;
    camera_contract_check_frame(&frame, &sum);
    ops->release(&frame);
    return sum;
}

static void exposure_and_gain_change_the_brightness(void **state)
{
    (void)state;
    start_with("", &small);
    uint64_t nominal = brightness();
    assert_int_equal(set("ExposureAuto", 0), 0);
    assert_int_equal(set("GainAuto", 0), 0);
    assert_int_equal(set("ExposureTime", 2000), 0);
    uint64_t dark = brightness();
    assert_true(dark * 2 < nominal);
    assert_int_equal(set("Gain", 4), 0);
    uint64_t restored = brightness();
    assert_true(restored > nominal * 95 / 100 && restored < nominal * 105 / 100);
    assert_int_equal(set("Gain", 16), 0);
    assert_true(brightness() > nominal * 5 / 4);
    struct hal_frame frame = next();
    assert_int_equal(frame.exposure_us, 2000);
    assert_int_equal(frame.gain_milli, 16000);
    check_code(&frame, false, false);
}

static void automatic_modes_own_their_values(void **state)
{
    (void)state;
    start_with("", &small);
    assert_int_equal(set("ExposureTime", 1000), -EACCES);
    assert_int_equal(set("Gain", 2), -EACCES);
    assert_true(get("ExposureTime") == FAKE_SENSOR_NOMINAL_US);
    assert_int_equal(set("AutoExposureTimeUpperLimit", 4000), 0);
    assert_true(get("ExposureTime") == 4000 && get("Gain") == 2);
    assert_int_equal(set("AutoExposureTimeLowerLimit", 5000), 0); // takes the other one along
    assert_true(get("ExposureTime") == 5000 && get("AutoExposureTimeUpperLimit") == 5000);
    assert_int_equal(set("AutoExposureTimeLowerLimit", 10), 0);
    assert_int_equal(set("AutoExposureTimeUpperLimit", 1000000), 0);
    assert_true(get("ExposureTime") == FAKE_SENSOR_NOMINAL_US);
    assert_int_equal(set("ExposureAuto", 0), 0);
    assert_int_equal(set("ExposureTime", 1000), 0);
    assert_true(get("Gain") == 8); // what GainAuto makes of it
    assert_int_equal(set("GainAuto", 0), 0);
    assert_true(get("Gain") == 8); // kept when the automatic ends
    assert_int_equal(set("Gain", 2), 0);
    assert_int_equal(set("ExposureAuto", 1), 0); // once
    assert_true(get("ExposureAuto") == 0);
    assert_true(get("ExposureTime") == FAKE_SENSOR_NOMINAL_US / 2.0);
    // Exposure ends with the frame, at the latest.
    assert_int_equal(set("ExposureTime", 500000), 0);
    assert_true(get("ExposureTime") == 10000);
    assert_int_equal(set("AcquisitionFrameRate", 50), 0);
    assert_true(get("ExposureTime") == 20000);
    assert_int_equal(set("ExposureTime", 5), -EINVAL);
}

static void stall_loses_frames_and_goes_on(void **state)
{
    (void)state;
    start_with("at 5 stall 200ms", &small);
    struct hal_frame frame;
    do
        frame = next_released();
    while (frame.sensor_sequence < 5);
    assert_true(frame.sensor_sequence >= 5 + 19);
    struct hal_frame after = next_released();
    assert_true(after.timestamp_ns > frame.timestamp_ns);
}

static void freeze_lasts_until_restart(void **state)
{
    (void)state;
    start_with("at 3 freeze", &small);
    struct hal_frame frame = {0};
    struct pollfd wait = {.fd = ops->fd(), .events = POLLIN};
    while (poll(&wait, 1, 500) == 1)
        if (ops->acquire(&frame) == 1)
            ops->release(&frame);
    assert_true(frame.sensor_sequence < 3);
    assert_int_equal(ops->acquire(&frame), 0);
    ops->stop();
    assert_int_equal(ops->start(), 0);
    for (int i = 0; i < 5; i++)
        next_released();
}

static void freezes_that_are_due_together_take_turns(void **state)
{
    (void)state;
    start_with("at 1 freeze\nat 2 freeze\n", &small);
    usleep(50000); // five frames, of which nobody took any
    struct hal_frame frame;
    struct pollfd wait = {.fd = ops->fd(), .events = POLLIN};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(poll(&wait, 1, -1), 1);
        assert_int_equal(ops->acquire(&frame), 0);
        assert_int_equal(poll(&wait, 1, 100), 0);
        ops->stop();
        assert_int_equal(ops->start(), 0);
    }
    next_released();
}

static void dropped_frames_leave_a_gap(void **state)
{
    (void)state;
    start_with("at 5 drop 3", &small);
    struct hal_frame frame;
    do {
        frame = next_released();
        assert_false(frame.sensor_sequence >= 5 && frame.sensor_sequence < 8);
    } while (frame.sensor_sequence < 10);
}

static void count_torn(const char *script, unsigned *flagged, unsigned *spoilt)
{
    start_with(script, &small);
    *flagged = *spoilt = 0;
    struct hal_frame frame;
    do {
        frame = next_released();
        bool is_zero = frame.plane[0].data[239 * frame.plane[0].stride + 100] == 0 &&
                       frame.plane[1].data[119 * frame.plane[1].stride + 50] == 0;
        *flagged += (frame.flags & HAL_FRAME_TORN) != 0;
        *spoilt += is_zero;
        check_code(&frame, false, false);
    } while (frame.sensor_sequence < 20);
    ops->close();
}

static void torn_frames_are_flagged_and_heal(void **state)
{
    (void)state;
    unsigned flagged, spoilt;
    count_torn("at 5 torn", &flagged, &spoilt);
    assert_int_equal(flagged, 1);
    assert_int_equal(spoilt, 1);
    count_torn("at 5 torn-unseen", &flagged, &spoilt);
    assert_int_equal(flagged, 0);
    assert_int_equal(spoilt, 1);
}

static void stream_error_ends_the_stream(void **state)
{
    (void)state;
    start_with("at 3 stream-error", &small);
    struct hal_frame frame;
    int got;
    while ((got = camera_contract_wait(ops, &frame)) == 1)
        ops->release(&frame);
    assert_int_equal(got, -EIO);
    assert_non_null(strstr(ops->last_error(), "stream error"));
    assert_int_equal(ops->acquire(&frame), -EIO);
    ops->stop();
    ops->close();
    assert_int_equal(ops->open(""), 0);
    struct hal_camera_config got_config;
    assert_int_equal(ops->configure(&small, &got_config), 0);
    assert_int_equal(ops->start(), 0);
    // The script has passed frame 3: the error does not come again.
    for (int i = 0; i < 6; i++)
        next_released();
}

static void unplugged_camera_comes_back(void **state)
{
    (void)state;
    start_with("at 3 unplug 300ms", &small);
    struct hal_frame frame;
    struct hal_camera_info info;
    int got;
    while ((got = camera_contract_wait(ops, &frame)) == 1)
        ops->release(&frame);
    uint64_t unplugged_ns = clock_now_ns();
    assert_int_equal(got, -ENODEV);
    ops->stop();
    ops->close();
    int result = ops->open("");
    if (clock_now_ns() - unplugged_ns <
        250 * NS_PER_MS) { // this machine was quick enough to see it
        assert_int_equal(result, -ENODEV);
        assert_non_null(strstr(ops->last_error(), "unplugged"));
    }
    ops->close();
    while (ops->open("") != 0) {
        assert_true(clock_now_ns() - unplugged_ns < 10 * NS_PER_S);
        usleep(10000);
    }
    assert_int_equal(ops->enumerate(&info, 1), 1);
    struct hal_camera_config got_config;
    assert_int_equal(ops->configure(&small, &got_config), 0);
    assert_int_equal(ops->start(), 0);
    next_released();
}

static void unplugged_for_good_is_not_listed(void **state)
{
    (void)state;
    start_with("at 0 unplug", &small);
    struct hal_frame frame;
    struct hal_camera_info info;
    assert_int_equal(camera_contract_wait(ops, &frame), -ENODEV);
    ops->close();
    assert_int_equal(ops->enumerate(&info, 1), 0);
    assert_int_equal(ops->open(""), -ENODEV);
}

static void calls_fail_as_often_as_the_script_says(void **state)
{
    (void)state;
    struct hal_camera_config got;
    assert_int_equal(camera_fake_script("open-fail 2\nconfigure-fail 1\nstart-fail 1"), 0);
    assert_int_equal(ops->open(""), -ENODEV);
    assert_int_equal(ops->open(""), -ENODEV);
    assert_int_equal(ops->open(""), 0);
    assert_int_equal(ops->configure(&small, &got), -EIO);
    assert_int_equal(ops->configure(&small, &got), 0);
    assert_int_equal(ops->start(), -EIO);
    assert_string_not_equal(ops->last_error(), "");
    assert_int_equal(ops->start(), 0);
    next_released();
}

static void strides_are_as_the_script_says(void **state)
{
    (void)state;
    start_with("", &small);
    assert_int_equal(next().plane[0].stride, 320);
    ops->close();
    start_with("padding 26", &small);
    struct hal_frame frame = next();
    assert_int_equal(frame.plane[0].stride, 346);
    assert_int_equal(frame.plane[1].stride, 173);
    camera_contract_check_frame(&frame, NULL);
    check_code(&frame, false, false);
    ops->close();
    start_with("padding 7", &small);
    frame = next();
    camera_contract_check_frame(&frame, NULL);
    check_code(&frame, false, false);
    ops->close();
    // Shorter than a row: the node has to refuse it; here nothing may crash.
    start_with("stride 300", &small);
    assert_int_equal(next().plane[0].stride, 300);
}

static void script_files_are_read_once(void **state)
{
    (void)state;
    char path[] = "/tmp/pinhole-script-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "open-fail 1\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    assert_int_equal(ops->open(path), -ENODEV);
    assert_int_equal(ops->open(path), 0);
    ops->close();
    assert_int_equal(ops->open(path), 0);
    ops->close();
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "# x\nboom\n", 9), 9);
    close(fd);
    assert_int_equal(camera_fake_script(""), 0);
    assert_int_equal(ops->open(path), -EINVAL);
    assert_non_null(strstr(ops->last_error(), path));
    assert_non_null(strstr(ops->last_error(), ":2: 'boom'"));
    unlink(path);
    assert_int_equal(ops->open(path), -EINVAL);
    assert_non_null(strstr(ops->last_error(), path));
    assert_non_null(strstr(ops->last_error(), "No such file"));
}

static void sizes_out_of_range_are_refused(void **state)
{
    (void)state;
    struct hal_camera_config got, wish = {.width = 8194, .height = 100};
    assert_int_equal(ops->open(""), 0);
    assert_int_equal(ops->configure(&wish, &got), -EINVAL);
    wish = (struct hal_camera_config){.width = 62, .height = 64};
    assert_int_equal(ops->configure(&wish, &got), -EINVAL);
    wish = (struct hal_camera_config){.format = HAL_PIXEL_MJPEG};
    assert_int_equal(ops->configure(&wish, &got), -EINVAL);
    assert_non_null(strstr(ops->last_error(), "MJPEG"));
    wish = (struct hal_camera_config){.width = 641, .height = 481, .buffers = 99};
    assert_int_equal(ops->configure(&wish, &got), 0);
    assert_int_equal(got.width, 640);
    assert_int_equal(got.height, 480);
    assert_int_equal(got.buffers, HAL_CAMERA_BUFFERS_MAX);
    wish = (struct hal_camera_config){0};
    assert_int_equal(ops->configure(&wish, &got), 0);
    assert_int_equal(got.width, 1280);
    assert_int_equal(got.height, 720);
    assert_int_equal(got.format, HAL_PIXEL_YUV420);
    assert_int_equal(got.buffers, 4);
    assert_true(got.framerate == 30);
}

static void every_even_small_size_draws(void **state)
{
    (void)state;
    assert_int_equal(ops->open(""), 0);
    for (uint32_t w = 64; w < 200; w += 26)
        for (uint32_t h = 64; h < 200; h += 34)
            for (int pattern = 0; pattern < 3; pattern++) {
                struct hal_camera_config got, wish = {.width = w, .height = h, .framerate = 240};
                wish.format = (enum hal_pixel_format)(1 + (w + h + (uint32_t)pattern) / 2 % 4);
                assert_int_equal(ops->configure(&wish, &got), 0);
                assert_int_equal(set("TestPattern", pattern), 0);
                assert_int_equal(ops->start(), 0);
                struct hal_frame frame = next_released();
                camera_contract_check_frame(&frame, NULL);
                ops->stop();
            }
}

#define CASE(name) cmocka_unit_test_teardown(name, close_camera)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAMERA_CONTRACT_TESTS(&contract) //
        CASE(code_survives_jpeg_at_quality_20),
        CASE(code_of_a_small_picture_survives_quality_60),
        CASE(code_tells_a_mirrored_picture),
        CASE(code_damage_is_noticed),
        CASE(picture_moves),
        CASE(moving_parts_leave_no_trail),
        CASE(timestamps_keep_the_period),
        CASE(rate_changes_without_a_jump),
        CASE(exposure_and_gain_change_the_brightness),
        CASE(automatic_modes_own_their_values),
        CASE(stall_loses_frames_and_goes_on),
        CASE(freeze_lasts_until_restart),
        CASE(freezes_that_are_due_together_take_turns),
        CASE(dropped_frames_leave_a_gap),
        CASE(torn_frames_are_flagged_and_heal),
        CASE(stream_error_ends_the_stream),
        CASE(unplugged_camera_comes_back),
        CASE(unplugged_for_good_is_not_listed),
        CASE(calls_fail_as_often_as_the_script_says),
        CASE(strides_are_as_the_script_says),
        CASE(script_files_are_read_once),
        CASE(sizes_out_of_range_are_refused),
        CASE(every_even_small_size_draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
