// SPDX-License-Identifier: MIT
// A USB camera from its bus to the subscriber: the kernel's uvcvideo, libcamera's pipeline for it,
// the backend, the node, the protocol. Only the device itself is played (usb_camera.h). Needs root,
// vhci_hcd, uvcvideo and a running udevd, which make check-vm has.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hal/libcamera/load.h"
#include "tests/host/support/camera_contract.h"
#include "tests/host/support/jpeg_file.h"
#include "tests/host/support/usb_bench.h"

#ifndef HAVE_LIBCAMERA
int main(void)
{
    puts("skipped: built without libcamera");
    return 77;
}
#else

static void is_listed_with_its_sizes(void **state)
{
    (void)state;
    char line[256], text[2048] = "", expected[256];
    const char *build = getenv("BUILD");
    snprintf(line, sizeof line, "%s/pinhole --list-cameras 2>/dev/null",
             build != NULL ? build : "build/release");
    FILE *output = popen(line, "r");
    assert_non_null(output);
    text[fread(text, 1, sizeof text - 1, output)] = 0;
    assert_int_equal(pclose(output), 0);
    snprintf(expected, sizeof expected, "libcamera:%s: " USB_CAMERA_MODEL ", external\n",
             usb_bench.id);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "    MJPEG   640x480\n"));
    assert_non_null(strstr(text, "    MJPEG   1280x720\n"));
    assert_non_null(strstr(text, "    YUYV    320x240\n"));
}

// --- its own JPEGs ------------------------------------------------------------------------------

/** DMA buffers that the node has mapped, of this exporter in the kernel. */
static unsigned count_buffers(const char *exporter)
{
    char command[128], line[16] = "";
    snprintf(command, sizeof command, "grep -l '%s' /proc/%d/fdinfo/* | wc -l", exporter,
             (int)usb_bench.node.pid);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    assert_non_null(fgets(line, sizeof line, output));
    pclose(output);
    return (unsigned)atoi(line);
}

static void its_jpegs_arrive_as_it_made_them(void **state)
{
    (void)state;
    struct hal_camera_config chosen;
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    usb_bench_take_first();
    assert_true(usb_camera_streams(&chosen));
    assert_int_equal(chosen.format, HAL_PIXEL_MJPEG);
    assert_int_equal(chosen.width, 640);
    usb_bench_take_jpegs(100);
    assert_int_equal(usb_bench_counter("pinhole_encodes_total"), 0);
    assert_int_equal(count_buffers("exp_name:.*videobuf2"), 4); // the driver's own
    print_message("100 frames of %u that the camera made\n", usb_bench.frame.sensor_sequence + 1);
    usb_bench_stop();
}

static void a_part_of_its_model_finds_it_and_sizes_change_live(void **state)
{
    (void)state;
    usb_bench_start("uvc TEST", "MJPEG", 1280, 720, "");
    usb_bench_take_first();
    assert_int_equal(usb_bench.frame.width, 1280);
    usb_bench_take_jpegs(10);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pinhole_set_lines(usb_bench.node.client, "Width=640\nHeight=480\n"), 0);
        usb_bench_take_state(WIRE_CAMERA_RECONFIGURED);
        usb_bench_take_restarted();
        assert_int_equal(usb_bench.frame.width, 640);
        usb_bench_take_jpegs(5);
        assert_int_equal(pinhole_set_lines(usb_bench.node.client, "Width=1280\nHeight=720\n"), 0);
        usb_bench_take_state(WIRE_CAMERA_RECONFIGURED);
        usb_bench_take_restarted();
        assert_int_equal(usb_bench.frame.width, 1280);
        usb_bench_take_jpegs(5);
    }
    usb_bench_stop();
}

/** Has the camera send something odd until the node got it: on a busy machine the kernel may have
 * no buffer for just that picture. True when its frame came, unchecked, false when an event came
 * for it. */
static bool provoke(enum usb_camera_oddity oddity, struct pinhole_frame *before)
{
    for (int attempt = 0; attempt < 10; attempt++) {
        assert_int_equal(usb_camera_send(oddity), 0);
        uint32_t odd = usb_camera_odd_number();
        do {
            *before = usb_bench.frame;
            if (usb_bench_take() == PINHOLE_EVENT) {
                assert_int_equal(usb_bench.event.kind, PINHOLE_EVENT_FRAME_LOST);
                assert_int_equal(usb_bench.event.sensor_sequence + usb_bench.offset, odd);
                return false;
            }
            if (usb_bench.frame.sensor_sequence + usb_bench.offset == odd)
                return true;
            usb_bench_check(before);
        } while ((int32_t)(usb_bench.number - odd) < 0);
    }
    fail_msg("the kernel dropped ten odd pictures");
    return false;
}

/** Delivered all the same, as the camera gave it, and flagged. `lost` bytes of it are missing. */
static void take_torn(enum usb_camera_oddity oddity, size_t lost)
{
    static uint8_t sent[USB_CAMERA_JPEG_MAX];
    struct pinhole_frame before, *frame = &usb_bench.frame;
    assert_true(provoke(oddity, &before));
    assert_true(frame->flags & PINHOLE_FRAME_TORN);
    uint32_t odd = usb_camera_odd_number();
    size_t bytes = usb_camera_jpeg(odd, frame->width, frame->height, false, sent);
    assert_int_equal(frame->jpeg_bytes, bytes - lost);
    assert_memory_equal(usb_bench.jpeg, sent, lost > 0 ? 2 * lost : bytes);
    frame->flags &= ~(uint32_t)PINHOLE_FRAME_TORN;
    usb_bench_check_order(&before, odd);
}

static void what_it_does_wrong_is_told_and_the_stream_goes_on(void **state)
{
    (void)state;
    struct pinhole_frame before;
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    usb_bench_take_first();
    usb_bench_take_jpegs(5);
    assert_false(provoke(USB_CAMERA_BIG, &before));
    assert_non_null(strstr(usb_bench.text, "the camera's JPEG has"));
    assert_non_null(strstr(usb_bench.text, "frame_bytes_max is " USB_BENCH_BYTES_MAX));
    assert_int_equal(usb_bench_counter("pinhole_frames_dropped_total{reason=\"size\"}"), 1);
    usb_bench_take_jpegs(5);
    assert_false(provoke(USB_CAMERA_GARBAGE, &before));
    assert_non_null(strstr(usb_bench.text, "is no JPEG"));
    usb_bench_take_jpegs(5);
    take_torn(USB_CAMERA_ERROR, 0);
    usb_bench_take_jpegs(5);
    take_torn(USB_CAMERA_LOSS, USB_CAMERA_PAYLOAD);
    usb_bench_take_jpegs(5);
    assert_int_equal(usb_bench_counter("pinhole_frames_torn_total"), 2);
    assert_int_equal(usb_bench_counter("pinhole_camera_restarts_total{how=\"restart\"}"), 0);
    usb_bench_stop();
}

/** It does not tell its rate, so the node leaves frames out. */
static void fewer_frames_than_it_makes_can_be_had(void **state)
{
    (void)state;
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    usb_bench_take_first();
    usb_bench_set("AcquisitionFrameRate", "2");
    usb_bench_take_jpegs(3); // those under way
    // In step with the wish: a late frame brings the next one nearer, not the one after that.
    uint64_t first_ns = usb_bench.frame.timestamp_ns;
    usb_bench_take_jpegs(5);
    assert_true(usb_bench.frame.timestamp_ns - first_ns > 1900 * NS_PER_MS);
    usb_bench_stop();
}

// --- pictures that the node encodes, controls ---------------------------------------------------

/** Which of the scenes the picture shows. */
static unsigned recognise(void)
{
    const struct jpeg_file file = {.data = usb_bench.jpeg, .bytes = usb_bench.frame.jpeg_bytes};
    uint32_t width, height;
    uint8_t *luma = jpeg_file_luma(&file, &width, &height);
    assert_int_equal(width, 320);
    assert_int_equal(height, 240);
    for (unsigned i = 0; i < USB_CAMERA_PICTURES; i++) {
        const uint8_t *scene = usb_camera_luma(i);
        uint64_t difference = 0;
        for (size_t at = 0; at < 320 * 240; at++)
            difference += (uint64_t)abs(luma[at] - scene[at]);
        if (difference < UINT64_C(4) * 320 * 240) {
            free(luma);
            return i;
        }
    }
    free(luma);
    fail_msg("frame %u shows none of the scenes", usb_bench.frame.sensor_sequence);
    return 0;
}

static void its_yuyv_is_encoded(void **state)
{
    (void)state;
    usb_bench_start(usb_bench.id, "YUYV", 320, 240, "");
    while (usb_bench_take() != PINHOLE_FRAME)
        ;
    unsigned phase = (recognise() - usb_bench.frame.sensor_sequence) % USB_CAMERA_PICTURES;
    for (int i = 0; i < 30; i++) {
        struct pinhole_frame before = usb_bench.frame;
        assert_int_equal(usb_bench_take(), PINHOLE_FRAME);
        usb_bench.offset = before.sensor_sequence - usb_bench.frame.sensor_sequence;
        usb_bench_check_order(&before, before.sensor_sequence);
        assert_in_range(usb_bench.frame.quality, 1, 100);
        assert_int_equal((recognise() - usb_bench.frame.sensor_sequence) % USB_CAMERA_PICTURES,
                         phase);
    }
    usb_bench_stop();
}

static unsigned libcamera_minor(void)
{
    unsigned minor = 0;
    assert_int_equal(sscanf(hal_camera_libcamera.version(), "v0.%u", &minor), 1);
    return minor;
}

static void its_controls_are_features(void **state)
{
    (void)state;
    struct pinhole_feature feature;
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    usb_bench_take_first();
    usb_bench_set("Brightness", "0.5");
    usb_bench_await_control(USB_CAMERA_BRIGHTNESS, 32);
    usb_bench_set("Contrast", "1.5");
    usb_bench_await_control(USB_CAMERA_CONTRAST, 64);
    usb_bench_set("Saturation", "0");
    usb_bench_await_control(USB_CAMERA_SATURATION, 0);
    // Its exposure is automatic, its gain is not. Before 0.5 libcamera has one switch for both.
    if (libcamera_minor() >= 5) {
        assert_int_equal(pinhole_find_feature(usb_bench.node.client, "GainAuto", &feature),
                         -ENOENT);
        usb_bench_set("Gain", "2");
        usb_bench_await_control(USB_CAMERA_GAIN, 192);
    }
    assert_int_equal(usb_camera_control(USB_CAMERA_AE_MODE), 8);
    assert_int_equal(pinhole_set(usb_bench.node.client, "ExposureTime", "10000"), -EACCES);
    usb_bench_set("ExposureAuto", "Off");
    usb_bench_await_control(USB_CAMERA_AE_MODE, 1);
    usb_bench_set("ExposureTime", "10000");
    usb_bench_await_control(USB_CAMERA_EXPOSURE, 100);
    usb_bench_stop();
}

// --- the contract -------------------------------------------------------------------------------

static struct camera_contract contract = {
    .ops = &hal_camera_libcamera,
    .id = usb_bench.id,
    .wish = {.width = 640, .height = 480, .format = HAL_PIXEL_MJPEG, .framerate = 10},
    .size = {{1280, 720}, {640, 480}},
    .is_listed = true,
    .is_free_running = true,
    .cycles = 20,
};

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {USB_CASE(is_listed_with_its_sizes),
                                       USB_CASE(its_jpegs_arrive_as_it_made_them),
                                       USB_CASE(a_part_of_its_model_finds_it_and_sizes_change_live),
                                       USB_CASE(what_it_does_wrong_is_told_and_the_stream_goes_on),
                                       USB_CASE(fewer_frames_than_it_makes_can_be_had),
                                       USB_CASE(its_yuyv_is_encoded),
                                       USB_CASE(its_controls_are_features),
                                       CAMERA_CONTRACT_TESTS(&contract)};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!usb_camera_is_possible()) {
        puts("skipped: there is no vhci_hcd to plug a camera into; make check-vm has one");
        return 77;
    }
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("USB camera", tests, usb_bench_find, usb_bench_put_away);
}

#endif
