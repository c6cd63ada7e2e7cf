// SPDX-License-Identifier: MIT
// A USB camera that goes silent, is pulled out, is not there yet, belongs to somebody else: see
// test_usb_camera.c.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/videodev2.h>

#include <cmocka.h>

#include "hal/libcamera/load.h"
#include "tests/host/support/usb_bench.h"

#ifndef HAVE_LIBCAMERA
int main(void)
{
    puts("skipped: built without libcamera");
    return 77;
}
#else

static void silence_is_answered_by_a_restart(void **state)
{
    (void)state;
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    usb_bench_take_first();
    usb_bench_take_jpegs(3);
    usb_camera_hush(true);
    usb_bench_take_state(WIRE_CAMERA_STALLED);
    usb_camera_hush(false);
    uint64_t frame_id = usb_bench.frame.frame_id;
    usb_bench_take_restarted();
    assert_int_equal(usb_bench.frame.frame_id, frame_id + 1);
    usb_bench_take_jpegs(10);
    usb_bench_stop();
}

static unsigned count_descriptors(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)usb_bench.node.pid);
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
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    usb_bench_take_first();
    for (int i = 0; i < 4; i++) {
        usb_bench_take_jpegs(5);
        // The first time libcamera opens what it then keeps.
        if (i == 1)
            descriptors = count_descriptors();
        struct pinhole_frame before = usb_bench.frame;
        uint32_t number = usb_bench.number;
        usb_camera_unplug();
        // As soon as it may, or when the node has noticed.
        if (i % 2 == 0)
            assert_int_equal(usb_camera_plug(), 0);
        usb_bench_take_state(WIRE_CAMERA_ABSENT);
        assert_non_null(strstr(usb_bench.text, "unplugged"));
        if (i % 2 != 0) {
            assert_int_equal(usb_bench_counter("pinhole_camera_streaming"), 0);
            assert_int_equal(usb_camera_plug(), 0);
        }
        usb_bench_take_state(WIRE_CAMERA_STREAMING);
        usb_bench_take_restarted();
        // The log goes on, the sensor's own count begins anew.
        assert_true(usb_bench.frame.frame_id > before.frame_id);
        assert_true(usb_bench.frame.boot_id == before.boot_id);
        assert_true(usb_bench.frame.sequence > before.sequence);
        assert_true(usb_bench.number > number);
    }
    usb_bench_take_jpegs(5);
    assert_int_equal(count_descriptors(), descriptors);
    usb_bench_stop();
}

static void absent_at_boot_it_is_found_later(void **state)
{
    (void)state;
    usb_camera_unplug();
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    assert_int_equal(usb_bench_counter("pinhole_camera_streaming"), 0);
    sleep(3);
    assert_int_equal(usb_camera_plug(), 0);
    usb_bench_take_restarted();
    usb_bench_take_jpegs(10);
    assert_int_equal(usb_bench.frames, 11);
    usb_bench_stop();
}

static void a_second_program_is_told_who_has_it(void **state)
{
    (void)state;
    char pid[32];
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    usb_bench_take_first();
    snprintf(pid, sizeof pid, "process %d", (int)usb_bench.node.pid);
    assert_int_equal(hal_camera_libcamera.open(usb_bench.id), -EBUSY);
    assert_non_null(strstr(hal_camera_libcamera.last_error(), pid));
    hal_camera_libcamera.close();
    // Our claim is one of the network's namespace; in another there is libcamera's own lock.
    pid_t child = fork();
    if (child == 0) {
        int result = unshare(CLONE_NEWNET) < 0 ? -errno : hal_camera_libcamera.open(usb_bench.id);
        const char *why = hal_camera_libcamera.last_error();
        fprintf(stderr, "another libcamera program: %d, %s\n", result, why);
        _exit(result != -EBUSY || strstr(why, "another program that uses libcamera") == NULL);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    usb_bench_take_jpegs(5);
    usb_bench_stop();
}

/** As a browser would: without libcamera, and so without its lock. */
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
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "");
    assert_int_equal(pinhole_subscribe(usb_bench.node.client, &everything), 0);
    usb_bench_take_state(WIRE_CAMERA_ABSENT);
    assert_non_null(strstr(usb_bench.text, "is used by another program"));
    assert_int_equal(usb_bench_counter("pinhole_camera_streaming"), 0);
    close(fd);
    usb_bench_take_first();
    usb_bench_take_jpegs(5);
    usb_bench_stop();
}

static void its_settings_outlive_an_outage(void **state)
{
    (void)state;
    usb_bench_start(usb_bench.id, "MJPEG", 640, 480, "shutter_us = 5000\n");
    usb_bench_take_first();
    usb_bench_await_control(USB_CAMERA_AE_MODE, 1);
    usb_bench_await_control(USB_CAMERA_EXPOSURE, 50);
    usb_bench_set("Brightness", "-0.25");
    usb_bench_await_control(USB_CAMERA_BRIGHTNESS, -16);
    usb_camera_unplug();
    usb_bench_take_state(WIRE_CAMERA_ABSENT);
    assert_int_equal(usb_camera_control(USB_CAMERA_BRIGHTNESS), 0);
    assert_int_equal(usb_camera_plug(), 0);
    usb_bench_take_restarted();
    usb_bench_await_control(USB_CAMERA_BRIGHTNESS, -16);
    usb_bench_await_control(USB_CAMERA_AE_MODE, 1);
    usb_bench_await_control(USB_CAMERA_EXPOSURE, 50);
    usb_bench_set("ExposureAuto", "Continuous");
    usb_bench_await_control(USB_CAMERA_AE_MODE, 8);
    usb_bench_take_jpegs(5);
    usb_bench_stop();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        USB_CASE(silence_is_answered_by_a_restart),
        USB_CASE(unplugged_it_is_missed_and_plugged_in_again_it_is_found),
        USB_CASE(absent_at_boot_it_is_found_later),
        USB_CASE(a_second_program_is_told_who_has_it),
        USB_CASE(taken_by_a_program_without_libcamera_it_is_waited_for),
        USB_CASE(its_settings_outlive_an_outage),
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!usb_camera_is_possible()) {
        puts("skipped: there is no vhci_hcd to plug a camera into; make check-vm has one");
        return 77;
    }
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("USB camera, outages", tests, usb_bench_find,
                                       usb_bench_put_away);
}

#endif
