// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hal/fake/script.h"

static struct fake_script script;
static char error[FAKE_SCRIPT_ERROR_BYTES];

static int parse(const char *text)
{
    return fake_script_parse(&script, "faults.txt", text, strlen(text), error);
}

static void expect_due(uint64_t frame, enum fake_fault_kind kind)
{
    struct fake_fault fault;
    assert_true(fake_script_due(&script, frame, &fault));
    assert_int_equal(fault.kind, kind);
}

static void expect_nothing(uint64_t frame)
{
    struct fake_fault fault;
    assert_false(fake_script_due(&script, frame, &fault));
}

static void reads_every_instruction(void **state)
{
    (void)state;
    const char *text = "# what a bad day looks like\r\n"
                       "open-fail 2\n\n"
                       "configure-fail 3 # thrice\n"
                       "start-fail 1\n"
                       "stride 1700\n"
                       "padding 0\n"
                       "\tat 100 stall 2000ms\n"
                       "at 200 drop 3\n"
                       "at 300 torn\n"
                       "at 300 torn-unseen\n"
                       "at 400 unplug 3s\n"
                       "at 450 unplug\n"
                       "at 500 stream-error\n"
                       "at 0 freeze";
    if (parse(text) != 0)
        fail_msg("%s", error);
    assert_int_equal(script.open_fails, 2);
    assert_int_equal(script.configure_fails, 3);
    assert_int_equal(script.start_fails, 1);
    assert_int_equal(script.stride, 1700);
    assert_true(script.has_padding);
    assert_int_equal(script.fault_count, 8);
    assert_true(script.fault[0].duration_ns == 2 * NS_PER_S);
    assert_true(script.fault[1].count == 3);
    assert_true(script.fault[4].duration_ns == 3 * NS_PER_S);
    assert_true(script.fault[5].duration_ns == NS_NEVER);
}

static void plays_each_fault_once_and_in_order(void **state)
{
    (void)state;
    assert_int_equal(parse("at 20 torn\nat 10 drop 1\nat 20 freeze\n"), 0);
    expect_nothing(9);
    expect_due(10, FAKE_FAULT_DROP);
    expect_nothing(10);
    expect_nothing(19);
    expect_due(25, FAKE_FAULT_TORN);
    expect_due(25, FAKE_FAULT_FREEZE);
    expect_nothing(UINT64_MAX - 1);
}

static void repeats(void **state)
{
    (void)state;
    assert_int_equal(parse("every 10 torn\n"), 0);
    expect_nothing(0);
    expect_nothing(9);
    expect_due(10, FAKE_FAULT_TORN);
    expect_nothing(10);
    expect_due(20, FAKE_FAULT_TORN);
    // Of the repetitions at 30, 40 and 50 nobody saw one: it is due once.
    expect_due(55, FAKE_FAULT_TORN);
    expect_nothing(59);
    expect_due(60, FAKE_FAULT_TORN);
}

static void counts_failures_down(void **state)
{
    (void)state;
    assert_int_equal(parse("open-fail 2"), 0);
    assert_true(fake_script_fails(&script.open_fails));
    assert_true(fake_script_fails(&script.open_fails));
    assert_false(fake_script_fails(&script.open_fails));
    assert_false(fake_script_fails(&script.open_fails));
}

static void names_file_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"explode", "faults.txt:1: 'explode' is no instruction"},
        {"# fine\n\nat 5 explode", "faults.txt:3: 'explode' is no fault"},
        {"at", "faults.txt:1: 'at' needs a frame number"},
        {"at x torn", "faults.txt:1: 'x' is no frame number"},
        {"at -1 torn", "faults.txt:1: '-1' is no frame number"},
        {"at 99999999999 torn", "faults.txt:1: '99999999999' is no frame number"},
        {"every 0 torn", "faults.txt:1: '0' is no frame number of 1 to"},
        {"at 5", "faults.txt:1: what happens at frame 5?"},
        {"at 5 stall", "faults.txt:1: 'stall' needs a duration"},
        {"at 5 stall 20", "faults.txt:1: '20' is no duration"},
        {"at 5 stall 1.5s", "faults.txt:1: '1.5s' is no duration"},
        {"at 5 stall ms", "faults.txt:1: 'ms' is no duration"},
        {"at 5 drop", "faults.txt:1: 'drop' needs a count"},
        {"at 5 drop 0", "faults.txt:1: '0' is no count"},
        {"at 5 torn 7", "faults.txt:1: '7' is not understood here"},
        {"stride 70000", "faults.txt:1: '70000' is no number of 1 to 65536"},
        {"stride 64 64", "faults.txt:1: '64' is not understood here"},
        {"at 1 drop 2 three four", "faults.txt:1: 'four' is one word too many"},
        {"at 1 \x01torn", "faults.txt:1: byte 0x01 is not text"},
        {"abcdefghijklmnopqrstuvwxyz", "faults.txt:1: 'abcdefghijklmnopqrstuvw...' is too long"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(parse(wrong[i].text), -EINVAL);
        if (strncmp(error, wrong[i].message, strlen(wrong[i].message)) != 0)
            fail_msg("'%s' gave: %s", wrong[i].text, error);
    }
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    char text[FAKE_SCRIPT_BYTES_MAX + 2] = "";
    size_t used = 0;
    for (int i = 0; i < FAKE_SCRIPT_FAULTS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "at %d torn\n", i);
    assert_int_equal(parse(text), 0);
    snprintf(text + used, sizeof text - used, "at 0 torn\n");
    assert_int_equal(parse(text), -EINVAL);
    assert_non_null(strstr(error, ":65: more than 64 faults"));
    memset(text, '\n', sizeof text);
    assert_int_equal(
        fake_script_parse(&script, "faults.txt", text, FAKE_SCRIPT_BYTES_MAX + 1, error), -EINVAL);
    assert_non_null(strstr(error, "longer than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_instruction),
        cmocka_unit_test(plays_each_fault_once_and_in_order),
        cmocka_unit_test(repeats),
        cmocka_unit_test(counts_failures_down),
        cmocka_unit_test(names_file_line_and_reason),
        cmocka_unit_test(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
