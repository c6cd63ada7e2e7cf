// SPDX-License-Identifier: MIT
// Callback mode: a thousand times started, stopped and closed, from without and from within the
// callback, in the midst of a flood of frames; then links that break. Plain C, so that it can be
// built under ThreadSanitizer too (test_sdk_tsan.sh). A hang is ended by the alarm.
#include "net/client/pinhole.h"
#include "tests/host/support/flood.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CYCLES = 1000, BREAKS = 15, LIMIT_S = 500 };

static void require(bool is_true, const char *what, const char *why)
{
    if (is_true)
        return;
    fprintf(stderr, "FAIL: %s: %s\n", what, why);
    exit(1);
}

static void pause_us(long us)
{
    const struct timespec span = {.tv_nsec = us * 1000};
    nanosleep(&span, NULL);
}

/** What one cycle does at its n-th frame, in the callback. */
enum act { NOTHING, STOP, CLOSE, RESTART, ASK, STOP_AND_START };

struct cycle {
    enum act act;
    unsigned at;
    atomic_uint frames;
    atomic_bool has_acted;
    atomic_bool must_be_silent;
};

static void on_record(struct pinhole *p, const struct pinhole_record *record, void *user)
{
    struct cycle *cycle = user;
    require(!atomic_load(&cycle->must_be_silent), "a callback", "after stop or close");
    require(record->kind == PINHOLE_FRAME, "a frame", "was expected");
    const unsigned frames = atomic_fetch_add(&cycle->frames, 1) + 1;
    if (frames != cycle->at)
        return;
    const uint8_t *jpeg = record->frame.jpeg;
    const uint8_t low = (uint8_t)record->frame.sequence;
    switch (cycle->act) {
    case NOTHING: break;
    case STOP: require(pinhole_stop(p) == 0, "stop within", pinhole_error(p)); break;
    case CLOSE: pinhole_close(p); break;
    case RESTART:
        require(pinhole_start(p, NULL, on_record, user) == 0, "start within", pinhole_error(p));
        break;
    case ASK: require(pinhole_ping(p) >= 0, "ping within", pinhole_error(p)); break;
    case STOP_AND_START:
        require(pinhole_stop(p) == 0, "stop within", pinhole_error(p));
        require(pinhole_start(p, NULL, on_record, user) == 0, "start within", pinhole_error(p));
        break;
    }
    // The record lives until the callback returns, even when the handle was closed.
    require(jpeg[0] == low && jpeg[record->frame.jpeg_bytes - 1] == low, "the frame", "is spoiled");
    atomic_store(&cycle->has_acted, true);
}

static void await_act(struct cycle *cycle)
{
    while (!atomic_load(&cycle->has_acted))
        pause_us(50);
}

static struct pinhole *open_one(const char *address)
{
    struct pinhole *p;
    const int error = pinhole_open(&p, address, NULL);
    require(error == 0, "open", pinhole_error(p));
    return p;
}

static unsigned threads(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/task");
    require(folder != NULL, "/proc/self/task", strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static struct cycle cycles[CYCLES];

/** One start in whatever way; the close from without, or from within. */
static void play(const char *address, unsigned n)
{
    struct cycle *cycle = &cycles[n];
    struct pinhole *p = open_one(address);
    const struct pinhole_subscription wish = {.size = sizeof wish,
                                              .strategy = (enum pinhole_strategy)(n % 3)};
    cycle->act = (enum act)(n % 6);
    cycle->at = 1 + n % 7;
    require(pinhole_start(p, &wish, on_record, cycle) == 0, "start", pinhole_error(p));
    struct pinhole_record *record;
    require(cycle->act != NOTHING || pinhole_next(p, 0, &record) == -EBUSY, "pull", "while called");
    if (n % 4 != 0 || cycle->act == CLOSE)
        await_act(cycle); // else stop or close races with the callback's own act
    if (cycle->act == CLOSE)
        return;
    if (n % 2 == 0) {
        require(pinhole_stop(p) == 0, "stop", pinhole_error(p));
        if (cycle->act != RESTART && cycle->act != STOP_AND_START)
            atomic_store(&cycle->must_be_silent, true);
        require(pinhole_ping(p) >= 0, "ping", pinhole_error(p));
    }
    pinhole_close(p);
    atomic_store(&cycle->must_be_silent, true);
}

struct broken {
    atomic_uint frames, breaks, mends;
    uint64_t last;
};

static void on_broken(struct pinhole *p, const struct pinhole_record *record, void *user)
{
    struct broken *broken = user;
    if (record->kind == PINHOLE_FRAME) {
        require(record->frame.sequence > broken->last, "a frame", "came twice");
        broken->last = record->frame.sequence;
        atomic_fetch_add(&broken->frames, 1);
        if (record->frame.sequence % 16 == 0)
            (void)pinhole_ping(p); // may meet the break
    } else if (record->event.kind == PINHOLE_EVENT_DISCONNECTED) {
        atomic_fetch_add(&broken->breaks, 1);
    } else if (record->event.kind == PINHOLE_EVENT_RECONNECTED) {
        atomic_fetch_add(&broken->mends, 1);
    }
}

/** The link breaks again and again while another thread asks things. */
static void play_breaks(struct flood *flood)
{
    struct broken broken = {.last = 0};
    struct pinhole *p = open_one(flood->address);
    const struct pinhole_subscription wish = {.size = sizeof wish, .policy = PINHOLE_EVERY};
    require(pinhole_start(p, &wish, on_broken, &broken) == 0, "start", pinhole_error(p));
    atomic_store(&flood->frames_a_link, 200);
    while (atomic_load(&broken.mends) < BREAKS) {
        const bool has_failed = pinhole_ping(p) < 0;
        // Also while the callback's own ping may be failing.
        require(pinhole_error(p)[0] != '\0' || !has_failed, "an error", "without a sentence");
        pause_us(20000); // records are handed out between two requests, one at a time
    }
    pinhole_close(p);
    require(atomic_load(&broken.breaks) >= BREAKS, "breaks", "were not told");
    require(atomic_load(&broken.frames) >= BREAKS, "frames", "did not come");
    atomic_store(&flood->frames_a_link, 0);
}

int main(void)
{
    static struct flood flood;
    alarm(LIMIT_S);
    flood_start(&flood);
    const unsigned before = threads();
    for (unsigned n = 0; n < CYCLES; n++)
        play(flood.address, n);
    while (threads() > before) // those that were closed from within end by themselves
        pause_us(1000);
    play_breaks(&flood);
    flood_stop(&flood);
    printf("%d cycles, %d broken links\n", CYCLES, BREAKS);
    return 0;
}
