// SPDX-License-Identifier: MIT
// The command line: file and options together, what --help shows, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/config/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS_MAX 16

static char ini_path[] = "/tmp/pinhole-test-options-XXXXXX";

static struct config config;
static struct options options;
static struct config_error error;

/** Parses "--a b c", split at blanks; FILE stands for the test's config file. */
static int parse(const char *line)
{
    char text[512], *words[WORDS_MAX + 1] = {"pinhole"};
    int count = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *save, *word = strtok_r(text, " ", &save); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, " ", &save))
        words[count++] = strcmp(word, "FILE") == 0 ? ini_path : word;
    error.text[0] = '\0';
    return options_parse(count, words, &config, &options, &error);
}

static void expect_runs(const char *line)
{
    if (parse(line) != 0)
        fail_msg("%s: %s", line, error.text);
}

static void expect_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static int make_file(void **state)
{
    (void)state;
    int file = mkstemp(ini_path);
    if (file < 0 || dprintf(file, "[jpeg]\nquality = 60\nquality_min = 33\n") < 0)
        return -1;
    return close(file);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(ini_path);
}

static void test_every_option_sets_its_key(void **state)
{
    (void)state;
    expect_runs("--config FILE --camera fake:x.txt --width 640 --height=480 --framerate 12.5 "
                "--shutter 900 --gain 2");
    assert_string_equal(config.camera, "fake:x.txt");
    assert_int_equal(config.width, 640);
    assert_int_equal(config.height, 480);
    assert_true(config.framerate == 12.5 && config.gain == 2.0);
    assert_int_equal(config.shutter_us, 900);

    expect_runs("-q 70 -b 1000000 -c FILE --roi 0,0,0.5,0.5 --listen 127.0.0.1:0 --format NV12");
    assert_int_equal(config.quality, 70);
    assert_int_equal(config.bit_rate, 1000000);
    assert_string_equal(config.roi, "0,0,0.5,0.5");
    assert_string_equal(config.listen, "127.0.0.1:0");
    assert_int_equal(config.format, HAL_PIXEL_NV12);
    assert_int_equal(config.width, 0); // nothing stays from the call before

    expect_runs("-c FILE --hflip --vflip=no");
    assert_true(config.hflip);
    assert_false(config.vflip);

    // Whatever has an option takes its own default through it.
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        char line[300];
        if (key->long_option == NULL)
            continue;
        snprintf(line, sizeof line, "-c FILE --%s=%s", key->long_option, key->standard);
        expect_runs(line);
    }
}

static void test_command_line_beats_file(void **state)
{
    (void)state;
    expect_runs("--config FILE");
    assert_string_equal(options.config_path, ini_path);
    assert_int_equal(config.quality, 60);
    assert_int_equal(config.quality_min, 33);
    expect_runs("--config FILE --quality 90");
    assert_int_equal(config.quality, 90);
    expect_runs("--quality 91 --config FILE");
    assert_int_equal(config.quality, 91);
    assert_int_equal(config.quality_min, 33);
    expect_runs("--set jpeg.quality_min=44 --config FILE");
    assert_int_equal(config.quality_min, 44);
    expect_runs("--set node.name=a=b -c FILE --quality 70 --set jpeg.quality=71");
    assert_string_equal(config.node_name, "a=b");
    assert_int_equal(config.quality, 71); // the later one
}

static void test_actions(void **state)
{
    (void)state;
    expect_runs("-c FILE");
    assert_int_equal(options.action, OPTIONS_RUN);
    expect_runs("-c FILE --list-cameras");
    assert_int_equal(options.action, OPTIONS_LIST_CAMERAS);
    expect_runs("--memory -c FILE");
    assert_int_equal(options.action, OPTIONS_MEMORY);
    // These answer also when the file is broken or away.
    expect_runs("--version --config /nowhere.ini");
    assert_int_equal(options.action, OPTIONS_VERSION);
    expect_runs("-h --config /nowhere.ini --quality 1000");
    assert_int_equal(options.action, OPTIONS_HELP);
    expect_runs("--print-config --quality 66");
    assert_int_equal(options.action, OPTIONS_PRINT_CONFIG);
    assert_null(options.config_path);
    assert_int_equal(config.quality, 66);
}

static void test_bad_command_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says[2];
    } cases[] = {
        {"--foo", {"no option --foo", "--help"}},
        {"--foo=1", {"no option --foo;", "--help"}},
        {"-Z", {"no option -Z", "--help"}},
        {"--hflip -Zq", {"no option -Z", "--help"}},
        {"--tri On", {"no option --tri", "--help"}}, // could be several
        {"--quality", {"--quality needs a value", ""}},
        {"-q", {"-q needs a value", ""}},
        {"--help=now", {"--help takes no value", ""}},
        {"stray", {"unexpected 'stray'", "--help"}},
        {"--hflip no", {"unexpected 'no'", ""}},
        {"--quality 101 -c FILE", {"--quality: jpeg.quality = '101'", "1 to 100"}},
        {"-q x -c FILE", {"--quality:", "whole number"}},
        {"--hflip=maybe -c FILE", {"--hflip:", "neither yes nor no"}},
        {"-c FILE --set quality=80", {"--set quality", "no setting 'quality'"}},
        {"-c FILE --set jpeg.qualty=80", {"--set", "no setting 'jpeg.qualty'"}},
        {"-c FILE --set jpeg.quality", {"--set jpeg.quality", "section.key=value"}},
        {"-c FILE --set =80", {"--set", "section.key=value"}},
        {"-c FILE --set jpeg.quality=", {"--set jpeg.quality: ", "whole number"}},
        {"--config /nowhere.ini", {"/nowhere.ini", "No such file"}},
        {"-c FILE --width 640", {"camera.width", "both or neither"}},
        {"-c FILE --quality 30", {"jpeg.quality_min 33", "jpeg.quality 30"}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        if (parse(cases[i].line) >= 0)
            fail_msg("accepted: %s", cases[i].line);
        expect_contains(error.text, cases[i].says[0]);
        expect_contains(error.text, cases[i].says[1]);
    }
}

static void test_help_shows_every_setting(void **state)
{
    (void)state;
    static char text[32768];
    int file = memfd_create("help", MFD_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(options_print_help(file), 0);
    ssize_t bytes = pread(file, text, sizeof text - 1, 0);
    assert_true(bytes > 0 && bytes < (ssize_t)sizeof text - 1);
    close(file);
    text[bytes] = '\0';

    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        char name[80];
        if (config_keys[i].long_option != NULL)
            snprintf(name, sizeof name, "--%s", config_keys[i].long_option);
        else
            snprintf(name, sizeof name, "%s.%s", config_keys[i].section, config_keys[i].key);
        expect_contains(text, name);
    }
    expect_contains(text, "(1 to 100; default 80)");
    expect_contains(text, "--set SECTION.KEY=VALUE");
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_sets_its_key),
        cmocka_unit_test(test_command_line_beats_file),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_bad_command_lines),
        cmocka_unit_test(test_help_shows_every_setting),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
