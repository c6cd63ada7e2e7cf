// SPDX-License-Identifier: MIT
// The log when nobody reads it: no line waits, and those that are lost are counted.
#include "hal/os/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LINES   20000 /**< more than any pipe holds */
#define THREADS 4
#define ROUNDS  500

static int read_end, real_stderr;

static int divert(int flags)
{
    int ends[2];
    assert_int_equal(pipe2(ends, flags), 0);
    read_end = ends[0];
    real_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return 0;
}

static int divert_stderr(void **state)
{
    (void)state;
    return divert(0);
}

/** A pipe that has room for one write and no more. */
static int divert_stderr_narrowly(void **state)
{
    (void)state;
    divert(O_DIRECT);
    assert_true(fcntl(read_end, F_SETPIPE_SZ, 4096) > 0);
    return 0;
}

static int restore_stderr(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(read_end);
    return 0;
}

/** How many lines wait in the pipe; the last of them in `last`. */
static unsigned drain(char *last, size_t size)
{
    unsigned lines = 0;
    size_t used = 0;
    char byte;
    fcntl(read_end, F_SETFL, O_NONBLOCK);
    while (read(read_end, &byte, 1) == 1) {
        if (byte != '\n' && used + 1 < size) {
            last[used++] = byte;
        } else if (byte == '\n') {
            last[used] = '\0';
            used = 0;
            lines++;
        }
    }
    return lines;
}

static void test_a_reader_that_stops_stops_nobody(void **state)
{
    (void)state;
    char last[256] = "";
    alarm(120); // a write that waits would wait for ever
    for (unsigned i = 0; i < LINES; i++)
        log_info("line %u of a log that nobody reads", i);
    alarm(0);
    unsigned taken = drain(last, sizeof last);
    assert_true(taken > 0 && taken < LINES);
    log_info("going on");
    fcntl(read_end, F_SETFL, 0);
    char text[256] = "", expected[64];
    ssize_t bytes = read(read_end, text, sizeof text - 1);
    assert_true(bytes > 0);
    snprintf(expected, sizeof expected, "<4>%u log lines were lost", LINES - taken);
    assert_memory_equal(text, expected, strlen(expected));
    assert_non_null(strstr(text, "<6>going on\n"));
}

static void test_long_lines_are_cut(void **state)
{
    (void)state;
    char long_text[2000], last[1024] = "";
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    log_info("%s", long_text);
    log_debug("below the level");
    assert_int_equal(drain(last, sizeof last), 1);
    assert_true(strlen(last) > 400 && strlen(last) < 512);
}

static atomic_bool is_over;

static void *say_on_and_on(void *said)
{
    while (!atomic_load(&is_over)) {
        log_info("many threads have something to say");
        atomic_fetch_add((atomic_uint *)said, 1);
    }
    return NULL;
}

/** Room for one line, and several threads that see it: all go on. */
static void test_threads_do_not_wait(void **state)
{
    (void)state;
    static atomic_uint said[THREADS];
    pthread_t thread[THREADS];
    char line[4096];
    alarm(300); // a write that waits would wait for ever
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, say_on_and_on, &said[i]), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned before[THREADS];
        assert_true(read(read_end, line, sizeof line) > 0);
        for (unsigned i = 0; i < THREADS; i++)
            before[i] = atomic_load(&said[i]);
        for (unsigned i = 0; i < THREADS; i++)
            while (atomic_load(&said[i]) - before[i] < 2)
                sched_yield();
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_reader_that_stops_stops_nobody, divert_stderr,
                                        restore_stderr),
        cmocka_unit_test_setup_teardown(test_long_lines_are_cut, divert_stderr, restore_stderr),
        cmocka_unit_test_setup_teardown(test_threads_do_not_wait, divert_stderr_narrowly,
                                        restore_stderr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
