// SPDX-License-Identifier: MIT
// What any setter of a camera control asks: is there one of that name, and what is in its range.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "hal/fake/camera_fake.h"
#include "hal/feature.h"

static const struct hal_feature number = {"Gain", HAL_FEATURE_FLOAT, "", 1, 16, 0, NULL, true};
static const struct hal_feature mode = {"GainAuto", HAL_FEATURE_ENUM, "", 0, 1, 1, "Off|On", true};

static void a_control_is_found_by_its_whole_name(void **state)
{
    (void)state;
    unsigned index = 99;
    const struct hal_feature *found = hal_feature_find(&hal_camera_fake, "GainAuto", &index);
    assert_non_null(found);
    assert_string_equal(found->name, "GainAuto");
    assert_ptr_equal(hal_camera_fake.feature(index), found);
    assert_ptr_equal(hal_feature_find(&hal_camera_fake, "GainAuto", NULL), found);
    assert_null(hal_feature_find(&hal_camera_fake, "GainAut", &index));
    assert_null(hal_feature_find(&hal_camera_fake, "", &index));
}

static void numbers_come_into_their_range(void **state)
{
    (void)state;
    assert_true(hal_feature_clamp(&number, 0.5) == 1);
    assert_true(hal_feature_clamp(&number, 7.5) == 7.5);
    assert_true(hal_feature_clamp(&number, 1e300) == 16);
    assert_true(hal_feature_clamp(&number, (double)NAN) == 1);
    assert_true(hal_feature_allows(&number, 1) && hal_feature_allows(&number, 16));
    assert_false(hal_feature_allows(&number, 16.1) || hal_feature_allows(&number, (double)NAN));
}

/** The second of two choices is not "nearly" the fifth. */
static void modes_are_never_moved(void **state)
{
    (void)state;
    assert_true(hal_feature_is_mode(&mode) && !hal_feature_is_mode(&number));
    assert_true(hal_feature_clamp(&mode, 5) == 5);
    assert_false(hal_feature_allows(&mode, 5));
}

static void an_exposure_ends_at_the_timestamp(void **state)
{
    (void)state;
    const struct hal_frame frame = {.timestamp_ns = 5000000000, .exposure_us = 4000000};
    assert_int_equal(hal_frame_exposure_start_ns(&frame), 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_control_is_found_by_its_whole_name),
        cmocka_unit_test(numbers_come_into_their_range),
        cmocka_unit_test(modes_are_never_moved),
        cmocka_unit_test(an_exposure_ends_at_the_timestamp),
    };
    return cmocka_run_group_tests_name("feature", tests, NULL, NULL);
}
