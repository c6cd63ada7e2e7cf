// SPDX-License-Identifier: MIT
// A USB camera from its bus to the subscriber: the kernel's uvcvideo, libcamera's pipeline for it,
// the backend, the node, the protocol. Only the device itself is played (usb_camera.h). Needs root,
// vhci_hcd, uvcvideo and a running udevd, which make check-vm has.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/videodev2.h>

#include <cmocka.h>

#include "hal/clock.h"
#include "net/wire.h"
#include "tests/host/support/camera_contract.h"
#include "tests/host/support/jpeg_file.h"
#include "tests/host/support/trigger_bench.h"
#include "tests/host/support/usb_camera.h"

#ifndef HAVE_LIBCAMERA
int main(void)
{
    puts("skipped: built without libcamera");
    return 77;
}
#else

#define PATIENCE_MS 60000
#define SIZE_MAX_B  "131072"

// An emulated machine may take a second for a few frames; that is no stall.
#define SETTINGS                                                                                   \
    "stall_timeout_ms = 8000\nreopen_interval_ms = 200\n"                                          \
    "[jpeg]\nframe_bytes_max = " SIZE_MAX_B "\n[store]\nmemory = 32M\n[gpio]\nbackend = fake\n"

static struct trigger_bench bench;
static char camera_id[HAL_CAMERA_ID_BYTES];

// --- a node, and what it says -------------------------------------------------------------------

// The last frame and event that came, and what frames must agree with.
static struct {
    struct pinhole_frame frame; // its JPEG is in `jpeg`
    uint8_t jpeg[USB_CAMERA_JPEG_MAX];
    struct pinhole_event event; // its text is in `text`
    char text[256];
    uint64_t frames;
    uint32_t offset; // number of the picture minus sensor_sequence: constant while nothing restarts
    int64_t number;
} seen;

static void start_node(const char *camera, const char *format, unsigned width, unsigned height,
                       const char *more)
{
    char config[1024];
    snprintf(config, sizeof config,
             "[camera]\ncamera = libcamera:%s\nformat = %s\nwidth = %u\nheight = %u\n%s" SETTINGS,
             camera, format, width, height, more);
    memset(&seen, 0, sizeof seen);
    trigger_bench_start(&bench, config, NULL);
}

static enum pinhole_record_kind take_record(void)
{
    struct pinhole_record *record;
    int status = pinhole_next(bench.client, PATIENCE_MS, &record);
    if (status != 1)
        fail_msg("no record: %d, %s", status, pinhole_error(bench.client));
    enum pinhole_record_kind kind = record->kind;
    if (kind == PINHOLE_FRAME) {
        seen.frame = record->frame;
        seen.frame.jpeg = seen.jpeg;
        memcpy(seen.jpeg, record->frame.jpeg, record->frame.jpeg_bytes);
        seen.frames++;
    } else {
        seen.event = record->event;
        snprintf(seen.text, sizeof seen.text, "%s", record->event.text);
        if (seen.event.kind == PINHOLE_EVENT_GAP || seen.event.kind == PINHOLE_EVENT_DISCONNECTED)
            fail_msg("%s: %s", pinhole_event_name(seen.event.kind), seen.text);
    }
    pinhole_release(bench.client, record);
    return kind;
}

// The camera's picture, byte for byte, in its place.
static void check_jpeg(void)
{
    static uint8_t sent[USB_CAMERA_JPEG_MAX];
    const struct pinhole_frame *frame = &seen.frame;
    int64_t number = usb_camera_number(seen.jpeg, frame->jpeg_bytes);
    assert_true(number >= 0);
    size_t bytes = usb_camera_jpeg((uint32_t)number, frame->width, frame->height, false, sent);
    assert_int_equal(frame->jpeg_bytes, bytes);
    assert_memory_equal(seen.jpeg, sent, bytes);
    assert_int_equal(frame->quality, 0); // the camera's own JPEG
    assert_int_equal(frame->encodes, 0);
    seen.number = number;
}

// What holds for every frame. `before` is the one before it, NULL after a restart of the stream.
static void check_order(const struct pinhole_frame *before, uint32_t number)
{
    const struct pinhole_frame *frame = &seen.frame;
    assert_int_equal(frame->flags & (PINHOLE_FRAME_TORN | PINHOLE_FRAME_NO_SENSOR_CLOCK), 0);
    assert_true(frame->timestamp_ns < frame->received_ns);
    assert_true(frame->received_ns - frame->timestamp_ns < PATIENCE_MS * NS_PER_MS);
    if (before == NULL) {
        seen.offset = number - frame->sensor_sequence;
        return;
    }
    assert_int_equal(frame->frame_id, before->frame_id + 1);
    assert_true(frame->sequence > before->sequence);
    assert_true(frame->timestamp_ns > before->timestamp_ns);
    assert_true((int32_t)(frame->sensor_sequence - before->sensor_sequence) > 0);
    assert_int_equal(number - frame->sensor_sequence, seen.offset);
}

// Frames that are as they should be, one after the other. Events among them fail.
static void take_jpegs(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct pinhole_frame before = seen.frame;
        if (take_record() != PINHOLE_FRAME)
            fail_msg("%s: %s", pinhole_event_name(seen.event.kind), seen.text);
        check_jpeg();
        check_order(&before, (uint32_t)seen.number);
    }
}

// The first frame that comes at all; the stream may have begun before.
static void take_first(void)
{
    while (take_record() != PINHOLE_FRAME)
        ;
    check_jpeg();
    check_order(NULL, (uint32_t)seen.number);
}

// The first frame after a restart: what comes before it are events.
static void take_restarted(void)
{
    take_first();
    assert_true(seen.frame.flags & PINHOLE_FRAME_RESTARTED);
}

// Frames may come first: they are as they should be.
static void take_event(enum pinhole_event_kind kind)
{
    for (;;) {
        struct pinhole_frame before = seen.frame;
        if (take_record() == PINHOLE_FRAME) {
            check_jpeg();
            check_order(before.width == 0 ? NULL : &before, (uint32_t)seen.number);
        } else if (seen.event.kind == kind) {
            return;
        }
    }
}

static void take_camera_state(enum wire_camera_state state)
{
    do
        take_event(PINHOLE_EVENT_CAMERA);
    while (seen.event.camera_state != state);
}

static int plug_in(void **state)
{
    (void)state;
    int result = usb_camera_plug();
    return result == -EBUSY ? 0 : result;
}

static int clean_up(void **state)
{
    (void)state;
    trigger_bench_kill(&bench);
    usb_camera_hush(false);
    return 0;
}

// --- what it finds ------------------------------------------------------------------------------

// Whether the camera is there now. Fills camera_id: a machine may have others.
static bool look_for_camera(void)
{
    static struct hal_camera_info info[8];
    int found = hal_camera_libcamera.enumerate(info, ARRAY_SIZE(info));
    for (int i = 0; i < found && i < (int)ARRAY_SIZE(info); i++)
        if (strstr(info[i].id, USB_CAMERA_ID_END) != NULL) {
            memcpy(camera_id, info[i].id, sizeof camera_id);
            return true;
        }
    return false;
}

static int find_camera(void **state)
{
    int result = plug_in(state);
    bool found = false;
    for (int waited_ms = 0; result == 0 && !found && waited_ms < PATIENCE_MS; waited_ms += 200) {
        usleep(200000);
        found = look_for_camera();
    }
    hal_camera_libcamera.close();
    if (!found)
        print_error("no USB camera: %d, %s\n", result, hal_camera_libcamera.last_error());
    return found ? 0 : -1;
}

static int put_away(void **state)
{
    (void)state;
    usb_camera_unplug();
    return 0;
}

static void is_listed_with_its_sizes(void **state)
{
    (void)state;
    char line[256], text[2048] = "", expected[256];
    const char *build = getenv("BUILD");
    snprintf(line, sizeof line, "%s/pinhole --list-cameras 2>/dev/null",
             build ? build : "build/release");
    FILE *output = popen(line, "r");
    assert_non_null(output);
    text[fread(text, 1, sizeof text - 1, output)] = 0;
    assert_int_equal(pclose(output), 0);
    snprintf(expected, sizeof expected, "libcamera:%s: " USB_CAMERA_MODEL ", external\n",
             camera_id);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "    MJPEG   640x480\n"));
    assert_non_null(strstr(text, "    MJPEG   1280x720\n"));
    assert_non_null(strstr(text, "    YUYV    320x240\n"));
}

// --- its own JPEGs ------------------------------------------------------------------------------

// DMA buffers that the node has mapped, of this exporter in the kernel.
static unsigned count_buffers(const char *exporter)
{
    char command[128], line[16] = "";
    snprintf(command, sizeof command, "grep -l '%s' /proc/%d/fdinfo/* | wc -l", exporter,
             (int)bench.pid);
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
    start_node(camera_id, "MJPEG", 640, 480, "");
    take_first();
    assert_true(usb_camera_streams(&chosen));
    assert_int_equal(chosen.format, HAL_PIXEL_MJPEG);
    assert_int_equal(chosen.width, 640);
    take_jpegs(100);
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_encodes_total"), 0);
    assert_int_equal(count_buffers("exp_name:.*videobuf2"), 4); // the driver's own
    print_message("100 frames of %u that the camera made\n", seen.frame.sensor_sequence + 1);
    trigger_bench_stop(&bench);
}

static void a_part_of_its_model_finds_it_and_sizes_change_live(void **state)
{
    (void)state;
    start_node("uvc TEST", "MJPEG", 1280, 720, "");
    take_first();
    assert_int_equal(seen.frame.width, 1280);
    take_jpegs(10);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pinhole_set_lines(bench.client, "Width=640\nHeight=480\n"), 0);
        take_camera_state(WIRE_CAMERA_RECONFIGURED);
        take_restarted();
        assert_int_equal(seen.frame.width, 640);
        take_jpegs(5);
        assert_int_equal(pinhole_set_lines(bench.client, "Width=1280\nHeight=720\n"), 0);
        take_camera_state(WIRE_CAMERA_RECONFIGURED);
        take_restarted();
        assert_int_equal(seen.frame.width, 1280);
        take_jpegs(5);
    }
    trigger_bench_stop(&bench);
}

// Delivered all the same, as the camera gave it, and flagged. `lost` bytes of it are missing.
static void take_torn(enum usb_camera_oddity oddity, size_t lost)
{
    static uint8_t sent[USB_CAMERA_JPEG_MAX];
    assert_int_equal(usb_camera_send(oddity), 0);
    uint32_t odd = usb_camera_odd_number();
    while ((uint32_t)seen.number + 1 != odd)
        take_jpegs(1);
    struct pinhole_frame before = seen.frame;
    assert_int_equal(take_record(), PINHOLE_FRAME);
    assert_true(seen.frame.flags & PINHOLE_FRAME_TORN);
    size_t bytes = usb_camera_jpeg(odd, seen.frame.width, seen.frame.height, false, sent);
    assert_int_equal(seen.frame.jpeg_bytes, bytes - lost);
    assert_memory_equal(seen.jpeg, sent, lost > 0 ? 2 * lost : bytes);
    seen.frame.flags &= ~(uint32_t)PINHOLE_FRAME_TORN;
    check_order(&before, odd);
}

static void what_it_does_wrong_is_told_and_the_stream_goes_on(void **state)
{
    (void)state;
    start_node(camera_id, "MJPEG", 640, 480, "");
    take_first();
    take_jpegs(5);

    assert_int_equal(usb_camera_send(USB_CAMERA_BIG), 0);
    take_event(PINHOLE_EVENT_FRAME_LOST);
    assert_non_null(strstr(seen.text, "the camera's JPEG has"));
    assert_non_null(strstr(seen.text, "frame_bytes_max is " SIZE_MAX_B));
    assert_int_equal(usb_camera_odd_number() - seen.event.sensor_sequence, seen.offset);
    take_jpegs(5);
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_frames_dropped_total{reason=\"size\"}"),
                     1);

    assert_int_equal(usb_camera_send(USB_CAMERA_GARBAGE), 0);
    take_event(PINHOLE_EVENT_FRAME_LOST);
    assert_non_null(strstr(seen.text, "is no JPEG"));
    assert_int_equal(usb_camera_odd_number() - seen.event.sensor_sequence, seen.offset);
    take_jpegs(5);

    take_torn(USB_CAMERA_ERROR, 0);
    take_jpegs(5);
    take_torn(USB_CAMERA_LOSS, USB_CAMERA_PAYLOAD);
    take_jpegs(5);
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_frames_torn_total"), 2);
    assert_int_equal(
        trigger_bench_counter(&bench, "pinhole_camera_restarts_total{how=\"restart\"}"), 0);
    trigger_bench_stop(&bench);
}

// --- outages ------------------------------------------------------------------------------------

static void silence_is_answered_by_a_restart(void **state)
{
    (void)state;
    start_node(camera_id, "MJPEG", 640, 480, "");
    take_first();
    take_jpegs(3);
    usb_camera_hush(true);
    take_camera_state(WIRE_CAMERA_STALLED);
    usb_camera_hush(false);
    uint64_t frame_id = seen.frame.frame_id;
    take_restarted();
    assert_int_equal(seen.frame.frame_id, frame_id + 1);
    take_jpegs(10);
    trigger_bench_stop(&bench);
}

static unsigned count_descriptors(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)bench.pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    unsigned count = 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void unplugged_it_is_missed_and_plugged_in_again_it_is_found(void **state)
{
    (void)state;
    unsigned descriptors = 0;
    start_node(camera_id, "MJPEG", 640, 480, "");
    take_first();
    for (int i = 0; i < 4; i++) {
        take_jpegs(5);
        // The first time libcamera opens what it then keeps.
        if (i == 1)
            descriptors = count_descriptors();
        struct pinhole_frame before = seen.frame;
        int64_t number = seen.number;
        usb_camera_unplug();
        // As soon as it may, or when the node has noticed.
        if (i % 2 == 0)
            assert_int_equal(usb_camera_plug(), 0);
        take_camera_state(WIRE_CAMERA_ABSENT);
        assert_non_null(strstr(seen.text, "unplugged"));
        if (i % 2 != 0) {
            assert_int_equal(trigger_bench_counter(&bench, "pinhole_camera_streaming"), 0);
            assert_int_equal(usb_camera_plug(), 0);
        }
        take_camera_state(WIRE_CAMERA_STREAMING);
        take_restarted();
        // The log goes on, the sensor's own count begins anew.
        assert_true(seen.frame.frame_id > before.frame_id);
        assert_true(seen.frame.boot_id == before.boot_id);
        assert_true(seen.frame.sequence > before.sequence);
        assert_true(seen.number > number);
    }
    take_jpegs(5);
    assert_int_equal(count_descriptors(), descriptors);
    trigger_bench_stop(&bench);
}

static void absent_at_boot_it_is_found_later(void **state)
{
    (void)state;
    usb_camera_unplug();
    start_node(camera_id, "MJPEG", 640, 480, "");
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_camera_streaming"), 0);
    sleep(3);
    assert_int_equal(usb_camera_plug(), 0);
    take_restarted();
    take_jpegs(10);
    assert_int_equal(seen.frames, 11);
    trigger_bench_stop(&bench);
}

// As a browser would: without libcamera, and so without its lock.
static int stream_elsewhere(void)
{
    for (int i = 0; i < 16; i++) {
        struct v4l2_capability capability = {0};
        struct v4l2_requestbuffers wish = {
            .count = 2, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
        char path[32];
        snprintf(path, sizeof path, "/dev/video%d", i);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0 &&
            (capability.device_caps & V4L2_CAP_VIDEO_CAPTURE) != 0 &&
            strcmp((const char *)capability.card, USB_CAMERA_MODEL) == 0 &&
            ioctl(fd, VIDIOC_REQBUFS, &wish) == 0)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    fail_msg("no video node of the camera can be used");
    return -1;
}

static void taken_by_a_program_without_libcamera_it_is_waited_for(void **state)
{
    (void)state;
    const struct pinhole_subscription everything = {
        .size = sizeof everything, .policy = PINHOLE_EVERY, .from_sequence = 1};
    int fd = stream_elsewhere();
    start_node(camera_id, "MJPEG", 640, 480, "");
    assert_int_equal(pinhole_subscribe(bench.client, &everything), 0);
    take_camera_state(WIRE_CAMERA_ABSENT);
    assert_non_null(strstr(seen.text, "is used by another program"));
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_camera_streaming"), 0);
    close(fd);
    take_first();
    take_jpegs(5);
    trigger_bench_stop(&bench);
}

// --- pictures that the node encodes, controls ---------------------------------------------------

// Which of the scenes the picture shows.
static unsigned recognise(void)
{
    const struct jpeg_file file = {.data = seen.jpeg, .bytes = seen.frame.jpeg_bytes};
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
    fail_msg("frame %u shows none of the scenes", seen.frame.sensor_sequence);
    return 0;
}

static void its_yuyv_is_encoded(void **state)
{
    (void)state;
    start_node(camera_id, "YUYV", 320, 240, "");
    while (take_record() != PINHOLE_FRAME)
        ;
    unsigned phase = (recognise() - seen.frame.sensor_sequence) % USB_CAMERA_PICTURES;
    for (int i = 0; i < 30; i++) {
        struct pinhole_frame before = seen.frame;
        assert_int_equal(take_record(), PINHOLE_FRAME);
        seen.offset = before.sensor_sequence - seen.frame.sensor_sequence;
        check_order(&before, before.sensor_sequence);
        assert_in_range(seen.frame.quality, 1, 100);
        assert_int_equal((recognise() - seen.frame.sensor_sequence) % USB_CAMERA_PICTURES, phase);
    }
    trigger_bench_stop(&bench);
}

static void await_control(enum usb_camera_control which, int32_t value)
{
    for (unsigned taken = 0; usb_camera_control(which) != value; taken++) {
        if (taken > 50)
            fail_msg("control %d is %d, not %d", which, usb_camera_control(which), value);
        if (take_record() == PINHOLE_FRAME) // a control goes along with a request
            check_jpeg();
    }
}

static void set(const char *name, const char *value)
{
    if (pinhole_set(bench.client, name, value) < 0)
        fail_msg("%s=%s: %s", name, value, pinhole_error(bench.client));
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
    start_node(camera_id, "MJPEG", 640, 480, "");
    take_first();
    set("Brightness", "0.5");
    await_control(USB_CAMERA_BRIGHTNESS, 32);
    set("Contrast", "1.5");
    await_control(USB_CAMERA_CONTRAST, 64);
    set("Saturation", "0");
    await_control(USB_CAMERA_SATURATION, 0);
    // Its exposure is automatic, its gain is not. Before 0.5 libcamera has one switch for both.
    if (libcamera_minor() >= 5) {
        assert_int_equal(pinhole_find_feature(bench.client, "GainAuto", &feature), -ENOENT);
        set("Gain", "2");
        await_control(USB_CAMERA_GAIN, 192);
    }
    assert_int_equal(usb_camera_control(USB_CAMERA_AE_MODE), 8);
    assert_int_equal(pinhole_set(bench.client, "ExposureTime", "10000"), -EACCES);
    set("ExposureAuto", "Off");
    await_control(USB_CAMERA_AE_MODE, 1);
    set("ExposureTime", "10000");
    await_control(USB_CAMERA_EXPOSURE, 100);
    trigger_bench_stop(&bench);
}

static void its_settings_outlive_an_outage(void **state)
{
    (void)state;
    start_node(camera_id, "MJPEG", 640, 480, "shutter_us = 5000\n");
    take_first();
    await_control(USB_CAMERA_AE_MODE, 1);
    await_control(USB_CAMERA_EXPOSURE, 50);
    set("Brightness", "-0.25");
    await_control(USB_CAMERA_BRIGHTNESS, -16);
    usb_camera_unplug();
    take_camera_state(WIRE_CAMERA_ABSENT);
    assert_int_equal(usb_camera_control(USB_CAMERA_BRIGHTNESS), 0);
    assert_int_equal(usb_camera_plug(), 0);
    take_restarted();
    await_control(USB_CAMERA_BRIGHTNESS, -16);
    await_control(USB_CAMERA_AE_MODE, 1);
    await_control(USB_CAMERA_EXPOSURE, 50);
    set("ExposureAuto", "Continuous");
    await_control(USB_CAMERA_AE_MODE, 8);
    take_jpegs(5);
    trigger_bench_stop(&bench);
}

// --- the contract -------------------------------------------------------------------------------

static struct camera_contract contract = {
    .ops = &hal_camera_libcamera,
    .id = camera_id,
    .wish = {.width = 640, .height = 480, .format = HAL_PIXEL_MJPEG, .framerate = 10},
    .size = {{1280, 720}, {640, 480}},
    .listed = true,
    .free_runs = true,
    .cycles = 20,
};

#define CASE(name) cmocka_unit_test_setup_teardown(name, plug_in, clean_up)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(is_listed_with_its_sizes),
        CASE(its_jpegs_arrive_as_it_made_them),
        CASE(a_part_of_its_model_finds_it_and_sizes_change_live),
        CASE(what_it_does_wrong_is_told_and_the_stream_goes_on),
        CASE(silence_is_answered_by_a_restart),
        CASE(unplugged_it_is_missed_and_plugged_in_again_it_is_found),
        CASE(absent_at_boot_it_is_found_later),
        CASE(taken_by_a_program_without_libcamera_it_is_waited_for),
        CASE(its_yuyv_is_encoded),
        CASE(its_controls_are_features),
        CASE(its_settings_outlive_an_outage),
        CAMERA_CONTRACT_TESTS(&contract)};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!usb_camera_is_possible()) {
        puts("skipped: there is no vhci_hcd to plug a camera into; make check-vm has one");
        return 77;
    }
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("USB camera", tests, find_camera, put_away);
}

#endif
