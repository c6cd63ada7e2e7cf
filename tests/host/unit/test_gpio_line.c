// SPDX-License-Identifier: MIT
// How a GPIO line may be called, and what is said when it cannot be had.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hal/gpio/line.h"

#define LABEL "pinctrl-rp1"

static void label_and_offset(void **state)
{
    (void)state;
    assert_int_equal(gpio_line_offset(LABEL ":0", LABEL, 54), 0);
    assert_int_equal(gpio_line_offset(LABEL ":17", LABEL, 54), 17);
    assert_int_equal(gpio_line_offset(LABEL ":53", LABEL, 54), 53);
    assert_int_equal(gpio_line_offset("a:b:3", "a:b", 8), 3); // labels may have colons
    static const char *const others[] = {
        LABEL ":54",  LABEL ":",    LABEL,        LABEL ":1x",          "pinctrl-rp:17",
        LABEL "0:17", LABEL ": 17", LABEL ":+17", LABEL ":-1",          ":17",
        "",           "GPIO17",     LABEL ":0x1", LABEL ":17179869200", // 17 in its lower 32 bits
    };
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        assert_int_equal(gpio_line_offset(others[i], LABEL, 54), -1);
    assert_int_equal(gpio_line_offset(":17", "", 54), -1);
}

static void the_processors_own_pins(void **state)
{
    (void)state;
    assert_true(gpio_is_header("pinctrl-bcm2711"));
    assert_false(gpio_is_header("raspberrypi-exp-gpio"));
    assert_false(gpio_is_header("pinctrl"));
}

static void failures_name_the_line_and_keep_the_contract(void **state)
{
    (void)state;
    static const struct {
        int status, error;
        const char *says;
    } cases[] = {
        {-ENOENT, -ENOENT, "gpioinfo"},  {-EBUSY, -EBUSY, "in use"},
        {-EACCES, -EIO, "permission"},   {-EPERM, -EIO, "permission"},
        {-EINVAL, -ENOTSUP, "debounce"}, {-ENODEV, -EIO, "No such device"},
    };
    struct gpio_failure failure;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(gpio_fail_open(&failure, "GPIO17", cases[i].status), cases[i].error);
        assert_non_null(strstr(failure.text, "GPIO17"));
        assert_non_null(strstr(failure.text, cases[i].says));
    }
    assert_int_equal(gpio_fail_open(&failure, "GPIO17", -ENOSPC), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_and_offset),
        cmocka_unit_test(the_processors_own_pins),
        cmocka_unit_test(failures_name_the_line_and_keep_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
