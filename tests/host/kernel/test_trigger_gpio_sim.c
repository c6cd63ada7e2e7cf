// SPDX-License-Identifier: MIT
// The complete way on real kernel lines: edge, libgpiod, engine, frame, subscriber. Needs simulated
// lines (PINHOLE_GPIO_SIM), which make check-vm has.
//   PINHOLE_TEST_EDGES=N   edges of the long runs (default 1000)
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "hal/fake/code.h"
#include "hal/os/clock.h"
#include "net/wire.h"
#include "tests/host/support/gpio_sim.h"
#include "tests/host/support/jpeg_file.h"
#include "tests/host/support/trigger_bench.h"

#define LINE      "GPIO17"
#define PERIOD_NS (NS_PER_S / 40)

#define EDGES_LOST "pinhole_line_edges_ignored_total{reason=\"kernel_lost\"}"

#define CAMERA                                                                                     \
    "[camera]\ncamera = fake\nwidth = 320\nheight = 240\nframerate = 40\nshutter_us = 5000\n"      \
    "[jpeg]\nframe_bytes_max = 128K\n[store]\nmemory = 32M\n"
#define ON_LINE  "[gpio]\nbackend = gpiod\n[trigger]\nmode = On\nsource = Line\nline = " LINE "\n"
#define TRIGGER  ON_LINE "activation = RisingEdge\n"
#define ANY_EDGE ON_LINE "activation = AnyEdge\n"

/** Where it is not about how many pictures an emulated processor can make. */
#define SLOW_CAMERA                                                                                \
    "[camera]\ncamera = fake\nwidth = 320\nheight = 240\nframerate = 10\nshutter_us = 5000\n"      \
    "[jpeg]\nframe_bytes_max = 128K\n[store]\nmemory = 32M\n"

static struct trigger_bench bench;

#define CASE(name) cmocka_unit_test_teardown(name, kill_node)

/** The virtual machine runs these tests on one processor: the kernel's thread that serves an edge
 * then runs before the program that makes the next one goes on, so no edge is swallowed because the
 * machine around it is busy. A storm needs a second one to rage on. */
static void use_second_processor(bool is_wanted)
{
    FILE *file = fopen("/sys/devices/system/cpu/cpu1/online", "w");
    if (file == NULL)
        return;
    fputs(is_wanted ? "1" : "0", file);
    fclose(file);
}

static int kill_node(void **state)
{
    (void)state;
    use_second_processor(false);
    trigger_bench_kill(&bench);
    return 0;
}

static unsigned long edges_wanted(void)
{
    const char *text = getenv("PINHOLE_TEST_EDGES");
    return text != NULL ? strtoul(text, NULL, 10) : 1000;
}

static void sleep_until(uint64_t at_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(at_ns / NS_PER_S),
                                .tv_nsec = (long)(at_ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static void pulse(void)
{
    assert_int_equal(gpio_sim_drive(LINE, true), 0);
    usleep(1000);
    assert_int_equal(gpio_sim_drive(LINE, false), 0);
}

/** Frames must flow before the first edge: what is tested here is not the start of the camera. The
 * line may have been left high. */
static void wait_for_camera(void)
{
    assert_int_equal(gpio_sim_drive(LINE, false), 0);
    while (trigger_bench_counter(&bench, "pinhole_frames_acquired_total") < 10)
        usleep(50000);
}

/** The header's times are those that the camera drew into the picture, and the rule holds. */
static void check_frame(struct trigger_bench *b, const struct pinhole_frame *frame)
{
    (void)b;
    const struct jpeg_file file = {.data = (uint8_t *)(uintptr_t)frame->jpeg,
                                   .bytes = frame->jpeg_bytes};
    uint32_t width, height;
    uint8_t *luma = jpeg_file_luma(&file, &width, &height);
    struct fake_code code;
    assert_int_equal(fake_code_read(luma, width, 1, width, height, &code), 0);
    free(luma);
    assert_int_equal(code.timestamp_ns, frame->timestamp_ns);
    assert_int_equal(code.sequence, frame->sensor_sequence);
    uint64_t start_ns = code.timestamp_ns - frame->exposure_us * NS_PER_US;
    assert_true(start_ns >= frame->edge_ns);
    assert_true(frame->exposure_delta_ns == (int64_t)(start_ns - frame->edge_ns));
    assert_int_equal(frame->trigger_source, WIRE_SOURCE_LINE);
}

static void every_edge_at_half_the_rate_gets_its_frame(void **state)
{
    (void)state;
    unsigned long edges = edges_wanted();
    trigger_bench_start(&bench, CAMERA TRIGGER "timeout_ms = 30000\n", NULL);
    bench.on_frame = check_frame;
    wait_for_camera();
    uint64_t due_ns = clock_now_ns(), begin_ns = due_ns;
    uint64_t prompt = 0;
    for (unsigned long i = 0; i < edges; i++) {
        sleep_until(due_ns);
        pulse();
        // Not faster than the camera really is, should this machine be too slow for its rate.
        trigger_bench_take_until(&bench, i + 1);
        prompt += bench.frame.exposure_delta_ns <= (int64_t)(PERIOD_NS + PERIOD_NS / 8);
        due_ns = base_max_u64(due_ns + 2 * PERIOD_NS, clock_now_ns());
    }
    print_message("%lu edges in %.1f s: %llu matched, %llu of them within one frame period\n",
                  edges, (double)(clock_now_ns() - begin_ns) / 1e9,
                  (unsigned long long)bench.outcomes[WIRE_OUTCOME_MATCHED],
                  (unsigned long long)prompt);
    assert_int_equal(bench.outcomes[WIRE_OUTCOME_MATCHED], edges);
    assert_int_equal(bench.frames, edges);
    assert_int_equal(bench.events, 0);
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_line_edges_total"), edges);
    trigger_bench_stop(&bench);
}

/** Drives edges from a thread, so that the subscriber is never late because of them. */
struct generator {
    pthread_t thread;
    unsigned long edges;
    uint64_t interval_ns; /**< 0 = as fast as it goes, until `stop` */
    atomic_bool stop, ended;
    unsigned long driven;
    double seconds;
};

#define STORM_RATE    50000 /**< edges a second, both directions */
#define STORM_SECONDS 10
/** Between two looks at the clock, which is dear in an emulated machine. */
#define STORM_GUST 16

static void *rage(void *argument)
{
    struct generator *g = argument;
    uint64_t begin_ns = clock_now_ns();
    while (g->driven < g->edges) {
        for (unsigned i = 0; i < STORM_GUST; i++)
            gpio_sim_drive(LINE, g->driven++ % 2 == 0);
        uint64_t due_ns = begin_ns + g->driven * (NS_PER_S / STORM_RATE);
        if (clock_now_ns() < due_ns)
            sleep_until(due_ns);
    }
    g->seconds = (double)(clock_now_ns() - begin_ns) / 1e9;
    atomic_store(&g->ended, true);
    return NULL;
}

static void *generate(void *argument)
{
    struct generator *g = argument;
    uint64_t begin_ns = clock_now_ns();
    for (g->driven = 0; g->driven < g->edges && !atomic_load(&g->stop); g->driven++) {
        sleep_until(begin_ns + g->driven * g->interval_ns);
        gpio_sim_drive(LINE, true);
        if (g->interval_ns > 2 * NS_PER_MS)
            usleep((useconds_t)(g->interval_ns / 2 / NS_PER_US));
        gpio_sim_drive(LINE, false);
    }
    g->seconds = (double)(clock_now_ns() - begin_ns) / 1e9;
    return NULL;
}

static void generator_start(struct generator *g)
{
    assert_int_equal(pthread_create(&g->thread, NULL, generate, g), 0);
}

static uint64_t all_outcomes(void)
{
    uint64_t sum = 0;
    for (unsigned i = WIRE_OUTCOME_MATCHED; i <= WIRE_OUTCOME_FAILED; i++)
        sum += bench.outcomes[i];
    return sum;
}

static void print_outcomes(const char *what)
{
    print_message("%s: %llu matched, %llu missed, %llu overrun, %llu failed; %llu frames, "
                  "%llu events\n",
                  what, (unsigned long long)bench.outcomes[WIRE_OUTCOME_MATCHED],
                  (unsigned long long)bench.outcomes[WIRE_OUTCOME_MISSED],
                  (unsigned long long)bench.outcomes[WIRE_OUTCOME_OVERRUN],
                  (unsigned long long)bench.outcomes[WIRE_OUTCOME_FAILED],
                  (unsigned long long)bench.frames, (unsigned long long)bench.events);
}

static void at_three_times_the_rate_outcomes_add_up(void **state)
{
    (void)state;
    trigger_bench_start(&bench, CAMERA TRIGGER "timeout_ms = 30000\n", NULL);
    bench.on_frame = check_frame;
    wait_for_camera();
    struct generator g = {.edges = edges_wanted(), .interval_ns = PERIOD_NS / 3};
    generator_start(&g);
    trigger_bench_take_until(&bench, g.edges);
    pthread_join(g.thread, NULL);
    print_outcomes("3 x the frame rate");
    assert_int_equal(bench.last_id, g.edges);
    assert_int_equal(all_outcomes(), g.edges);
    assert_int_equal(bench.frames, bench.outcomes[WIRE_OUTCOME_MATCHED]);
    assert_true(bench.outcomes[WIRE_OUTCOME_OVERRUN] >= g.edges / 4);
    assert_true(bench.outcomes[WIRE_OUTCOME_MATCHED] >= g.edges / 20);
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_line_edges_total"), g.edges);
    trigger_bench_stop(&bench);
}

static void a_consumer_that_left_and_resumed_has_lost_none(void **state)
{
    (void)state;
    trigger_bench_start(&bench, CAMERA TRIGGER "timeout_ms = 30000\n", NULL);
    wait_for_camera();
    struct generator g = {.edges = edges_wanted() / 5, .interval_ns = PERIOD_NS};
    generator_start(&g);
    for (unsigned long i = 1; i <= 5; i++) {
        trigger_bench_take_until(&bench, i * g.edges / 6);
        trigger_bench_leave_and_resume(&bench);
        usleep(100000);
    }
    trigger_bench_take_until(&bench, g.edges);
    pthread_join(g.thread, NULL);
    print_outcomes("5 departures");
    assert_int_equal(all_outcomes(), g.edges);
    trigger_bench_stop(&bench);
}

static void matching_resumes_by_itself_after_an_outage(void **state)
{
    (void)state;
    trigger_bench_start(&bench, CAMERA TRIGGER "timeout_ms = 1000\n", "at 80 unplug 2s\n");
    wait_for_camera();
    struct generator g = {.edges = 1000000, .interval_ns = 4 * PERIOD_NS};
    generator_start(&g);
    uint64_t lost = 0, matched_after = 0;
    for (unsigned i = 0; lost == 0 || matched_after < 20; i++) {
        assert_true(i < 10000 && trigger_bench_take(&bench, TRIGGER_BENCH_PATIENCE_MS));
        uint64_t now_lost =
            bench.outcomes[WIRE_OUTCOME_FAILED] + bench.outcomes[WIRE_OUTCOME_MISSED];
        uint64_t matched = bench.outcomes[WIRE_OUTCOME_MATCHED];
        static uint64_t matched_at_loss;
        if (now_lost != lost)
            matched_at_loss = matched;
        lost = now_lost;
        matched_after = matched - matched_at_loss;
    }
    atomic_store(&g.stop, true);
    pthread_join(g.thread, NULL);
    trigger_bench_take_until(&bench, g.driven);
    print_outcomes("2 s without a camera");
    assert_int_equal(all_outcomes(), g.driven);
    assert_true(lost >= 5); // some ten edges fell into the outage
    trigger_bench_stop(&bench);
}

/** Interrupts that the kernel took for the node's line, from /proc/interrupts. */
static uint64_t count_interrupts(void)
{
    FILE *file = fopen("/proc/interrupts", "r");
    if (file == NULL) {
        fail_msg("no /proc/interrupts");
        return 0;
    }
    char line[512];
    uint64_t sum = 0;
    bool was_found = false;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *name = strstr(line, "pinhole");
        if (name == NULL)
            continue;
        was_found = true;
        char *at = strchr(line, ':') + 1, *end = NULL;
        for (unsigned long long n = strtoull(at, &end, 10); end != at; n = strtoull(at, &end, 10)) {
            sum += n;
            at = end;
        }
    }
    fclose(file);
    assert_true(was_found);
    return sum;
}

static void a_storm_starves_nothing_and_costs_no_memory(void **state)
{
    (void)state;
    trigger_bench_start(&bench, SLOW_CAMERA ANY_EDGE "timeout_ms = 30000\n", NULL);
    wait_for_camera();
    pulse();
    trigger_bench_take_until(&bench, 2);
    use_second_processor(true);
    unsigned long memory_before = trigger_bench_memory_kib(&bench);
    uint64_t acquired_before = trigger_bench_counter(&bench, "pinhole_frames_acquired_total");
    uint64_t frames_before = bench.frames, interrupts_before = count_interrupts();

    struct generator g = {.edges = STORM_RATE * STORM_SECONDS};
    assert_int_equal(pthread_create(&g.thread, NULL, rage, &g), 0);
    while (!atomic_load(&g.ended))
        trigger_bench_take(&bench, 100);
    pthread_join(g.thread, NULL);
    pulse(); // its sequence tells of those that were lost last
    uint64_t acquired =
        trigger_bench_counter(&bench, "pinhole_frames_acquired_total") - acquired_before;
    uint64_t frames = bench.frames - frames_before;
    uint64_t edges = trigger_bench_counter(&bench, "pinhole_line_edges_total");
    uint64_t lost = trigger_bench_counter(&bench, EDGES_LOST);
    uint64_t interrupts = count_interrupts() - interrupts_before;
    trigger_bench_take_until(&bench, edges);
    unsigned long memory = trigger_bench_memory_kib(&bench);
    print_outcomes("storm");
    print_message("driven %lu edges in %.1f s (%.0f/s): interrupts %llu, triggers %llu, counted as "
                  "lost %llu; camera frames %llu, delivered %llu; memory %lu -> %lu KiB\n",
                  g.driven, g.seconds, (double)g.driven / g.seconds, (unsigned long long)interrupts,
                  (unsigned long long)edges, (unsigned long long)lost, (unsigned long long)acquired,
                  (unsigned long long)frames, memory_before, memory);
    assert_int_equal(g.driven, STORM_RATE * STORM_SECONDS);
    assert_int_equal(all_outcomes(), edges);
    // The kernel merges an interrupt that comes before its thread has served the one before.
    assert_true(edges + lost <= interrupts + 4);
    assert_true(frames * 2 >= acquired); // how many more depends on what emulates the processors
    assert_true(memory <= memory_before + 256);
    pulse();
    trigger_bench_take_until(&bench, edges + 2);
    trigger_bench_stop(&bench);
}

/** The kernel keeps 1024 edges for a node that does not come to take them; the others are
 * counted. */
static void edges_that_the_kernel_loses_are_counted(void **state)
{
    (void)state;
    trigger_bench_start(&bench, CAMERA TRIGGER "timeout_ms = 30000\n", NULL);
    wait_for_camera();
    uint64_t before = count_interrupts();
    assert_int_equal(kill(bench.pid, SIGSTOP), 0);
    for (unsigned i = 0; i < 4000; i++) {
        gpio_sim_drive(LINE, true);
        usleep(200);
        gpio_sim_drive(LINE, false);
        usleep(200);
    }
    assert_int_equal(kill(bench.pid, SIGCONT), 0);
    trigger_bench_take_until(&bench, 1024);
    pulse(); // its sequence tells of those that were lost last
    trigger_bench_take_until(&bench, 1025);
    uint64_t interrupts = count_interrupts() - before;
    uint64_t edges = trigger_bench_counter(&bench, "pinhole_line_edges_total");
    uint64_t lost = trigger_bench_counter(&bench, EDGES_LOST);
    print_message("interrupts %llu, edges %llu, counted as lost %llu\n",
                  (unsigned long long)interrupts, (unsigned long long)edges,
                  (unsigned long long)lost);
    assert_int_equal(edges, 1025);
    // An interrupt that comes while the one before is being served is no edge of its own.
    assert_true(lost >= 1000 && edges + lost <= interrupts);
    assert_true(edges + lost >= interrupts - interrupts / 5);
    trigger_bench_stop(&bench);
}

static void kernel_debouncing_makes_one_trigger_of_a_bounce(void **state)
{
    (void)state;
    trigger_bench_start(&bench, CAMERA TRIGGER "timeout_ms = 30000\ndebounce_us = 100000\n", NULL);
    wait_for_camera();
    for (unsigned press = 1; press <= 5; press++) {
        for (unsigned i = 0; i < 9; i++)
            assert_int_equal(gpio_sim_drive(LINE, i % 2 == 0), 0);
        trigger_bench_take_until(&bench, press);
        gpio_sim_drive(LINE, false);
        usleep(400000);
    }
    assert_int_equal(bench.last_id, 5);
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_line_edges_total"), 5);
    trigger_bench_stop(&bench);
}

static void bursts_and_pretrigger_frames_come_in_order(void **state)
{
    (void)state;
    trigger_bench_start(
        &bench, SLOW_CAMERA TRIGGER "timeout_ms = 30000\nburst_frames = 3\npretrigger_frames = 2\n",
        NULL);
    wait_for_camera();
    for (uint64_t id = 1; id <= 10; id++) {
        usleep(300000);
        pulse();
        for (int index = -2; index < 3; index++) {
            do
                assert_true(trigger_bench_take(&bench, TRIGGER_BENCH_PATIENCE_MS));
            while (bench.frame.trigger_id != id || bench.frame.burst_index < index);
            assert_int_equal(bench.frame.burst_index, index);
            assert_true((bench.frame.exposure_delta_ns < 0) == (index < 0));
        }
    }
    assert_int_equal(all_outcomes(), 10);
    trigger_bench_stop(&bench);
}

/** The strobe's output, wired to its readback line by this test's own hand. */
static void a_strobe_covers_the_exposure_and_is_read_back(void **state)
{
    (void)state;
    trigger_bench_start(
        &bench,
        SLOW_CAMERA TRIGGER
        "timeout_ms = 30000\ndelay_us = 200000\n[strobe]\nline = GPIO27\nreadback_line = GPIO22\n"
        "reference = trigger\nwidth_us = 900000\n",
        NULL);
    wait_for_camera();
    uint64_t covered = 0;
    for (uint64_t id = 1; id <= 10; id++) {
        assert_int_equal(gpio_sim_level("GPIO27"), 0);
        pulse();
        bool level = false;
        uint64_t until_ns = clock_now_ns() + TRIGGER_BENCH_PATIENCE_MS * NS_PER_MS;
        unsigned changes = 0;
        while (clock_now_ns() < until_ns && changes < 2) {
            bool is_now = gpio_sim_level("GPIO27") == 1;
            changes += is_now != level;
            level = is_now;
            gpio_sim_drive("GPIO22", level);
            usleep(500);
        }
        assert_int_equal(changes, 2);
        trigger_bench_take_until(&bench, id);
        bool is_covered = (bench.frame.flags & PINHOLE_FRAME_STROBE_COVERED) != 0;
        assert_true(is_covered != ((bench.frame.flags & PINHOLE_FRAME_STROBE_MISSED) != 0));
        covered += is_covered;
    }
    print_message("strobe: 10 pulses, %llu covered the exposure\n", (unsigned long long)covered);
    assert_true(covered >= 8);
    assert_int_equal(trigger_bench_counter(&bench, "pinhole_strobe_pulses_total"), 10);
    assert_int_equal(
        trigger_bench_counter(&bench, "pinhole_strobe_frames_total{cover=\"covered\"}"), covered);
    trigger_bench_stop(&bench);
    assert_int_equal(gpio_sim_level("GPIO27"), 0);
}

static void libcameras_virtual_camera_answers_edges(void **state)
{
    (void)state;
    if (getenv("PINHOLE_TEST_VIRTUAL") == NULL) {
        print_message("skip: no virtual camera of libcamera here (PINHOLE_TEST_VIRTUAL)\n");
        skip();
    }
    trigger_bench_start(&bench,
                        "[camera]\ncamera = libcamera\nwidth = 480\nheight = 272\nframerate = 20\n"
                        "[store]\nmemory = 64M\n" TRIGGER "timeout_ms = 30000\n",
                        NULL);
    wait_for_camera();
    for (uint64_t id = 1; id <= 50; id++) {
        pulse();
        trigger_bench_take_until(&bench, id);
        assert_true(bench.frame.exposure_delta_ns >= 0);
        usleep(50000);
    }
    print_outcomes("virtual camera");
    assert_int_equal(bench.outcomes[WIRE_OUTCOME_MATCHED], 50);
    trigger_bench_stop(&bench);
}

static void needs_simulated_lines(void **state)
{
    (void)state;
    print_message(
        "skip: no simulated GPIO lines here (PINHOLE_GPIO_SIM); make check-vm has them\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_edge_at_half_the_rate_gets_its_frame),
        CASE(at_three_times_the_rate_outcomes_add_up),
        CASE(a_consumer_that_left_and_resumed_has_lost_none),
        CASE(matching_resumes_by_itself_after_an_outage),
        CASE(a_storm_starves_nothing_and_costs_no_memory),
        CASE(edges_that_the_kernel_loses_are_counted),
        CASE(kernel_debouncing_makes_one_trigger_of_a_bounce),
        CASE(bursts_and_pretrigger_frames_come_in_order),
        CASE(a_strobe_covers_the_exposure_and_is_read_back),
        CASE(libcameras_virtual_camera_answers_edges),
    };
    const struct CMUnitTest none[] = {cmocka_unit_test(needs_simulated_lines)};
    return gpio_sim_is_there() ? cmocka_run_group_tests(tests, NULL, NULL)
                               : cmocka_run_group_tests(none, NULL, NULL);
}
