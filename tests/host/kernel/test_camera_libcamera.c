// SPDX-License-Identifier: MIT
// The libcamera backend on whatever cameras libcamera shows: none (what it says then), the virtual
// ones of tests/host/kernel/virtual.yaml, or a real one named by PINHOLE_TEST_CAMERA (the
// contract).
//   --hold ID   opens a camera, says "held" and keeps it until its input ends
//   NAME        only the cases of that name; * stands for anything
#include "tests/host/support/libcamera_bed.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hal/libcamera/load.h"
#include "hal/os/clock.h"

#ifndef HAVE_LIBCAMERA
int main(void)
{
    puts("skipped: built without libcamera");
    return 77;
}
#else

// --- no camera ----------------------------------------------------------------------------------

static void says_that_there_is_no_camera(void **state)
{
    (void)state;
    const char *const specs[] = {"", "0", "imx219", "/base/soc/i2c0mux/i2c@1/imx219@10"};
    assert_int_equal(bed_ops->enumerate(NULL, 0), 0);
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
        assert_int_equal(bed_ops->open(specs[i]), -ENODEV);
        assert_non_null(strstr(bed_ops->last_error(), "no camera"));
        assert_non_null(strstr(bed_ops->last_error(), "connected"));
    }
}

static void survives_every_call_without_a_camera(void **state)
{
    (void)state;
    struct hal_camera_config got, want = {0};
    struct hal_frame frame = {0};
    bed_ops->stop();
    bed_ops->close();
    assert_true(bed_ops->configure(&want, &got) < 0);
    assert_true(bed_ops->start() < 0);
    assert_int_equal(bed_ops->acquire(&frame), 0);
    bed_ops->release(&frame);
    assert_null(bed_ops->feature(0));
    assert_true(bed_ops->feature_set(0, 1) < 0);
    bed_ops->close();
    assert_string_not_equal(bed_ops->version(), "");
}

static void asks_again_without_leaks(void **state)
{
    (void)state;
    assert_int_equal(bed_ops->open(""), -ENODEV);
    bed_ops->close();
    unsigned fds = bed_descriptors();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(bed_ops->open(""), -ENODEV);
        bed_ops->close();
    }
    assert_int_equal(bed_descriptors(), fds);
}

// --- two virtual cameras ------------------------------------------------------------------------

static void lists_both_cameras(void **state)
{
    (void)state;
    struct hal_camera_info info[4];
    assert_int_equal(bed_ops->enumerate(info, 4), 2);
    assert_string_equal(info[0].id, BED_BARS);
    assert_string_equal(info[0].model, BED_BARS_MODEL);
    assert_string_equal(info[0].location, "back");
    assert_int_equal(info[0].rotation, 0);
    assert_string_equal(info[1].id, BED_PHOTOS);
    assert_string_equal(info[1].location, "external");
    // Only sizes that the camera takes, the largest first.
    assert_int_equal(info[1].mode_count, 1);
    assert_int_equal(info[0].mode[0].width, 1920);
    assert_int_equal(info[0].mode[0].height, 1080);
    assert_int_equal(info[0].mode[0].format, HAL_PIXEL_NV12);
    assert_true(info[0].mode[0].framerate_max > 119 && info[0].mode[0].framerate_max < 121);
    assert_in_range(info[0].mode_count, 3, 4);
    assert_int_equal(bed_ops->enumerate(info, 1), 2);
}

static void opens_by_id_index_and_part_of_the_model(void **state)
{
    (void)state;
    static const char *const specs[][2] = {
        {BED_BARS, "480"},    {BED_PHOTOS, "1280"},    {"0", "480"}, {"1", "1280"},
        {"test BARS", "480"}, {"photographs", "1280"}, {"", "480"},  {BED_PHOTOS_MODEL, "1280"}};
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
        // Which camera it is shows in what it makes of a size that only one of them has.
        struct hal_camera_config got, want = {.width = 480, .height = 272};
        bed_check(bed_ops->open(specs[i][0]), specs[i][0]);
        bed_check(bed_ops->configure(&want, &got), specs[i][0]);
        assert_int_equal(got.width, atoi(specs[i][1]));
        bed_ops->close();
    }
    assert_int_equal(bed_ops->open("Pinhole"), -EINVAL);
    assert_non_null(strstr(bed_ops->last_error(), "0: " BED_BARS));
    assert_non_null(strstr(bed_ops->last_error(), "1: " BED_PHOTOS));
    assert_int_equal(bed_ops->open("2"), -ENODEV);
    assert_non_null(strstr(bed_ops->last_error(), BED_PHOTOS));
    assert_int_equal(bed_ops->open("imx219"), -ENODEV);
}

static const char *program; /**< by its path: /proc/self/exe is valgrind under valgrind */

static void says_who_has_the_camera(void **state)
{
    (void)state;
    int in[2], out[2];
    char line[8] = "", pid[32];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        execl(program, program, "--hold", BED_BARS, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    assert_int_equal(read(out[0], line, 5), 5);
    assert_string_equal(line, "held\n");
    assert_int_equal(bed_ops->open(BED_BARS), -EBUSY);
    (void)snprintf(pid, sizeof pid, "process %d", (int)child);
    assert_non_null(strstr(bed_ops->last_error(), BED_BARS));
    assert_non_null(strstr(bed_ops->last_error(), pid));
    bed_check(bed_ops->open(BED_PHOTOS), "the other camera");
    bed_ops->close();
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    bed_check(bed_ops->open(BED_BARS), "after its owner was killed");
    assert_int_equal(bed_ops->open(BED_BARS), -EBUSY);
    close(in[1]);
    close(out[0]);
}

static void reports_what_it_adjusted(void **state)
{
    (void)state;
    struct hal_camera_config got, want = {.width = 1000,
                                          .height = 500,
                                          .format = HAL_PIXEL_YUV420,
                                          .framerate = 5000,
                                          .buffers = 3,
                                          .hflip = false};
    bed_check(bed_ops->open(BED_BARS), "open");
    bed_check(bed_ops->configure(&want, &got), "configure");
    assert_int_equal(got.width, 1920);
    assert_int_equal(got.height, 1080);
    assert_int_equal(got.format, HAL_PIXEL_NV12);
    assert_true(got.framerate > 119 && got.framerate < 121);
    want = (struct hal_camera_config){.width = HAL_CAMERA_DIMENSION_MAX + 2, .height = 2};
    assert_int_equal(bed_ops->configure(&want, &got), -EINVAL);
    assert_true(bed_ops->start() < 0); // what failed to configure does not start with the old one
    bed_check(bed_ops->configure(&(struct hal_camera_config){0}, &got), "configure again");
    bed_check(bed_ops->start(), "start");
    assert_int_equal(bed_ops->configure(&want, &got), -EINVAL); // streaming
    bed_take(2);
}

static void run_sequence(const char *id, uint32_t width, uint32_t height, double rate,
                         unsigned long frames)
{
    struct hal_camera_config got = bed_start(id, width, height, rate);
    assert_int_equal(got.width, width);
    assert_true(got.framerate > rate - 0.5 && got.framerate < rate + 0.5);
    struct hal_frame before = bed_frame();
    uint64_t first_ns = before.timestamp_ns;
    bed_ops->release(&before);
    for (unsigned long i = 1; i < frames; i++) {
        struct hal_frame frame = bed_frame();
        if (frame.sensor_sequence != before.sensor_sequence + 1)
            fail_msg("frame %lu: %u after %u", i, frame.sensor_sequence, before.sensor_sequence);
        assert_true(frame.timestamp_ns > before.timestamp_ns);
        assert_int_equal(frame.flags, 0);
        if (i % 100 == 0)
            camera_contract_check_frame(&frame, NULL);
        bed_ops->release(&frame);
        before = frame;
    }
    // Never faster than the rate it was asked for; slower is this machine's business.
    double least_ns = (double)(frames - 1) * 1e9 / rate;
    assert_true((double)(before.timestamp_ns - first_ns) > 0.9 * least_ns - 2e9 / rate);
    bed_ops->close();
}

static void loses_no_frame_at_720p(void **state)
{
    (void)state;
    run_sequence(BED_BARS, 1280, 720, (double)bed_number("PINHOLE_TEST_RATE", 30),
                 bed_number("PINHOLE_TEST_FRAMES", 150));
}

static void loses_no_frame_at_1080p(void **state)
{
    (void)state;
    unsigned long rate = bed_number("PINHOLE_TEST_RATE", 30);
    run_sequence(BED_BARS, 1920, 1080, (double)rate, bed_number("PINHOLE_TEST_FRAMES", 600) / 10);
}

static void shows_the_photographs(void **state)
{
    (void)state;
    uint64_t sums[12], different = 0;
    bed_start(BED_PHOTOS, 1280, 720, 30);
    for (unsigned i = 0; i < ARRAY_SIZE(sums); i++) {
        struct hal_frame frame = bed_frame();
        camera_contract_check_frame(&frame, &sums[i]);
        assert_true(sums[i] > 0);
        different += i > 0 && sums[i] != sums[i - 1];
        bed_ops->release(&frame);
    }
    assert_true(different > 0);
}

static void keeps_signals_out_of_libcameras_threads(void **state)
{
    (void)state;
    unsigned threads = 0;
    bed_start(BED_BARS, 480, 272, 30);
    bed_take(2);
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], line[128];
        unsigned long long blocked = 0;
        if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
            continue;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(path, "r");
        assert_non_null(status);
        while (fgets(line, sizeof line, status) != NULL)
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
                break;
        fclose(status);
        const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGALRM, SIGUSR1};
        for (size_t i = 0; !BED_SANITIZED && i < ARRAY_SIZE(signals); i++)
            assert_true(blocked >> (signals[i] - 1) & 1);
        threads++;
    }
    closedir(tasks);
    assert_true(threads >= 1);
    sigset_t mine;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mine), 0);
    assert_int_equal(sigismember(&mine, SIGTERM), 0);
}

static unsigned feature_index(const char *name)
{
    const struct hal_feature *feature;
    for (unsigned i = 0; (feature = bed_ops->feature(i)) != NULL; i++)
        if (strcmp(feature->name, name) == 0)
            return i;
    fail_msg("no feature %s", name);
    return 0;
}

// --- features -----------------------------------------------------------------------------------

static void changes_the_frame_rate_live(void **state)
{
    (void)state;
    double value = 0;
    bed_start(BED_BARS, 480, 272, 25);
    unsigned rate = feature_index("AcquisitionFrameRate");
    assert_string_equal(bed_ops->feature(rate)->unit, "Hz");
    assert_int_equal(bed_ops->feature_get(rate, &value), 0);
    assert_true(value > 24.9 && value < 25.1);
    bed_take(2);
    struct hal_frame before = bed_frame();
    bed_ops->release(&before);
    bed_check(bed_ops->feature_set(rate, 5), "rate");
    bed_take(1); // its tick may have been under way
    struct hal_frame slow = bed_frame();
    bed_ops->release(&slow);
    struct hal_frame after = bed_frame();
    bed_ops->release(&after);
    assert_true(after.timestamp_ns - slow.timestamp_ns > 150 * NS_PER_MS);
    assert_int_equal(after.sensor_sequence, before.sensor_sequence + 3); // no restart
    assert_true(bed_ops->feature_set(rate, 1e6) < 0);
}

static void lists_only_what_the_camera_has(void **state)
{
    (void)state;
    const struct hal_feature *feature;
    bed_start(BED_BARS, 480, 272, 25);
    for (unsigned i = 0; (feature = bed_ops->feature(i)) != NULL; i++)
        assert_string_equal(feature->name, "AcquisitionFrameRate");
}

// --- which tests there are ----------------------------------------------------------------------

static int hold(const char *id)
{
    char byte;
    if (bed_ops->open(id) < 0) {
        fprintf(stderr, "%s\n", bed_ops->last_error());
        return 1;
    }
    if (write(1, "held\n", 5) != 5 || read(0, &byte, 1) < 0)
        return 1;
    bed_ops->close();
    return 0;
}

static struct camera_contract contract = {
    .ops = &hal_camera_libcamera,
    .id = BED_BARS,
    .wish = {.width = 480, .height = 272, .framerate = 100},
    .size = {{640, 360}, {480, 272}, {1280, 720}},
    .is_listed = true,
    .is_free_running = true,
};

static int run_without_camera(void)
{
    const struct CMUnitTest tests[] = {
        BED_CASE(says_that_there_is_no_camera),
        BED_CASE(survives_every_call_without_a_camera),
        BED_CASE(asks_again_without_leaks),
    };
    return cmocka_run_group_tests_name("libcamera, no camera", tests, NULL, NULL);
}

static int run_contract(void)
{
    const struct CMUnitTest tests[] = {CAMERA_CONTRACT_TESTS(&contract)};
    return cmocka_run_group_tests_name("libcamera, contract", tests, NULL, NULL);
}

static int run_virtual(void)
{
    const struct CMUnitTest tests[] = {
        BED_CASE(survives_every_call_without_a_camera),
        BED_CASE(lists_both_cameras),
        BED_CASE(opens_by_id_index_and_part_of_the_model),
        BED_CASE(says_who_has_the_camera),
        BED_CASE(reports_what_it_adjusted),
        BED_CASE(loses_no_frame_at_720p),
        BED_CASE(loses_no_frame_at_1080p),
        BED_CASE(shows_the_photographs),
        BED_CASE(keeps_signals_out_of_libcameras_threads),
        BED_CASE(changes_the_frame_rate_live),
        BED_CASE(lists_only_what_the_camera_has),
    };
    return cmocka_run_group_tests_name("libcamera, virtual cameras", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    program = argv[0];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 3 && strcmp(argv[1], "--hold") == 0)
        return hold(argv[2]);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    const char *camera = getenv("PINHOLE_TEST_CAMERA");
    enum bed_cameras cameras = bed_begin();
    if (camera != NULL) {
        contract.id = camera;
        contract.wish = (struct hal_camera_config){0};
        contract.size[0][0] = 0;
        return run_contract();
    }
    if (cameras == BED_NONE)
        return run_without_camera();
    if (cameras == BED_VIRTUAL)
        return run_contract() + run_virtual();
    puts("skipped: there is a real camera; PINHOLE_TEST_CAMERA=ID tests it");
    return 77;
}

#endif
