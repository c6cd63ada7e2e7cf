// SPDX-License-Identifier: MIT
// The parts of the libcamera backend that need no libcamera: who is meant by a name, how features
// behave, ticks, claims, memory, the completion ring.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hal/libcamera/claim.h"
#include "hal/libcamera/dma_memory.h"
#include "hal/libcamera/features.h"
#include "hal/libcamera/frame_ticks.h"
#include "hal/libcamera/pick.h"
#include "hal/libcamera/ring.h"

static const struct camera_name names[] = {
    {"/base/soc/i2c0mux/i2c@1/imx219@10", "imx219"},
    {"usb-1.1-046d:0825", "Webcam C270"},
    {"usb-1.2-046d:0825", "Webcam C270"},
    {"virtual", "Webcam"},
};

static const struct camera_choice none;
static char why[512];

static int pick(const char *spec, unsigned count, const struct camera_choice *before)
{
    why[0] = '\0';
    return camera_pick(names, count, spec, before, why, sizeof why);
}

static void a_name_means_one_camera(void **state)
{
    (void)state;
    assert_int_equal(pick("", 4, &none), 0);
    assert_int_equal(pick("usb-1.2-046d:0825", 4, &none), 2);
    assert_int_equal(pick("3", 4, &none), 3);
    assert_int_equal(pick("IMX2", 4, &none), 0);
    assert_int_equal(pick("webcam", 4, &none), 3); // a whole name goes before parts
    assert_int_equal(pick("usb-1.1", 4, &none), 1);
}

static void a_wrong_name_gets_the_list(void **state)
{
    (void)state;
    assert_int_equal(pick("C270", 4, &none), -EINVAL);
    assert_non_null(strstr(why, "1: usb-1.1-046d:0825 (Webcam C270), 2: usb-1.2"));
    assert_null(strstr(why, "imx219"));
    assert_int_equal(pick("ov5647", 4, &none), -ENODEV);
    assert_non_null(strstr(why, "'ov5647'"));
    assert_non_null(strstr(why, "imx219"));
    assert_int_equal(pick("4", 4, &none), -ENODEV);
    assert_int_equal(pick("99999999999999999999", 4, &none), -ENODEV);
    assert_int_equal(pick("0", 0, &none), -ENODEV);
    assert_non_null(strstr(why, "no camera"));
    char small[8];
    assert_int_equal(camera_pick(names, 4, "ov5647", &none, small, sizeof small), -ENODEV);
    assert_int_equal(strlen(small), 7);
}

static void an_index_keeps_its_camera(void **state)
{
    (void)state;
    struct camera_choice before = {.spec = "0", .id = "usb-1.1-046d:0825"};
    assert_int_equal(pick("0", 4, &before), 1);
    before = (struct camera_choice){.spec = "0", .id = "unplugged"};
    assert_int_equal(pick("0", 4, &before), -ENODEV); // not silently another camera
    assert_non_null(strstr(why, "unplugged"));
    before = (struct camera_choice){.spec = "C270", .id = "usb-1.2-046d:0825"};
    assert_int_equal(pick("C270", 4, &before), 2);
    before = (struct camera_choice){.spec = "", .id = "gone"};
    assert_int_equal(pick("", 4, &before), 0); // any camera was asked for
}

// --- features -----------------------------------------------------------------------------------

static const struct libcamera_row *row(const char *name)
{
    for (unsigned i = 0; i < libcamera_row_count; i++)
        if (strcmp(libcamera_rows[i].name, name) == 0)
            return &libcamera_rows[i];
    fail_msg("no row %s", name);
    return NULL;
}

static struct libcamera_features features;

static unsigned add(const char *name, unsigned control, double min, double max, double value)
{
    assert_non_null(libcamera_features_add(&features, row(name), control, 0, min, max, value));
    return features.count - 1;
}

static double get(unsigned index)
{
    double value = -1;
    assert_int_equal(libcamera_features_get(&features, index, &value), 0);
    return value;
}

static void report(uint32_t mask, double exposure, double settled)
{
    struct libcamera_completion done = {.live_mask = mask};
    done.live[LIVE_EXPOSURE_US] = exposure;
    done.live[LIVE_SETTLED] = settled;
    libcamera_features_frame(&features, &done);
}

static void an_automatic_mode_owns_its_value(void **state)
{
    (void)state;
    libcamera_features_clear(&features);
    unsigned automatic = add("ExposureAuto", 7, 0, 2, AUTO_CONTINUOUS);
    unsigned exposure = add("ExposureTime", 8, 10, 100000, 20000);
    assert_int_equal(libcamera_features_set(&features, exposure, 500), -EACCES);
    assert_false(features.is_changed);
    report(1u << LIVE_EXPOSURE_US, 4321, 0);
    assert_true(get(exposure) == 4321);
    assert_int_equal(libcamera_features_set(&features, automatic, AUTO_OFF), 0);
    assert_true(features.feature[automatic].is_changed && features.feature[exposure].is_changed);
    assert_true(get(exposure) == 4321); // what automatic exposure had chosen stays
    assert_int_equal(libcamera_features_set(&features, exposure, 500), 0);
    assert_true(get(exposure) == 500); // at once, though the sensor still reports the old one
    assert_int_equal(libcamera_features_set(&features, exposure, 5), -EINVAL);
    assert_int_equal(libcamera_features_set(&features, exposure, 0.0 / 0.0), -EINVAL);
    assert_int_equal(libcamera_features_set(&features, 99, 5), -EINVAL);
    assert_int_equal(libcamera_features_set(&features, automatic, AUTO_CONTINUOUS), 0);
    assert_false(features.feature[exposure].is_wanted);
    assert_true(get(exposure) == 4321);
}

static void once_ends_when_it_has_settled(void **state)
{
    (void)state;
    libcamera_features_clear(&features);
    unsigned automatic = add("ExposureAuto", 7, 0, 2, AUTO_OFF);
    unsigned exposure = add("ExposureTime", 8, 10, 100000, 20000);
    uint32_t both = 1u << LIVE_EXPOSURE_US | 1u << LIVE_SETTLED;
    assert_int_equal(libcamera_features_set(&features, automatic, AUTO_ONCE), 0);
    features.feature[automatic].is_changed = false; // sent
    for (int i = 0; i < 50; i++)
        report(both, 100 + i, 0);
    assert_true(get(automatic) == AUTO_ONCE);
    report(both, 900, 1);
    assert_true(get(automatic) == AUTO_OFF);
    assert_true(features.feature[exposure].is_changed);
    assert_true(get(exposure) == 900);
    // A camera that does not say when it has converged has done so when it stands still.
    assert_int_equal(libcamera_features_set(&features, automatic, AUTO_ONCE), 0);
    features.feature[automatic].is_changed = false;
    report(1u << LIVE_EXPOSURE_US, 50, 0);
    int frames = 0;
    while (get(automatic) == AUTO_ONCE && frames++ < 1000)
        report(1u << LIVE_EXPOSURE_US, 777, 0);
    assert_in_range(frames, 5, 30);
    // One that says nothing at all gets it back in the end.
    assert_int_equal(libcamera_features_set(&features, automatic, AUTO_ONCE), 0);
    features.feature[automatic].is_changed = false;
    for (frames = 0; get(automatic) == AUTO_ONCE && frames < 1000; frames++)
        report(0, 0, 0);
    assert_in_range(frames, 30, 300);
}

static void one_switch_behind_two_modes_moves_both(void **state)
{
    (void)state;
    libcamera_features_clear(&features);
    unsigned exposure_auto = add("ExposureAuto", 7, 0, 2, AUTO_CONTINUOUS);
    add("ExposureTime", 8, 10, 100000, 20000);
    unsigned gain_auto = add("GainAuto", 7, 0, 2, AUTO_CONTINUOUS);
    unsigned gain = add("Gain", 9, 1, 16, 1);
    assert_int_equal(libcamera_features_set(&features, gain, 2), -EACCES);
    assert_int_equal(libcamera_features_set(&features, exposure_auto, AUTO_OFF), 0);
    assert_true(get(gain_auto) == AUTO_OFF);
    assert_int_equal(libcamera_features_set(&features, gain, 2), 0);
}

static void wishes_survive_a_new_configuration(void **state)
{
    (void)state;
    libcamera_features_clear(&features);
    add("Brightness", 3, -1, 1, 0);
    unsigned rate = add("AcquisitionFrameRate", 4, 1, 120, 120);
    assert_int_equal(libcamera_features_set(&features, rate, 100), 0);
    struct libcamera_features before = features;
    libcamera_features_clear(&features);
    rate = add("AcquisitionFrameRate", 4, 1, 60, 60);
    unsigned brightness = add("Brightness", 3, -1, 1, 0.25);
    libcamera_features_keep(&features, &before);
    assert_true(get(rate) == 60);
    assert_true(get(brightness) == 0.25);
    assert_true(features.feature[rate].is_changed);
    features.feature[rate].is_changed = features.is_changed = false;
    libcamera_features_resend(&features);
    assert_true(features.is_changed && features.feature[rate].is_changed);
    assert_false(features.feature[brightness].is_changed);
}

static void choices_are_what_the_camera_lists(void **state)
{
    (void)state;
    libcamera_features_clear(&features);
    unsigned pattern = add("TestPattern", 5, 0, 0, 0);
    const int32_t values[] = {0, 2, 77, 4};
    libcamera_feature_choose(&features.feature[pattern], values, ARRAY_SIZE(values));
    assert_string_equal(features.feature[pattern].hal.choices, "Off|ColorBars|PN9");
    assert_true(features.feature[pattern].hal.max == 2);
    assert_int_equal(libcamera_features_set(&features, pattern, 2), 0);
    assert_int_equal(features.feature[pattern].choice[2], 4);
    unsigned black = add("BlackLevel", 6, 0, 65535, 4096);
    assert_int_equal(libcamera_features_set(&features, black, 1), -EACCES);
}

// --- ticks, claim, memory, ring -----------------------------------------------------------------

static void ticks_wait_for_buffers_and_are_lost_without(void **state)
{
    (void)state;
    struct frame_ticks ticks;
    uint32_t number = 99;
    assert_int_equal(frame_ticks_open(&ticks), 0);
    assert_int_equal(frame_ticks_start(&ticks, 2 * NS_PER_MS), 0);
    assert_false(frame_ticks_take(&ticks, &number));
    struct pollfd wait = {.fd = ticks.fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 10000), 1);
    usleep(20000);
    frame_ticks_look(&ticks);
    assert_true(ticks.pending >= 5);
    uint32_t pending = (uint32_t)ticks.pending;
    assert_true(frame_ticks_take(&ticks, &number));
    assert_int_equal(number, 0);
    assert_true(frame_ticks_take(&ticks, &number));
    assert_int_equal(number, 1);
    frame_ticks_drop(&ticks);
    assert_false(frame_ticks_take(&ticks, &number));
    assert_int_equal(poll(&wait, 1, 10000), 1);
    frame_ticks_look(&ticks);
    assert_true(frame_ticks_take(&ticks, &number));
    assert_int_equal(number, pending);
    while (frame_ticks_take(&ticks, &number))
        continue;
    usleep(100000); // many more than may wait
    frame_ticks_look(&ticks);
    assert_int_equal(ticks.pending, FRAME_TICKS_PENDING_MAX);
    uint32_t before = number;
    assert_true(frame_ticks_take(&ticks, &number));
    assert_int_equal(number, before + 1); // late, not lost
    frame_ticks_stop(&ticks);
    frame_ticks_look(&ticks);
    frame_ticks_drop(&ticks);
    assert_int_equal(poll(&wait, 1, 30), 0);
    frame_ticks_close(&ticks);
}

static void a_claim_names_its_owner_and_ends_with_it(void **state)
{
    (void)state;
    int owner = -1, to_child[2], from_child[2];
    char byte = 0;
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(from_child), 0);
    char id[64];
    (void)snprintf(id, sizeof id, "claim test %d", (int)getpid());
    pid_t child = fork();
    if (child == 0) {
        byte = camera_claim(id, &owner) >= 0;
        if (write(from_child[1], &byte, 1) == 1)
            _exit(read(to_child[0], &byte, 1) == 1 ? 0 : 1);
        _exit(2);
    }
    assert_int_equal(read(from_child[0], &byte, 1), 1);
    assert_int_equal(byte, 1);
    assert_int_equal(camera_claim(id, &owner), -EBUSY);
    assert_int_equal(owner, child);
    int other = camera_claim("another camera of this test", &owner);
    assert_true(other >= 0);
    close(other);
    assert_int_equal(write(to_child[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    int mine = camera_claim(id, &owner);
    assert_true(mine >= 0);
    close(mine);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(from_child[i]);
    }
}

static void shared_memory_is_mapped_whole(void **state)
{
    (void)state;
    int fd = dma_memfd_alloc(10000);
    assert_true(fd >= 0);
    assert_true(ftruncate(fd, 100) < 0); // nobody can take it away under the mapping
    assert_int_equal(pwrite(fd, "Z", 1, 9999), 1);
    struct dma_map map;
    assert_int_equal(dma_map_open(&map, fd, 10001), -EINVAL);
    assert_int_equal(dma_map_open(&map, fd, 10000), 0);
    assert_true(map.is_coherent);
    dma_map_begin(&map);
    assert_int_equal(map.data[9999], 'Z');
    dma_map_end(&map);
    dma_map_close(&map);
    assert_null(map.data);
    close(fd);
}

#define RING_ROUNDS 200000u

static struct libcamera_ring ring;

static void *produce(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < RING_ROUNDS;) {
        struct libcamera_completion done = {.sequence = i, .timestamp_ns = ~(uint64_t)i};
        if (libcamera_ring_push(&ring, &done))
            i++;
        else
            sched_yield();
    }
    return NULL;
}

static void the_ring_keeps_order_between_threads(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, NULL), 0);
    for (uint32_t i = 0; i < RING_ROUNDS;) {
        struct libcamera_completion done;
        if (!libcamera_ring_pop(&ring, &done)) {
            sched_yield();
            continue;
        }
        assert_int_equal(done.sequence, i);
        assert_true(done.timestamp_ns == ~(uint64_t)i);
        i++;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_full_ring_refuses(void **state)
{
    (void)state;
    static struct libcamera_ring full;
    struct libcamera_completion done = {0};
    for (unsigned i = 0; i < LIBCAMERA_RING_CELLS; i++)
        assert_true(libcamera_ring_push(&full, &done));
    assert_false(libcamera_ring_push(&full, &done));
    assert_true(libcamera_ring_pop(&full, &done));
    assert_true(libcamera_ring_push(&full, &done));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_means_one_camera),
        cmocka_unit_test(a_wrong_name_gets_the_list),
        cmocka_unit_test(an_index_keeps_its_camera),
        cmocka_unit_test(an_automatic_mode_owns_its_value),
        cmocka_unit_test(once_ends_when_it_has_settled),
        cmocka_unit_test(one_switch_behind_two_modes_moves_both),
        cmocka_unit_test(wishes_survive_a_new_configuration),
        cmocka_unit_test(choices_are_what_the_camera_lists),
        cmocka_unit_test(ticks_wait_for_buffers_and_are_lost_without),
        cmocka_unit_test(a_claim_names_its_owner_and_ends_with_it),
        cmocka_unit_test(shared_memory_is_mapped_whole),
        cmocka_unit_test(the_ring_keeps_order_between_threads),
        cmocka_unit_test(a_full_ring_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
