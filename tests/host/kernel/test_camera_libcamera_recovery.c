// SPDX-License-Identifier: MIT
// The libcamera backend in the long run and in trouble, on the virtual cameras of
// tests/host/kernel/virtual.yaml: endless starts, openings and changes of size; every fault that
// the node recovers from. Linked with the backend built with fault hooks.
//   --bench     prints what the hand-over from libcamera's thread to the loop costs
//   --first     ends with the first frame: what the library needs for it
//   NAME        only the cases of that name; * stands for anything
#include "tests/host/support/libcamera_bed.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hal/os/clock.h"
#include "tests/host/support/libcamera_faults.h"

#ifndef HAVE_LIBCAMERA
int main(void)
{
    puts("skipped: built without libcamera");
    return 77;
}
#else

/** The linker sends every allocation of our own objects here (--wrap), libcamera's go past it. */
static _Atomic unsigned long own_allocations;
#if SIZE_MAX == UINT32_MAX // operator new has the type of a size in its name
#define __real__Znwm __real__Znwj
#define __wrap__Znwm __wrap__Znwj
#endif
void *__real__Znwm(size_t bytes);
void *__wrap__Znwm(size_t bytes);
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

void *__wrap__Znwm(size_t bytes)
{
    own_allocations++;
    return __real__Znwm(bytes);
}

void *__wrap_malloc(size_t bytes)
{
    own_allocations++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    own_allocations++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    own_allocations++;
    return __real_realloc(old, bytes);
}

// --- endurance ----------------------------------------------------------------------------------

/** What stays allocated; meaningless under sanitizers and valgrind, which bring their own heap. */
static size_t heap_in_use(void)
{
    return mallinfo2().uordblks;
}

static size_t mapped_kib(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void endure(unsigned warm_up, unsigned cycles, void (*cycle)(unsigned))
{
    for (unsigned i = 0; i < warm_up; i++)
        cycle(i);
    unsigned fds = bed_descriptors();
    size_t heap = heap_in_use(), mapped = mapped_kib();
    for (unsigned i = 0; i < cycles; i++)
        cycle(i);
    size_t heap_now = heap_in_use(), mapped_now = mapped_kib();
    printf("             %u cycles: %u -> %u descriptors, heap %zu -> %zu bytes, mapped %zu -> "
           "%zu KiB\n",
           cycles, fds, bed_descriptors(), heap, heap_now, mapped, mapped_now);
    assert_int_equal(bed_descriptors(), fds);
    if (BED_SANITIZED || getenv("PINHOLE_TEST_SLOW") != NULL)
        return;
    assert_true(heap_now < heap + 64 * 1024);
    assert_true(mapped_now < mapped + 4 * 1024);
}

static unsigned long cycles_of(unsigned long full)
{
    unsigned long most = bed_number("PINHOLE_TEST_CYCLES", full);
    return most < full ? most : full;
}

static void stop_and_start(unsigned i)
{
    (void)i;
    bed_ops->stop();
    bed_check(bed_ops->start(), "start");
    bed_take(1);
}

static void starts_and_stops_200_times(void **state)
{
    (void)state;
    bed_start(BED_BARS, 480, 272, 100);
    endure(10, (unsigned)cycles_of(200), stop_and_start);
}

static void open_and_close(unsigned i)
{
    bed_start(i % 2 == 0 ? BED_BARS : BED_PHOTOS, 1280, 720, 100);
    bed_take(2);
    bed_ops->close();
}

static void opens_and_closes_50_times(void **state)
{
    (void)state;
    endure(6, (unsigned)cycles_of(50), open_and_close);
}

/** Sizes and buffer counts come round every twelve times, so that warm-up and run end alike. */
static void change_size(unsigned i)
{
    static const uint32_t sizes[][2] = {{1280, 720}, {1920, 1080}, {640, 360}, {480, 272}};
    struct hal_camera_config got, want = {.width = sizes[i % 4][0],
                                          .height = sizes[i % 4][1],
                                          .framerate = 100,
                                          .buffers = 2 + i % 3};
    int fd = bed_ops->fd();
    bed_ops->stop();
    bed_check(bed_ops->configure(&want, &got), "configure");
    bed_check(bed_ops->start(), "start");
    for (int k = 0; k < 2; k++) {
        struct hal_frame frame = bed_frame();
        assert_int_equal(frame.width, want.width);
        camera_contract_check_frame(&frame, NULL);
        bed_ops->release(&frame);
    }
    assert_int_equal(bed_ops->fd(), fd);
}

static void changes_size_60_times(void **state)
{
    (void)state;
    bed_start(BED_BARS, 1280, 720, 100);
    endure(12, (unsigned)cycles_of(60), change_size);
}

static void allocates_nothing_per_frame(void **state)
{
    (void)state;
    bed_start(BED_BARS, 480, 272, 100);
    assert_true(own_allocations > 0); // the counter counts
    bed_take(10);
    unsigned long before = own_allocations;
    bed_take((unsigned)cycles_of(200));
    assert_int_equal(own_allocations, before);
}

// --- recovery -----------------------------------------------------------------------------------

static int wait_for_error(void)
{
    struct hal_frame frame;
    for (int i = 0; i < 1000; i++) {
        int got = camera_contract_wait(bed_ops, &frame);
        if (got != 1)
            return got;
        bed_ops->release(&frame);
    }
    return 1;
}

static void a_cancelled_request_ends_the_stream_until_restart(void **state)
{
    (void)state;
    assert_true(libcamera_faults_script("cancel@8x4"));
    bed_start(BED_BARS, 480, 272, 60);
    assert_int_equal(wait_for_error(), -EIO);
    assert_non_null(strstr(bed_ops->last_error(), "cancelled"));
    struct hal_frame frame;
    assert_int_equal(bed_ops->acquire(&frame), -EIO); // it stays so
    bed_ops->stop();
    assert_true(libcamera_faults_script(NULL));
    bed_check(bed_ops->start(), "start");
    bed_take(20);
}

static void libcamera_stopping_on_its_own_is_noticed(void **state)
{
    (void)state;
    assert_true(libcamera_faults_script("halt@20"));
    bed_start(BED_BARS, 480, 272, 60);
    assert_int_equal(wait_for_error(), -EIO);
    assert_string_not_equal(bed_ops->last_error(), "");
    bed_ops->stop();
    bed_check(bed_ops->start(), "start");
    bed_take(20);
}

static void silence_ends_with_a_restart(void **state)
{
    (void)state;
    struct hal_frame frame;
    assert_true(libcamera_faults_script("silence@10x1000000"));
    struct hal_camera_config got = bed_start(BED_BARS, 480, 272, 60);
    bed_take(9);
    uint64_t until_ns = clock_now_ns() + 300 * NS_PER_MS;
    while (clock_now_ns() < until_ns) {
        poll(&(struct pollfd){.fd = bed_ops->fd(), .events = POLLIN}, 1, 10);
        assert_int_equal(bed_ops->acquire(&frame), 0);
    }
    assert_true(libcamera_faults_script(NULL));
    bed_ops->stop();
    bed_check(bed_ops->start(), "start");
    bed_take(4 * got.buffers); // every buffer is back in use
}

static void an_unplugged_camera_comes_back_by_its_id(void **state)
{
    (void)state;
    struct hal_frame frame;
    assert_true(libcamera_faults_script("unplug@15,absent@2x3"));
    bed_start("0", 480, 272, 60);
    bed_take(2); // now everything is open
    unsigned fds = bed_descriptors();
    assert_int_equal(wait_for_error(), -ENODEV);
    assert_non_null(strstr(bed_ops->last_error(), "unplugged"));
    assert_int_equal(bed_ops->acquire(&frame), -ENODEV);
    bed_ops->stop();
    assert_int_equal(bed_ops->start(), -ENODEV);
    bed_ops->stop();
    bed_ops->close();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bed_ops->open("0"), -ENODEV);
        bed_ops->close();
    }
    bed_start("0", 480, 272, 60);
    bed_take(20);
    assert_int_equal(bed_descriptors(), fds);
}

static void a_start_that_fails_can_be_tried_again(void **state)
{
    (void)state;
    struct hal_camera_config got;
    assert_true(libcamera_faults_script("start@1x2"));
    bed_check(bed_ops->open(BED_BARS), "open");
    bed_check(bed_ops->configure(&(struct hal_camera_config){0}, &got), "configure");
    assert_int_equal(bed_ops->start(), -EIO);
    assert_string_not_equal(bed_ops->last_error(), "");
    assert_int_equal(bed_ops->start(), -EIO);
    bed_check(bed_ops->start(), "third time");
    bed_take(5);
}

static void a_torn_frame_says_so(void **state)
{
    (void)state;
    unsigned torn = 0;
    assert_true(libcamera_faults_script("torn@5x2"));
    bed_start(BED_BARS, 480, 272, 60);
    for (int i = 0; i < 10; i++) {
        struct hal_frame frame = bed_frame();
        torn += (frame.flags & HAL_FRAME_TORN) != 0;
        bed_ops->release(&frame);
    }
    assert_int_equal(torn, 2);
}

static void another_clock_is_converted(void **state)
{
    (void)state;
    assert_true(libcamera_faults_script("boottime@1x1000000"));
    bed_start(BED_BARS, 480, 272, 60);
    for (int i = 0; i < 10; i++) {
        struct hal_frame frame = bed_frame();
        uint64_t now_ns = clock_now_ns();
        assert_int_equal(frame.flags, 0);
        assert_true(frame.timestamp_ns <= now_ns);
        assert_true(frame.timestamp_ns + 60 * NS_PER_S > now_ns);
        bed_ops->release(&frame);
    }
}

static void memory_of_our_own_does_as_well(void **state)
{
    (void)state;
    assert_true(libcamera_faults_script("allocator@1"));
    struct hal_camera_config got = bed_start(BED_BARS, 1280, 720, 60);
    assert_in_range(got.buffers, 2, HAL_CAMERA_BUFFERS_MAX);
    for (int i = 0; i < 10; i++) {
        struct hal_frame frame = bed_frame();
        uint64_t sum;
        camera_contract_check_frame(&frame, &sum);
        assert_true(sum > 0);
        bed_ops->release(&frame);
    }
}

// --- hand-over ----------------------------------------------------------------------------------

static int compare(const void *left, const void *right)
{
    uint64_t l = *(const uint64_t *)left, r = *(const uint64_t *)right;
    return (l > r) - (l < r);
}

#define BENCH_FRAMES 600
#define BENCH_RATE   60

static double percentile_us(uint64_t *cost_ns, unsigned percent)
{
    qsort(cost_ns, BENCH_FRAMES, sizeof *cost_ns, compare);
    return (double)cost_ns[BENCH_FRAMES * percent / 100] / 1e3;
}

static atomic_bool is_measured;

/** Keeps a processor from halting, below all other work: what waking a halted one takes is the
 * machine's own, and a hypervisor's tens of microseconds. */
static void *stay_awake(void *argument)
{
    (void)argument;
    while (!atomic_load_explicit(&is_measured, memory_order_relaxed))
        ;
    return NULL;
}

static void keep_processors_awake(void)
{
    const struct sched_param lowest = {0};
    pthread_t thread;
    for (long i = sysconf(_SC_NPROCESSORS_ONLN); i > 0; i--)
        if (pthread_create(&thread, NULL, stay_awake, NULL) == 0) {
            pthread_setschedparam(thread, SCHED_IDLE, &lowest);
            pthread_detach(thread);
        }
}

static _Atomic uint64_t woken_ns;

static void *wake(void *argument)
{
    for (unsigned i = 0; i < BENCH_FRAMES; i++) {
        usleep(1000000 / BENCH_RATE);
        woken_ns = clock_now_ns();
        (void)!write(*(int *)argument, &(uint64_t){1}, 8);
    }
    return NULL;
}

/** The reference: one thread wakes another by an eventfd, as often, and nothing else. */
static int measure_wake_ups(uint64_t cost_ns[BENCH_FRAMES])
{
    pthread_t thread;
    uint64_t count;
    // A semaphore: two wake-ups that come before the first is read are still two.
    int fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    struct pollfd wish = {.fd = fd, .events = POLLIN};
    if (fd < 0 || pthread_create(&thread, NULL, wake, &fd) != 0)
        return -1;
    for (unsigned i = 0; i < BENCH_FRAMES; i++) {
        poll(&wish, 1, -1);
        cost_ns[i] = clock_now_ns() - woken_ns;
        if (read(fd, &count, sizeof count) != (ssize_t)sizeof count)
            return -1;
    }
    pthread_join(thread, NULL);
    return close(fd);
}

static int first_frame(void)
{
    struct hal_frame frame;
    struct hal_camera_config got, want = {.width = 1280, .height = 720, .framerate = BENCH_RATE};
    if (bed_ops->open(BED_BARS) < 0 || bed_ops->configure(&want, &got) < 0 ||
        bed_ops->start() < 0 || camera_contract_wait(bed_ops, &frame) != 1)
        return 1;
    _exit(0); // the way down is no part of it
}

static int bench(void)
{
    static uint64_t cost_ns[BENCH_FRAMES], bare_ns[BENCH_FRAMES];
    struct hal_camera_config got, want = {.width = 1280, .height = 720, .framerate = BENCH_RATE};
    if (bed_ops->open("") < 0 || bed_ops->configure(&want, &got) < 0 || bed_ops->start() < 0) {
        printf("hand-over: skipped, %s\n", bed_ops->last_error());
        bed_ops->close();
        return 77;
    }
    keep_processors_awake();
    for (unsigned i = 0; i < BENCH_FRAMES; i++) {
        struct hal_frame frame;
        if (camera_contract_wait(bed_ops, &frame) != 1) {
            printf("hand-over: failed, %s\n", bed_ops->last_error());
            return 1;
        }
        cost_ns[i] = clock_now_ns() - libcamera_faults_handed_over_ns();
        bed_ops->release(&frame);
    }
    bed_ops->close();
    if (measure_wake_ups(bare_ns) < 0)
        return 1;
    atomic_store(&is_measured, true);
    printf(
        "hand-over from libcamera's thread to the loop, us: median %.1f, p99 %.1f; a bare wake-up "
        "of a thread median %.1f, p99 %.1f (processors kept awake, %d frames of %ux%u)\n",
        percentile_us(cost_ns, 50), percentile_us(cost_ns, 99), percentile_us(bare_ns, 50),
        percentile_us(bare_ns, 99), BENCH_FRAMES, got.width, got.height);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BED_CASE(starts_and_stops_200_times),
        BED_CASE(opens_and_closes_50_times),
        BED_CASE(changes_size_60_times),
        BED_CASE(allocates_nothing_per_frame),
        BED_CASE(a_cancelled_request_ends_the_stream_until_restart),
        BED_CASE(libcamera_stopping_on_its_own_is_noticed),
        BED_CASE(silence_ends_with_a_restart),
        BED_CASE(an_unplugged_camera_comes_back_by_its_id),
        BED_CASE(a_start_that_fails_can_be_tried_again),
        BED_CASE(a_torn_frame_says_so),
        BED_CASE(another_clock_is_converted),
        BED_CASE(memory_of_our_own_does_as_well),
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--bench") == 0)
        return bench();
    if (argc == 2 && strcmp(argv[1], "--first") == 0)
        return first_frame();
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    if (bed_begin() != BED_VIRTUAL) {
        puts("skipped: the cameras of tests/host/kernel/virtual.yaml are not installed");
        return 77;
    }
    return cmocka_run_group_tests_name("libcamera, recovery", tests, NULL, NULL);
}

#endif
