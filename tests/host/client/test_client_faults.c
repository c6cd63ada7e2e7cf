// SPDX-License-Identifier: MIT
// Each allocation and each system call of libpinhole fails, the first and the second time that the
// library makes it, in one run each of everything that a program does with it. Whatever fails: no
// crash, no hang, nothing left behind, and a sentence.
// The linker puts these functions in place of the library's calls (--wrap, see the Makefile).
#include "net/client/pinhole.h"
#include "tests/host/support/flood.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    TIMEOUT_MS = 200,
    RUN_S = 120,
    PATIENCE_MS = 60000,
    SITES_MAX = 256,
    FAILURES_A_SITE = 2,
};

/** The library runs in this thread. */
static _Thread_local bool is_client;
/** Blocks of memory that the library holds. */
static atomic_int blocks;

/** A place in the library that makes a call. */
struct site {
    const void *address;
    const char *name;
    unsigned calls;  /**< in this run */
    unsigned failed; /**< over all runs */
};

static struct {
    pthread_mutex_t lock;
    bool is_armed;
    const struct site *failed; /**< in this run */
    struct site sites[SITES_MAX];
    unsigned count;
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct site *find_site(const char *name, const void *address)
{
    for (unsigned i = 0; i < faults.count; i++)
        if (faults.sites[i].address == address)
            return &faults.sites[i];
    if (faults.count == SITES_MAX)
        abort();
    faults.sites[faults.count] = (struct site){.address = address, .name = name};
    return &faults.sites[faults.count++];
}

/** One call a run: the first one that has not failed before, at most two at a site. */
static bool should_fail(const char *name, const void *address)
{
    bool is_due = false;
    if (!is_client)
        return false;
    pthread_mutex_lock(&faults.lock);
    if (faults.is_armed) {
        struct site *site = find_site(name, address);
        is_due = faults.failed == NULL && site->failed < FAILURES_A_SITE &&
                 site->calls++ == site->failed;
        if (is_due) {
            site->failed++;
            faults.failed = site;
        }
    }
    pthread_mutex_unlock(&faults.lock);
    return is_due;
}

static void arm(bool is_armed)
{
    pthread_mutex_lock(&faults.lock);
    faults.is_armed = is_armed;
    if (is_armed)
        faults.failed = NULL;
    for (unsigned i = 0; i < faults.count; i++)
        faults.sites[i].calls = 0;
    pthread_mutex_unlock(&faults.lock);
}

/** In place of a function that returns `bad` and sets errno when it fails. */
#define WRAP(type, name, parameters, arguments, bad, error)                                        \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        if (should_fail(#name, __builtin_return_address(0))) {                                     \
            errno = error;                                                                         \
            return bad;                                                                            \
        }                                                                                          \
        return __real_##name arguments;                                                            \
    }

WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), -1, EMFILE)
WRAP(int, connect, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size), -1,
     ENETUNREACH)
WRAP(ssize_t, send, (int fd, const void *data, size_t bytes, int flags), (fd, data, bytes, flags),
     -1, ECONNRESET)
WRAP(ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count), -1,
     ECONNRESET)
WRAP(ssize_t, read, (int fd, void *data, size_t bytes), (fd, data, bytes), -1, EIO)
WRAP(ssize_t, write, (int fd, const void *data, size_t bytes), (fd, data, bytes), -1, EIO)
WRAP(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout), -1, ENOMEM)
WRAP(int, ppoll,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
     (fds, count, timeout, mask), -1, EINTR)
WRAP(int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE)
WRAP(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *size),
     (fd, level, option, value, size), -1, ENOBUFS)
WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size),
     (fd, level, option, value, size), -1, ENOPROTOOPT)
WRAP(ssize_t, getrandom, (void *data, size_t bytes, unsigned flags), (data, bytes, flags), -1,
     EAGAIN)

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    return should_fail("getaddrinfo", __builtin_return_address(0))
               ? EAI_MEMORY
               : __real_getaddrinfo(host, port, hints, out);
}

// --- memory: counted, so that what is left behind shows without a sanitizer too -----------------

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

static void *count_block(void *block)
{
    if (is_client && block != NULL)
        atomic_fetch_add(&blocks, 1);
    return block;
}

void *__wrap_malloc(size_t bytes)
{
    return should_fail("malloc", __builtin_return_address(0)) ? NULL
                                                              : count_block(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return should_fail("calloc", __builtin_return_address(0))
               ? NULL
               : count_block(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *block, size_t bytes)
{
    if (should_fail("realloc", __builtin_return_address(0)))
        return NULL;
    void *grown = __real_realloc(block, bytes);
    return block == NULL ? count_block(grown) : grown;
}

char *__wrap_strdup(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = should_fail("strdup", __builtin_return_address(0))
                     ? NULL
                     : count_block(__real_malloc(bytes));
    return copy != NULL ? memcpy(copy, text, bytes) : NULL;
}

void __wrap_free(void *block)
{
    if (is_client && block != NULL)
        atomic_fetch_sub(&blocks, 1);
    __real_free(block);
}

// --- threads: those that the library makes are the library's ------------------------------------

struct start {
    void *(*function)(void *);
    void *argument;
};

static atomic_int threads;

int __real_pthread_create(pthread_t *out, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument);

static void *run_thread(void *argument)
{
    struct start start = *(struct start *)argument;
    __real_free(argument);
    is_client = true;
    void *result = start.function(start.argument);
    atomic_fetch_sub(&threads, 1);
    return result;
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument)
{
    if (!is_client)
        return __real_pthread_create(out, attributes, function, argument);
    if (should_fail("pthread_create", __builtin_return_address(0)))
        return EAGAIN;
    struct start *start = __real_malloc(sizeof *start);
    *start = (struct start){function, argument};
    atomic_fetch_add(&threads, 1);
    return __real_pthread_create(out, attributes, run_thread, start);
}

// --- the run ------------------------------------------------------------------------------------

static struct flood flood;
static atomic_uint called;

static void on_record(struct pinhole *p, const struct pinhole_record *record, void *user)
{
    (void)p, (void)user;
    if (record->kind == PINHOLE_EVENT && record->event.text == NULL)
        abort();
    atomic_fetch_add(&called, 1);
}

/** A failure has a sentence. */
static void check(const struct pinhole *p, int64_t result, const char *what)
{
    if (result < 0 && pinhole_error(p)[0] == '\0')
        fail_msg("%s failed with %d and without a sentence", what, (int)result);
}

static void pull(struct pinhole *p, int frames)
{
    struct pinhole_record *record;
    for (int tries = 0; frames > 0 && tries < 20; tries++) {
        const int result = pinhole_next(p, TIMEOUT_MS, &record);
        check(p, result, "pinhole_next()");
        if (result < 0)
            return;
        if (result == 0)
            continue;
        frames -= record->kind == PINHOLE_FRAME;
        pinhole_release(p, record);
    }
}

static void ask(struct pinhole *p)
{
    struct pinhole_feature features[4];
    char text[256];
    uint64_t id;
    check(p, pinhole_features(p, features, 4), "pinhole_features()");
    check(p, pinhole_find_feature(p, "Gain", &features[0]), "pinhole_find_feature()");
    check(p, pinhole_get(p, "Gain", text, sizeof text), "pinhole_get()");
    check(p, pinhole_set_float(p, "Gain", 1.5), "pinhole_set_float()");
    check(p, pinhole_stats(p, text, sizeof text), "pinhole_stats()");
    check(p, pinhole_trigger(p, &id), "pinhole_trigger()");
    check(p, pinhole_ping(p), "pinhole_ping()");
}

static void call_back(struct pinhole *p)
{
    const struct timespec tick = {.tv_nsec = 1000000};
    const unsigned before = atomic_load(&called);
    const int result = pinhole_start(p, NULL, on_record, NULL);
    check(p, result, "pinhole_start()");
    for (int i = 0; result == 0 && i < TIMEOUT_MS && atomic_load(&called) - before < 5; i++)
        nanosleep(&tick, NULL);
    check(p, pinhole_stop(p), "pinhole_stop()");
}

/** Everything: a name is looked up, records are pulled over links that break, questions are asked,
 * records are called back, nodes are searched. */
static void run_all(void)
{
    const struct pinhole_options options = {.size = sizeof options,
                                            .connect_timeout_ms = 4 * TIMEOUT_MS,
                                            .request_timeout_ms = TIMEOUT_MS};
    const struct pinhole_subscription wish = {.size = sizeof wish, .policy = PINHOLE_EVERY};
    const char *const addresses[] = {flood.address, NULL};
    struct pinhole_node nodes[2];
    char address[64];
    struct pinhole *p;
    snprintf(address, sizeof address, "localhost:%s", strchr(flood.address, ':') + 1);
    const int result = pinhole_open(&p, address, &options);
    check(p, result, "pinhole_open()");
    if (result == 0) {
        check(p, pinhole_subscribe(p, &wish), "pinhole_subscribe()");
        pull(p, 25); // over two links
        ask(p);
        call_back(p);
    }
    pinhole_close(p);
    (void)pinhole_enumerate(nodes, 2, addresses, TIMEOUT_MS / 2);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/** Threads that were left to end by themselves take some time. */
static void await_threads(void)
{
    const struct timespec tick = {.tv_nsec = 1000000};
    for (int i = 0; i < PATIENCE_MS && atomic_load(&threads) > 0; i++)
        nanosleep(&tick, NULL);
    assert_int_equal(atomic_load(&threads), 0);
    nanosleep(&tick, NULL); // the last one has counted itself out, but holds its stack yet
}

static void on_alarm(int signal)
{
    static const char text[] = "a run did not end\n";
    (void)signal;
    if (__real_write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(3);
    _exit(2);
}

static void test_each_call_fails_once(void **state)
{
    (void)state;
    unsigned runs = 0;
    signal(SIGALRM, on_alarm);
    const unsigned descriptors_before = open_descriptors();
    flood_start(&flood);
    atomic_store(&flood.frames_a_link, 20);
    is_client = true;
    run_all(); // first of all nothing fails, and libc makes what it keeps
    await_threads();
    const int blocks_before = atomic_load(&blocks);
    for (;; runs++) {
        alarm(RUN_S);
        arm(true);
        run_all();
        await_threads();
        arm(false);
        const struct site *site = faults.failed;
        if (site == NULL)
            break;
        if (atomic_load(&blocks) != blocks_before)
            fail_msg("%s() failed for the %u. time: %d blocks of memory were left", site->name,
                     site->failed, atomic_load(&blocks) - blocks_before);
    }
    alarm(0);
    is_client = false;
    flood_stop(&flood);
    assert_int_equal(open_descriptors(), descriptors_before);
    for (unsigned i = 0; i < faults.count; i++)
        assert_true(faults.sites[i].failed > 0);
    print_message("%u calls at %u places failed\n", runs, faults.count);
    // Fewer without Avahi, and where 64-bit time gives some calls another name (armhf).
    assert_in_range(faults.count, 15, SITES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
