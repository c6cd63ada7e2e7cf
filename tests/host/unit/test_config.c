// SPDX-License-Identifier: MIT
// The settings: each key's range and text, the file's faults with their sentences, print and read.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/config/config.h"
#include "hal/select/gpio.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void name_of(const struct config_key *key, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s.%s", key->section, key->key);
}

static void expect_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

/** Sets one key, on top of the defaults, and expects `code`; refused, nothing may have changed. */
static void expect_set(const struct config_key *key, const char *text, int code)
{
    char name[64];
    struct config config, before;
    struct config_error error = {""};
    name_of(key, name, sizeof name);
    config_defaults(&config);
    config_defaults(&before);
    int result = config_set(&config, name, text, "here", &error);
    if (result != code)
        fail_msg("%s = '%s': %d instead of %d (%s)", name, text, result, code, error.text);
    if (code != 0) {
        assert_memory_equal(&config, &before, sizeof config);
        expect_contains(error.text, "here: ");
        expect_contains(error.text, name);
    }
}

static void test_every_key_is_described(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        char name[64];
        name_of(key, name, sizeof name);
        assert_ptr_equal(config_find(name), key); // so none is declared twice
        assert_true(strlen(key->help) > 10);
        expect_set(key, key->standard, 0);
        for (int j = 0; j < i; j++) {
            if (key->long_option != NULL && config_keys[j].long_option != NULL)
                assert_string_not_equal(key->long_option, config_keys[j].long_option);
            if (key->short_option != 0)
                assert_int_not_equal(key->short_option, config_keys[j].short_option);
            if (strcmp(key->section, config_keys[j].section) == 0)
                assert_string_equal(key->section, config_keys[i - 1].section);
        }
    }
    assert_null(config_find("jpeg"));
    assert_null(config_find("jpeg."));
    assert_null(config_find("jpeg.qualit"));
    assert_null(config_find("jpeg.qualityx"));
    assert_null(config_find(""));
}

static void check_number_range(const struct config_key *key)
{
    char text[64];
    snprintf(text, sizeof text, "%.17g", key->min);
    expect_set(key, text, 0);
    snprintf(text, sizeof text, "%.0f", key->max);
    expect_set(key, text, 0);
    bool is_float = key->type == CONFIG_FLOAT;
    snprintf(text, sizeof text, "%.17g", is_float ? nextafter(key->max, HUGE_VAL) : key->max + 1);
    expect_set(key, text, -ERANGE);
    snprintf(text, sizeof text, "%.17g", is_float ? nextafter(key->min, -1) : key->min - 1);
    expect_set(key, text, -ERANGE);
    // Wraps to something small where 64 bits are not watched.
    expect_set(key, "18446744073709551620", -ERANGE);
    expect_set(key, "", -EINVAL);
    expect_set(key, "ten", -EINVAL);
    expect_set(key, "-", -EINVAL);
    expect_set(key, "0x10", -EINVAL);
    expect_set(key, "1 0", -EINVAL);
}

static void check_string_range(const struct config_key *key)
{
    char text[CONFIG_STRING_BYTES * 2];
    memset(text, 'x', sizeof text);
    text[(size_t)key->max] = '\0';
    expect_set(key, text, 0);
    text[(size_t)key->max] = 'x';
    text[(size_t)key->max + 1] = '\0';
    expect_set(key, text, -ERANGE);
    expect_set(key, "", key->min > 0 ? -ERANGE : 0);
    expect_set(key, "a;b", -EINVAL);
    expect_set(key, "a\nb", -EINVAL);
    expect_set(key, "a\x7f", -EINVAL);
}

static void check_choices(const struct config_key *key)
{
    char choices[128];
    snprintf(choices, sizeof choices, "%s", key->unit);
    struct config config;
    struct config_error error;
    unsigned count = 0;
    char name[64];
    name_of(key, name, sizeof name);
    config_defaults(&config);
    for (char *save, *choice = strtok_r(choices, "|", &save); choice != NULL;
         choice = strtok_r(NULL, "|", &save)) {
        char back[CONFIG_STRING_BYTES + 1];
        assert_int_equal(config_set(&config, name, choice, "here", &error), 0);
        assert_int_equal(*(unsigned *)(void *)((char *)&config + key->offset), count++);
        config_format(&config, key, back, sizeof back);
        assert_string_equal(back, choice);
    }
    assert_true(count >= 2);
    expect_set(key, "", -EINVAL);
    expect_set(key, "neither", -EINVAL);
    expect_set(key, "|", -EINVAL);
    expect_set(key, key->unit, -EINVAL);
}

static void test_ranges_hold_at_both_ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        switch (key->type) {
        case CONFIG_INTEGER:
        case CONFIG_SIZE: check_number_range(key); break;
        case CONFIG_FLOAT:
            check_number_range(key);
            expect_set(key, "nan", -EINVAL);
            expect_set(key, "inf", -EINVAL);
            expect_set(key, "1e999", -ERANGE);
            break;
        case CONFIG_BOOLEAN:
            expect_set(key, "2", -EINVAL);
            expect_set(key, "", -EINVAL);
            expect_set(key, "yesno", -EINVAL);
            break;
        case CONFIG_ENUM: check_choices(key); break;
        case CONFIG_STRING: check_string_range(key); break;
        }
    }
}

static void test_forms_of_values(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *read;
    } forms[] = {{"jpeg.quality", "  90\t", "90"},
                 {"jpeg.quality", "090", "90"},
                 {"jpeg.bit_rate", "-0", "0"},
                 {"store.memory", "64M", "64M"},
                 {"store.memory", "64MiB", "64M"},
                 {"store.memory", "64 mib", "64M"},
                 {"store.memory", "65536k", "64M"},
                 {"store.memory", "67108864", "64M"},
                 {"store.memory", "67108865", "67108865"},
                 {"store.memory", "1G", "1G"},
                 {"camera.framerate", "29.97", "29.97"},
                 {"camera.framerate", "1e2", "100"},
                 {"camera.framerate", "0.1", "0.1"},
                 {"camera.framerate", ".5", "0.5"},
                 {"camera.hflip", "YES", "yes"},
                 {"camera.hflip", "1", "yes"},
                 {"camera.hflip", "on", "yes"},
                 {"camera.hflip", "True", "yes"},
                 {"camera.hflip", "Off", "no"},
                 {"camera.hflip", "false", "no"},
                 {"trigger.mode", "on", "On"},
                 {"camera.format", "yuv420", "YUV420"},
                 {"trigger.source", " Line ", "Line"},
                 {"node.name", " Line 3 ", "Line 3"},
                 {"node.name", "Straße # 3", "Straße # 3"}};
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        struct config config;
        struct config_error error;
        char back[CONFIG_STRING_BYTES + 1];
        config_defaults(&config);
        assert_int_equal(config_set(&config, forms[i].name, forms[i].text, "here", &error), 0);
        config_format(&config, config_find(forms[i].name), back, sizeof back);
        assert_string_equal(back, forms[i].read);
    }
    expect_set(config_find("store.memory"), "64MB", -EINVAL);
    expect_set(config_find("store.memory"), "M", -EINVAL);
    expect_set(config_find("store.memory"), "6.5M", -EINVAL);
    expect_set(config_find("store.memory"), "17179869185G", -ERANGE);
}

static void test_defaults_are_sound(void **state)
{
    (void)state;
    struct config config;
    struct config_error error;
    config_defaults(&config);
    assert_int_equal(config_check(&config, &error), 0);
    assert_int_equal(config_check_memory(&config, UINT64_C(512) << 20, &error), 0);
    assert_int_equal(config_check_memory(&config, UINT64_C(100) << 20, &error), -ENOMEM);
    expect_contains(error.text, "store.memory");
    assert_string_equal(config.camera, "auto");
    assert_string_equal(config.listen, "127.0.0.1:7447"); // safe: loopback alone
    assert_int_equal(config.quality, 80);
    assert_true(config.store_memory == 64u << 20);
    assert_true(config.framerate == 30.0);
    assert_false(config.hflip);
    assert_int_equal(config.trigger_mode, CONFIG_TRIGGER_OFF);
}

#define X50  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X150 X50 X50 X50

static const struct {
    const char *text;
    size_t bytes; /**< 0: strlen(text) */
    const char *says[3];
} bad_files[] = {
    {"[jpeg]\nqualty = 80\n", 0, {"f.ini:2:", "'qualty'", "[jpeg]"}},
    {"[store]\nquality = 80\n", 0, {"f.ini:2:", "'quality'", "[jpeg] has one"}},
    {"[jpg]\nquality = 80\n", 0, {"f.ini:1:", "no section [jpg]", ""}},
    {"\n\n[empty]\n", 0, {"f.ini:3:", "no section [empty]", ""}},
    {"[]\n", 0, {"f.ini:1:", "no section []", ""}},
    {"[ jpeg ]\n", 0, {"f.ini:1:", "no section [ jpeg ]", ""}},
    {"[JPEG]\n", 0, {"f.ini:1:", "no section [JPEG]", ""}},
    {"  [jpg]\n", 0, {"f.ini:1:", "no section [jpg]", ""}},
    {"\xEF\xBB\xBF[jpg]\n", 0, {"f.ini:1:", "no section [jpg]", ""}},
    {"[jpeg\nquality = 80\n", 0, {"f.ini:1:", "lacks its ']'", ""}},
    {"[jpeg] quality = 80\n", 0, {"f.ini:1:", "stands after", ""}},
    {"quality = 80\n", 0, {"f.ini:1:", "before any [section]", "quality"}},
    {"[jpeg]\nquality\n", 0, {"f.ini:2:", "neither a [section]", ""}},
    {"[jpeg]\nquality 80\nexif = maybe\n", 0, {"f.ini:2:", "neither a [section]", ""}},
    {"[jpeg]\nexif = maybe\nquality 80\n", 0, {"f.ini:2:", "neither yes nor no", "'maybe'"}},
    {"[jpeg]\n= 80\n", 0, {"f.ini:2:", "no key ''", ""}},
    {"[jpeg]\nquality = \n", 0, {"f.ini:2:", "jpeg.quality = ''", "whole number"}},
    {"[jpeg]\nquality = 80%\n", 0, {"f.ini:2:", "jpeg.quality", "whole number"}},
    {"[jpeg]\nquality = 0\n", 0, {"f.ini:2:", "out of range", "1 to 100"}},
    {"[jpeg]\nquality = 101\n", 0, {"f.ini:2:", "out of range", "1 to 100"}},
    {"[jpeg]\nquality = -5\n", 0, {"f.ini:2:", "'-5'", "1 to 100"}},
    {"[jpeg]\nchroma = 444\n", 0, {"f.ini:2:", "'444' is none of", "420, 422"}},
    {"[store]\nmemory = 1M\n", 0, {"f.ini:2:", "out of range", "4M to 4G bytes"}},
    {"[store]\nmemory = lots\n", 0, {"f.ini:2:", "number of bytes", "'lots'"}},
    {"[camera]\nframerate = fast\n", 0, {"f.ini:2:", "decimal number", "'fast'"}},
    {"[camera]\ncamera =\n", 0, {"f.ini:2:", "out of range", "1 to 160 bytes"}},
    {"[node]\nname = " X50 X50 "\n", 0, {"f.ini:2:", "at most 63 bytes", "..."}},
    {"[node]\nname = a\033[31mb\n", 0, {"f.ini:2:", "control character", "a?[31mb"}},
    {"[jpeg]\nquality = 70\n\nquality = 80\n", 0, {"f.ini:4:", "twice", "line 2"}},
    {"[jpeg]\nquality=7\n[store]\n[jpeg]\nquality=8\n", 0, {"f.ini:5:", "twice", "line 2"}},
    {"[jpeg]\nquality = 70\n  80\n", 0, {"f.ini:3:", "neither a [section]", ""}},
    {"[node]\nname = a\0b\n", 18, {"f.ini:2:", "NUL", ""}},
    {"\0", 1, {"f.ini:1:", "NUL", ""}},
    {"[jpeg]\nquality = 80\n\0", 21, {"f.ini:3:", "NUL", ""}},
    /** The tail of an over-long line must not be taken for a line of its own. */
    {"[jpeg]\n# " X150 X50 "\nquality=1\n", 0, {"f.ini:2:", "longer than 197 bytes", ""}},
    {"[jpeg]\n;" X150 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxquality=1\n",
     0,
     {"f.ini:2:", "longer than 197 bytes", ""}},
    {"[jpeg]\nexif = no\n;" X150 X50, 0, {"f.ini:3:", "longer than 197 bytes", ""}},
};

static void test_bad_files_stop_with_line_and_reason(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad_files); i++) {
        struct config config, before;
        struct config_error error = {""};
        config_defaults(&config);
        config_set(&config, "jpeg.quality", "77", "here", &error);
        memcpy(&before, &config, sizeof config);
        size_t bytes = bad_files[i].bytes != 0 ? bad_files[i].bytes : strlen(bad_files[i].text);
        int result = config_read_text(&config, bad_files[i].text, bytes, "f.ini", &error);
        if (result != -EINVAL)
            fail_msg("accepted (%d): %s", result, bad_files[i].text);
        for (unsigned j = 0; j < 3; j++)
            expect_contains(error.text, bad_files[i].says[j]);
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static void test_good_files(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBF# comment\r\n; comment\r\n\r\n[jpeg]  ; of JPEG\r\n"
                               "quality=90 ; ninety\r\n\tquality_min : 30\r\n[node]\n"
                               "name = Kiln = hot: #2\n[jpeg]\nexif = yes\n[server]\nlisten =\n"
                               "socket = /run/x.sock";
    struct config config;
    struct config_error error = {""};
    config_defaults(&config);
    assert_int_equal(config_read_text(&config, text, sizeof text - 1, "f.ini", &error), 0);
    assert_int_equal(config.quality, 90);
    assert_int_equal(config.quality_min, 30);
    assert_string_equal(config.node_name, "Kiln = hot: #2");
    assert_true(config.exif);
    assert_string_equal(config.listen, "");
    assert_string_equal(config.socket, "/run/x.sock");
    assert_int_equal(config_read_text(&config, "", 0, "f.ini", &error), 0);
    assert_int_equal(config.quality, 90);

    // The longest line: 197 bytes, with and without an end.
    static const char longest[] = "[jpeg]\n#" X150 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    char ended[sizeof longest + 32];
    assert_int_equal(sizeof longest - 1, strlen("[jpeg]\n") + CONFIG_LINE_BYTES);
    assert_int_equal(config_read_text(&config, longest, sizeof longest - 1, "f.ini", &error), 0);
    snprintf(ended, sizeof ended, "%s\nquality = 66\n", longest);
    assert_int_equal(config_read_text(&config, ended, strlen(ended), "f.ini", &error), 0);
    assert_int_equal(config.quality, 66);
}

/** What config_print() writes, 0-terminated; the caller frees it. */
static char *printed(const struct config *config, size_t *bytes)
{
    int file = memfd_create("config", MFD_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(config_print(file, config), 0);
    off_t end = lseek(file, 0, SEEK_END);
    assert_true(end > 0);
    char *text = calloc(1, (size_t)end + 1);
    assert_non_null(text);
    assert_int_equal(pread(file, text, (size_t)end, 0), end);
    close(file);
    *bytes = (size_t)end;
    return text;
}

static void expect_round_trip(const struct config *config)
{
    size_t bytes, again_bytes;
    struct config again;
    struct config_error error = {""};
    char *text = printed(config, &bytes);
    config_defaults(&again);
    if (config_read_text(&again, text, bytes, "printed", &error) != 0)
        fail_msg("%s", error.text);
    assert_memory_equal(&again, config, sizeof again);
    char *again_text = printed(&again, &again_bytes);
    assert_int_equal(again_bytes, bytes);
    assert_memory_equal(again_text, text, bytes);
    free(again_text);
    free(text);
}

static void test_printed_file_reads_back(void **state)
{
    (void)state;
    struct config config;
    struct config_error error;
    config_defaults(&config);
    expect_round_trip(&config);

    size_t bytes;
    char *text = printed(&config, &bytes);
    for (unsigned i = 0; i < CONFIG_KEYS; i++)
        expect_contains(text, config_keys[i].key);
    free(text);

    // Every key at its other end.
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        char name[64], value[CONFIG_STRING_BYTES + 1];
        name_of(key, name, sizeof name);
        memset(value, 'y', sizeof value);
        switch (key->type) {
        case CONFIG_INTEGER:
        case CONFIG_SIZE: snprintf(value, sizeof value, "%.0f", key->max - 1); break;
        case CONFIG_FLOAT: snprintf(value, sizeof value, "%.17g", key->max / 3); break;
        case CONFIG_BOOLEAN: snprintf(value, sizeof value, "yes"); break;
        case CONFIG_ENUM: snprintf(value, sizeof value, "%s", strrchr(key->unit, '|') + 1); break;
        case CONFIG_STRING: value[(size_t)key->max] = '\0'; break;
        }
        assert_int_equal(config_set(&config, name, value, "here", &error), 0);
    }
    expect_round_trip(&config);
}

static void test_files_on_disk(void **state)
{
    (void)state;
    struct config config, before;
    struct config_error error = {""};
    config_defaults(&config);
    config_defaults(&before);
    assert_int_equal(config_read_file(&config, "/nowhere/x.ini", &error), -ENOENT);
    expect_contains(error.text, "/nowhere/x.ini");
    expect_contains(error.text, "No such file");
    assert_int_equal(config_read_file(&config, "/", &error), -EISDIR);
    expect_contains(error.text, "directory");
    assert_int_equal(config_read_file(&config, "/dev/zero", &error), -EINVAL);
    assert_memory_equal(&config, &before, sizeof config);

    // A file that is longer than any buffer, with its keys at the end.
    char path[] = "/tmp/pinhole-test-config-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    for (int i = 0; i < 300; i++)
        assert_true(dprintf(file, "# comment %d\n", i) > 0);
    assert_true(dprintf(file, "[jpeg]\nquality = 55\n") > 0);
    assert_int_equal(config_read_file(&config, path, &error), 0);
    assert_int_equal(config.quality, 55);
    assert_true(dprintf(file, "quality = 56\n") > 0);
    assert_int_equal(config_read_file(&config, path, &error), -EINVAL);
    expect_contains(error.text, path);
    expect_contains(error.text, ":303: ");
    close(file);
    unlink(path);

    // An endless one: 1 MiB of empty lines is enough.
    static char lines[1024 * 1024 + 1];
    memset(lines, '\n', sizeof lines);
    assert_int_equal(config_read_text(&config, lines, sizeof lines - 1, "f", &error), 0);
    assert_int_equal(config_read_text(&config, lines, sizeof lines, "f", &error), -EINVAL);
    expect_contains(error.text, "larger than 1048576 bytes");

    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(config_print(full, &config), -ENOSPC);
    close(full);
}

static void test_settings_that_contradict(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says; // says NULL: allowed
    } cases[] = {
        {"[camera]\nwidth = 640\n", "both or neither"},
        {"[camera]\nwidth = 641\nheight = 480\n", "even"},
        {"[camera]\nwidth = 640\nheight = 480\n", NULL},
        {"[camera]\nroi = 0,0,1\n", "camera.roi"},
        {"[camera]\nroi = 0.5,0,0.6,1\n", "camera.roi"},
        {"[camera]\nroi = 0,0,0,1\n", "camera.roi"},
        {"[camera]\nroi = 0,0,nan,1\n", "camera.roi"},
        {"[camera]\nroi = 0,0,1,1,1\n", "camera.roi"},
        {"[camera]\nroi = 0.7,0.1,0.3,0.9\n", NULL},
        {"[camera]\nshutter_us = 33334\n", NULL},
        {"[camera]\nshutter_us = 34000\n", "camera.shutter_us 34000"},
        {"[camera]\nshutter_us = 34000\nframerate = 20\n", NULL},
        {"[jpeg]\nquality = 10\n", "jpeg.quality_min 20"},
        {"[jpeg]\nbit_rate = 999\n", "jpeg.bit_rate"},
        {"[store]\nmemory = 37M\n", NULL},
        {"[store]\nmemory = 36M\n", "need 2304"},
        {"[store]\nmemory = 8M\n[jpeg]\nframe_bytes_max = 256K\n", NULL},
        {"[server]\nlisten =\n", "nobody could connect"},
        {"[server]\nlisten =\nsocket = /run/p\n", NULL},
        {"[server]\nlisten = 7447\n", "ADDRESS:PORT"},
        {"[server]\nlisten = :7447\n", "ADDRESS:PORT"},
        {"[server]\nlisten = 1.2.3:7447\n", "ADDRESS:PORT"},
        {"[server]\nlisten = 0.0.0.0:65536\n", "ADDRESS:PORT"},
        {"[server]\nlisten = 0.0.0.0:0\n", NULL},
        {"[server]\nlisten = [::1]:7447\n", NULL},
        {"[server]\nlisten = ::1:7447\n", "ADDRESS:PORT"},
        {"[server]\nuplink = relay.example:7448\n", NULL},
        {"[server]\nuplink = relay.example\n", "server.uplink = relay.example"},
        {"[server]\nuplink_secret_file = /etc/s\n", "server.uplink_secret_file is for"},
        {"[server]\nuplink = -relay:7448\n", "server.uplink = -relay:7448"},
        {"[server]\nuplink = 10.0.0:7448\n", "server.uplink = 10.0.0:7448"},
        {"[server]\nuplink = [fd00::7]:7448\n", NULL},
        {"[trigger]\nsource = Line\n", "trigger.line"},
        {"[trigger]\nsource = Line\nline = GPIO17\n", NULL},
        {"[trigger]\nline = GPIO17\n[strobe]\nline = GPIO17\n", "must differ"},
        {"[strobe]\nreadback_line = GPIO5\n", "needs strobe.line"},
        {"[strobe]\nline = GPIO5\nreadback_line = GPIO5\n", "must differ"},
        {"[trigger]\nrule = external\n", "trigger.source = Line"},
        {"[trigger]\nrule = external\nsource = Line\nline = A\n", NULL},
        {"[trigger]\nrule = external\nsource = Line\nline = A\ndivider = 2\n", "divider"},
        {"[trigger]\nrule = external\nsource = Line\nline = A\nburst_frames = 2\n", "one frame"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config config;
        struct config_error error = {""};
        config_defaults(&config);
        config.gpio_backend = HAL_GPIO_FAKE; // the cases hold in a build without libgpiod, too
        if (config_read_text(&config, cases[i].text, strlen(cases[i].text), "f", &error) != 0)
            fail_msg("%s", error.text);
        int result = config_check(&config, &error);
        if (result != (cases[i].says != NULL ? -EINVAL : 0))
            fail_msg("%d for %s (%s)", result, cases[i].text, error.text);
        if (cases[i].says != NULL)
            expect_contains(error.text, cases[i].says);
    }
}

static void test_wired_lines_need_a_build_that_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says[3]; // without libgpiod; none: it is allowed
    } cases[] = {
        {"[trigger]\nline = GPIO17\n", {NULL}}, // triggered by software
        {"[trigger]\nsource = Line\nline = GPIO17\n",
         {"trigger.line = GPIO17", "gpio.backend = auto", "libgpiod-dev"}},
        {"[trigger]\nsource = Line\nline = GPIO17\n[gpio]\nbackend = gpiod\n",
         {"trigger.line = GPIO17", "gpio.backend = gpiod", "gpio.backend = fake"}},
        {"[trigger]\nsource = Line\nline = GPIO17\n[gpio]\nbackend = fake\n", {NULL}},
        {"[strobe]\nline = GPIO18\n", {"strobe.line = GPIO18", "auto", "libgpiod-dev"}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config config;
        struct config_error error = {""};
        config_defaults(&config);
        assert_int_equal(
            config_read_text(&config, cases[i].text, strlen(cases[i].text), "f", &error), 0);
        assert_int_equal(config_check_gpio(&config, true, &error), 0);
        assert_int_equal(config_check_gpio(&config, false, &error),
                         cases[i].says[0] != NULL ? -ENOTSUP : 0);
        for (unsigned k = 0; cases[i].says[0] != NULL && k < 3; k++)
            expect_contains(error.text, cases[i].says[k]);
    }
}

static void test_region_of_interest(void **state)
{
    (void)state;
    struct config config;
    double roi[4];
    config_defaults(&config);
    assert_int_equal(config_roi(&config, roi), 0);
    assert_true(roi[0] == 0 && roi[1] == 0 && roi[2] == 1 && roi[3] == 1);
    snprintf(config.roi, sizeof config.roi, "0.25,0.125,0.5,0.75");
    assert_int_equal(config_roi(&config, roi), 0);
    assert_true(roi[0] == 0.25 && roi[1] == 0.125 && roi[2] == 0.5 && roi[3] == 0.75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_described),
        cmocka_unit_test(test_ranges_hold_at_both_ends),
        cmocka_unit_test(test_forms_of_values),
        cmocka_unit_test(test_defaults_are_sound),
        cmocka_unit_test(test_bad_files_stop_with_line_and_reason),
        cmocka_unit_test(test_good_files),
        cmocka_unit_test(test_printed_file_reads_back),
        cmocka_unit_test(test_files_on_disk),
        cmocka_unit_test(test_settings_that_contradict),
        cmocka_unit_test(test_wired_lines_need_a_build_that_has_them),
        cmocka_unit_test(test_region_of_interest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
