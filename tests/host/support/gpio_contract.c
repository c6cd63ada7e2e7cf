// SPDX-License-Identifier: MIT
#include "tests/host/support/gpio_contract.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hal/os/clock.h"

#define PATIENCE_MS 5000

static const struct gpio_bench *bench;

static void drive(const char *line, bool is_high)
{
    assert_int_equal(bench->drive(line, is_high), 0);
}

static int open_input(const char *line, enum hal_gpio_edges edges)
{
    const struct hal_gpio_input wish = {.line = line, .edges = edges};
    int handle = bench->gpio->open_input(&wish);
    if (handle < 0)
        print_message("%s\n", bench->gpio->last_error());
    assert_true(handle >= 0 && handle < HAL_GPIO_LINES_MAX);
    return handle;
}

static bool is_readable(int handle, int patience_ms)
{
    struct pollfd wait = {.fd = bench->gpio->fd(handle), .events = POLLIN};
    assert_true(wait.fd >= 0);
    return poll(&wait, 1, patience_ms) == 1 && (wait.revents & POLLIN) != 0;
}

/** Waits for `count` edges, then makes sure that there are no more of them. */
static void read_exactly(int handle, struct hal_gpio_edge *edges, int count)
{
    int have = 0;
    while (have < count) {
        assert_true(is_readable(handle, PATIENCE_MS));
        int got = bench->gpio->read_edges(handle, edges + have, count - have);
        assert_true(got >= 0);
        have += got;
    }
    struct hal_gpio_edge more;
    assert_int_equal(bench->gpio->read_edges(handle, &more, 1), 0);
    assert_false(is_readable(handle, 0));
}

static void expect_rejection(int status, int wanted)
{
    assert_int_equal(status, wanted);
    assert_true(bench->gpio->last_error()[0] != '\0');
}

static void lines_are_found_by_name_and_by_label(void **state)
{
    (void)state;
    bench->gpio->close(open_input(bench->lines[0], HAL_GPIO_BOTH));
    bench->gpio->close(open_input(bench->by_label, HAL_GPIO_BOTH));
    for (size_t i = 0; i < ARRAY_SIZE(bench->absent) && bench->absent[i] != NULL; i++) {
        const struct hal_gpio_input input = {.line = bench->absent[i], .edges = HAL_GPIO_RISING};
        const struct hal_gpio_output output = {.line = bench->absent[i]};
        expect_rejection(bench->gpio->open_input(&input), -ENOENT);
        expect_rejection(bench->gpio->open_output(&output), -ENOENT);
    }
}

static void a_line_has_one_user(void **state)
{
    (void)state;
    int handle = open_input(bench->lines[0], HAL_GPIO_RISING);
    const struct hal_gpio_input again = {.line = bench->by_label, .edges = HAL_GPIO_RISING};
    const struct hal_gpio_output output = {.line = bench->lines[0]};
    expect_rejection(bench->gpio->open_input(&again), -EBUSY);
    expect_rejection(bench->gpio->open_output(&output), -EBUSY);
    bench->gpio->close(handle);
    bench->gpio->close(open_input(bench->lines[0], HAL_GPIO_RISING));
}

static void handles_are_bounded(void **state)
{
    (void)state;
    int handles[HAL_GPIO_LINES_MAX];
    for (int i = 0; i < HAL_GPIO_LINES_MAX; i++)
        handles[i] = open_input(bench->lines[i], HAL_GPIO_RISING);
    const struct hal_gpio_input one_more = {.line = bench->lines[HAL_GPIO_LINES_MAX],
                                            .edges = HAL_GPIO_RISING};
    expect_rejection(bench->gpio->open_input(&one_more), -ENOSPC);
    for (int i = 0; i < HAL_GPIO_LINES_MAX; i++)
        bench->gpio->close(handles[i]);
    bench->gpio->close(open_input(one_more.line, HAL_GPIO_RISING));
}

static void edges_come_in_order_with_time_and_sequence(void **state)
{
    (void)state;
    drive(bench->lines[0], false);
    int handle = open_input(bench->lines[0], HAL_GPIO_BOTH);
    uint64_t before_ns = clock_now_ns();
    for (int i = 0; i < 10; i++)
        drive(bench->lines[0], i % 2 == 0);
    struct hal_gpio_edge edges[10];
    read_exactly(handle, edges, 10);
    uint64_t after_ns = clock_now_ns();
    for (int i = 0; i < 10; i++) {
        assert_true(edges[i].is_rising == (i % 2 == 0));
        assert_int_equal(edges[i].line_sequence, i + 1);
        assert_true(edges[i].timestamp_ns >= (i ? edges[i - 1].timestamp_ns : before_ns));
        assert_true(edges[i].timestamp_ns <= after_ns);
    }
    bench->gpio->close(handle);
}

static void only_the_wanted_edges_come(void **state)
{
    (void)state;
    for (int rising = 0; rising < 2; rising++) {
        drive(bench->lines[1], false);
        int handle = open_input(bench->lines[1], rising ? HAL_GPIO_RISING : HAL_GPIO_FALLING);
        for (int i = 0; i < 6; i++)
            drive(bench->lines[1], i % 2 == 0);
        struct hal_gpio_edge edges[3];
        read_exactly(handle, edges, 3);
        for (int i = 0; i < 3; i++) {
            assert_true(edges[i].is_rising == (rising == 1));
            assert_int_equal(edges[i].line_sequence, i + 1);
        }
        bench->gpio->close(handle);
    }
}

static void active_low_turns_edges_round(void **state)
{
    (void)state;
    drive(bench->lines[0], true);
    const struct hal_gpio_input wish = {
        .line = bench->lines[0], .edges = HAL_GPIO_RISING, .active_low = true};
    int handle = bench->gpio->open_input(&wish);
    assert_true(handle >= 0);
    drive(bench->lines[0], false);
    drive(bench->lines[0], true);
    struct hal_gpio_edge edge;
    read_exactly(handle, &edge, 1);
    assert_true(edge.is_rising);
    bench->gpio->close(handle);
}

static void lost_edges_leave_a_gap(void **state)
{
    (void)state;
    drive(bench->lines[0], false);
    int handle = open_input(bench->lines[0], HAL_GPIO_BOTH);
    unsigned driven = 2 * bench->queue;
    for (unsigned i = 0; i < driven; i++)
        drive(bench->lines[0], i % 2 == 0);
    unsigned got = 0;
    uint32_t last = 0, missing = 0;
    struct hal_gpio_edge edge;
    while (bench->gpio->read_edges(handle, &edge, 1) == 1) {
        assert_true(edge.line_sequence > last);
        missing += edge.line_sequence - last - 1;
        last = edge.line_sequence;
        got++;
    }
    // What was lost after the last edge in the queue shows with the next one.
    drive(bench->lines[0], true);
    read_exactly(handle, &edge, 1);
    missing += edge.line_sequence - last - 1;
    got++;
    assert_true(got > bench->queue && got < driven);
    if (!bench->knows_losses) {
        assert_int_equal(missing, 0);
    } else { // a simulated line may have joined some edges itself
        assert_true(missing > 0 && got + missing <= driven + 1);
        assert_true(got + missing >= driven - driven / 10);
    }
    bench->gpio->close(handle);
}

static void reopening_forgets_old_edges(void **state)
{
    (void)state;
    drive(bench->lines[0], false);
    int handle = open_input(bench->lines[0], HAL_GPIO_RISING);
    drive(bench->lines[0], true);
    assert_true(is_readable(handle, PATIENCE_MS));
    bench->gpio->close(handle);
    drive(bench->lines[0], false);
    handle = open_input(bench->lines[0], HAL_GPIO_RISING);
    assert_false(is_readable(handle, 0));
    drive(bench->lines[0], true);
    struct hal_gpio_edge edge;
    read_exactly(handle, &edge, 1);
    assert_int_equal(edge.line_sequence, 1);
    bench->gpio->close(handle);
}

static void bounces_within_the_debounce_time_count_once(void **state)
{
    (void)state;
    drive(bench->lines[2], false);
    const struct hal_gpio_input wish = {
        .line = bench->lines[2], .edges = HAL_GPIO_RISING, .debounce_us = 200000};
    int handle = bench->gpio->open_input(&wish);
    if (!bench->can_debounce) {
        expect_rejection(handle, -ENOTSUP);
        return;
    }
    assert_true(handle >= 0);
    for (int i = 0; i < 9; i++)
        drive(bench->lines[2], i % 2 == 0);
    assert_true(is_readable(handle, PATIENCE_MS));
    usleep(400000);
    struct hal_gpio_edge edge;
    read_exactly(handle, &edge, 1);
    assert_true(edge.is_rising);
    bench->gpio->close(handle);
}

static void biases_are_taken_or_refused(void **state)
{
    (void)state;
    for (int bias = HAL_GPIO_BIAS_AS_IS; bias <= HAL_GPIO_PULL_DOWN; bias++) {
        const struct hal_gpio_input wish = {
            .line = bench->lines[3], .edges = HAL_GPIO_RISING, .bias = (enum hal_gpio_bias)bias};
        int handle = bench->gpio->open_input(&wish);
        if (bias == HAL_GPIO_BIAS_AS_IS || handle != -ENOTSUP)
            assert_true(handle >= 0);
        bench->gpio->close(handle);
    }
}

static void outputs_start_and_end_at_their_initial_level(void **state)
{
    (void)state;
    for (int active_low = 0; active_low < 2; active_low++) {
        const struct hal_gpio_output wish = {.line = bench->lines[1],
                                             .active_low = active_low == 1,
                                             .is_initially_high = active_low == 1};
        int handle = bench->gpio->open_output(&wish);
        assert_true(handle >= 0);
        assert_int_equal(bench->level(bench->lines[1]), 0); // initial XOR active_low is low
        for (int i = 0; i < 4; i++) {
            bool level = i % 2 == 0;
            assert_int_equal(bench->gpio->write(handle, level), 0);
            assert_int_equal(bench->level(bench->lines[1]), level != wish.active_low);
        }
        assert_int_equal(bench->gpio->write(handle, !wish.is_initially_high), 0);
        bench->gpio->close(handle);
        assert_int_equal(bench->level(bench->lines[1]), 0);
    }
    const struct hal_gpio_output high = {.line = bench->lines[1], .is_initially_high = true};
    int handle = bench->gpio->open_output(&high);
    assert_true(handle >= 0);
    assert_int_equal(bench->level(bench->lines[1]), 1);
    bench->gpio->close(handle);
}

static void wrong_handles_do_no_harm(void **state)
{
    (void)state;
    struct hal_gpio_edge edge;
    const struct hal_gpio_output wish = {.line = bench->lines[1]};
    int output = bench->gpio->open_output(&wish);
    int input = open_input(bench->lines[0], HAL_GPIO_RISING);
    assert_true(output >= 0 && output != input);
    assert_int_equal(bench->gpio->fd(output), -1);
    expect_rejection(bench->gpio->read_edges(output, &edge, 1), -EIO);
    expect_rejection(bench->gpio->write(input, true), -EIO);
    bench->gpio->close(output);
    bench->gpio->close(output);
    bench->gpio->close(-1);
    bench->gpio->close(HAL_GPIO_LINES_MAX);
    expect_rejection(bench->gpio->write(output, true), -EIO);
    assert_int_equal(bench->gpio->read_edges(input, &edge, 1), 0);
    bench->gpio->close(input);
    expect_rejection(bench->gpio->read_edges(input, &edge, 1), -EIO);
}

int gpio_contract_run(const struct gpio_bench *the_bench)
{
    bench = the_bench;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found_by_name_and_by_label),
        cmocka_unit_test(a_line_has_one_user),
        cmocka_unit_test(handles_are_bounded),
        cmocka_unit_test(edges_come_in_order_with_time_and_sequence),
        cmocka_unit_test(only_the_wanted_edges_come),
        cmocka_unit_test(active_low_turns_edges_round),
        cmocka_unit_test(lost_edges_leave_a_gap),
        cmocka_unit_test(reopening_forgets_old_edges),
        cmocka_unit_test(bounces_within_the_debounce_time_count_once),
        cmocka_unit_test(biases_are_taken_or_refused),
        cmocka_unit_test(outputs_start_and_end_at_their_initial_level),
        cmocka_unit_test(wrong_handles_do_no_harm),
    };
    print_message("%s, version %s\n", bench->name, bench->gpio->version());
    return cmocka_run_group_tests_name(bench->name, tests, NULL, NULL);
}
