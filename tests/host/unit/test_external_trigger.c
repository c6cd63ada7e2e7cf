// SPDX-License-Identifier: MIT
// The preparation of an externally triggered sensor, on a folder that stands for the system.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/trigger/external_trigger.h"

static char root[64];
static struct config config;
static char paths[32][256]; /**< what put() made, folders before what is in them */
static unsigned made;

static void remember(const char *path)
{
    assert_true(made < ARRAY_SIZE(paths));
    snprintf(paths[made++], sizeof paths[0], "%s", path);
}

static void put(const char *path, const char *text, size_t bytes)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(full, 0700) == 0)
            remember(full);
        *slash = '/';
    }
    remember(full);
    FILE *file = fopen(full, "w");
    if (file == NULL) {
        fail_msg("cannot write %s", full);
        return;
    }
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
}

static const char *get(const char *path)
{
    static char text[1024];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("cannot read %s", path);
        return "";
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static const char *get_of_root(const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    return get(full);
}

static int begin(void **state)
{
    (void)state;
    strcpy(root, "/tmp/pinhole-external-XXXXXX");
    assert_non_null(mkdtemp(root));
    put("/run/x", "", 0);
    unsetenv("LIBCAMERA_RPI_CONFIG_FILE");
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("XDG_RUNTIME_DIR");
    config =
        (struct config){.trigger_mode = CONFIG_TRIGGER_ON, .trigger_rule = CONFIG_RULE_EXTERNAL};
    return 0;
}

static int end(void **state)
{
    (void)state;
    const char *file = getenv("LIBCAMERA_RPI_CONFIG_FILE");
    if (file != NULL && strncmp(file, root, strlen(root)) == 0)
        remove(file);
    while (made > 0)
        remove(paths[--made]);
    return remove(root);
}

static void a_pi_is_prepared(void **state)
{
    (void)state;
    static const char compatible[] = "raspberrypi,4-model-b\0brcm,bcm2711";
    put("/sys/module/imx296/parameters/trigger_mode", "0\n", 2);
    put("/proc/device-tree/compatible", compatible, sizeof compatible);
    external_trigger_prepare(&config, root);
    assert_int_equal(get_of_root("/sys/module/imx296/parameters/trigger_mode")[0], '1');
    const char *file = getenv("LIBCAMERA_RPI_CONFIG_FILE");
    assert_non_null(file);
    assert_non_null(strstr(get(file), "\"target\": \"bcm2835\""));
    assert_non_null(strstr(get(file), "\"camera_timeout_value_ms\": 1000000000"));
    assert_int_equal(config.shutter_us, EXTERNAL_TRIGGER_SHUTTER_US);
    assert_true(config.gain > 0);
}

static void a_pi_5_has_another_pipeline(void **state)
{
    (void)state;
    static const char compatible[] = "raspberrypi,5-model-b\0brcm,bcm2712";
    put("/proc/device-tree/compatible", compatible, sizeof compatible);
    external_trigger_prepare(&config, root);
    assert_non_null(strstr(get(getenv("LIBCAMERA_RPI_CONFIG_FILE")), "\"target\": \"pisp\""));
}

static void what_the_user_has_set_stays(void **state)
{
    (void)state;
    setenv("LIBCAMERA_RPI_CONFIG_FILE", "/etc/mine.yaml", 1);
    config.shutter_us = 77;
    config.gain = 2.5;
    external_trigger_prepare(&config, root);
    assert_string_equal(getenv("LIBCAMERA_RPI_CONFIG_FILE"), "/etc/mine.yaml");
    assert_int_equal(config.shutter_us, 77);
    assert_true(config.gain > 2.4);
}

static void the_units_folder_goes_first(void **state)
{
    (void)state;
    put("/run/pinhole/x", "", 0);
    setenv("RUNTIME_DIRECTORY", "/run/pinhole", 1);
    external_trigger_prepare(&config, root);
    assert_non_null(strstr(getenv("LIBCAMERA_RPI_CONFIG_FILE"), "/run/pinhole/"));
}

static void other_rules_touch_nothing(void **state)
{
    (void)state;
    put("/sys/module/imx296/parameters/trigger_mode", "0\n", 2);
    config.trigger_rule = CONFIG_RULE_START_AFTER;
    external_trigger_prepare(&config, root);
    assert_string_equal(get_of_root("/sys/module/imx296/parameters/trigger_mode"), "0\n");
    assert_null(getenv("LIBCAMERA_RPI_CONFIG_FILE"));
    assert_int_equal(config.shutter_us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pi_is_prepared, begin, end),
        cmocka_unit_test_setup_teardown(a_pi_5_has_another_pipeline, begin, end),
        cmocka_unit_test_setup_teardown(what_the_user_has_set_stays, begin, end),
        cmocka_unit_test_setup_teardown(the_units_folder_goes_first, begin, end),
        cmocka_unit_test_setup_teardown(other_rules_touch_nothing, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
