// SPDX-License-Identifier: MIT
// pinhole-rec: records Pinhole cameras to the disk. This file: start, each second, the end.
#include "tools/common/stop.h"
#include "tools/rec/check.h"
#include "tools/rec/find.h"
#include "tools/rec/from.h"
#include "tools/rec/link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct recorder {
    struct rec_options options;
    struct rec_keeper *keeper;
    struct rec_listener *listener;
    struct rec_from *from;
    struct rec_camera *cameras;
    pthread_t threads[REC_CAMERAS_MAX];
    unsigned prepared, started;
};

/** What the cameras have done, summed. */
struct sum {
    unsigned cameras, linked, unreached, with_part;
    unsigned long long frames, bytes, missing, dropped, repeated;
};

static void add_up(struct rec_camera *camera, void *user)
{
    struct sum *sum = user;
    sum->cameras++;
    sum->linked += atomic_load(&camera->is_linked);
    sum->unreached += !atomic_load(&camera->was_reached);
    sum->with_part += atomic_load(&camera->has_left_part);
    sum->frames += atomic_load(&camera->frames);
    sum->bytes += atomic_load(&camera->bytes);
    sum->missing += atomic_load(&camera->missing);
    sum->dropped += atomic_load(&camera->dropped);
    sum->repeated += atomic_load(&camera->repeated);
}

static void tick(struct rec_camera *camera, void *user)
{
    (void)user;
    if (camera->commit == NULL) // else its thread does it
        rec_camera_tick(camera);
}

static void end_segment(struct rec_camera *camera, void *user)
{
    const struct rec_options *options = user;
    rec_camera_close_segment(camera, "end", options->should_discard_unfinished);
}

static void each_camera(struct recorder *r, void (*visit)(struct rec_camera *, void *), void *user)
{
    for (unsigned i = 0; i < r->prepared; i++)
        visit(&r->cameras[i], user);
    if (r->listener != NULL)
        rec_listen_each(r->listener, visit, user);
    if (r->from != NULL)
        rec_from_each(r->from, visit, user);
}

static void show_progress(struct recorder *r, const struct sum *before, double seconds)
{
    char text[160];
    struct sum now = {0};
    each_camera(r, add_up, &now);
    snprintf(text, sizeof text,
             "%u of %u cameras  %.1f fps  %.2f MB/s  %llu frames  missing %llu  dropped %llu  "
             "holds %.1f MB  free %.1f GB",
             now.linked, now.cameras, (double)(now.frames - before->frames) / seconds,
             (double)(now.bytes - before->bytes) / 1e6 / seconds, now.frames, now.missing,
             now.dropped, (double)rec_keeper_total(r->keeper) / 1e6,
             (double)rec_keeper_free(r->keeper) / 1e9);
    say_progress(text);
}

/** Until a signal or the end of the time. */
static void keep_house(struct recorder *r, const sigset_t *signals)
{
    const bool is_shown = !r->options.is_quiet && isatty(STDERR_FILENO);
    const uint64_t start_ns = clock_now_ns();
    uint64_t shown_ns = start_ns;
    for (;;) {
        uint64_t wait_ns = NS_PER_S;
        if (r->options.run_ns != 0) {
            uint64_t passed_ns = clock_now_ns() - start_ns;
            if (passed_ns >= r->options.run_ns)
                break;
            if (r->options.run_ns - passed_ns < wait_ns)
                wait_ns = r->options.run_ns - passed_ns;
        }
        const struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                                      .tv_nsec = (long)(wait_ns % NS_PER_S)};
        struct sum before = {0};
        each_camera(r, add_up, &before);
        if (sigtimedwait(signals, NULL, &wait) > 0)
            break;
        each_camera(r, tick, NULL);
        rec_keeper_enforce(r->keeper);
        const uint64_t now_ns = clock_now_ns();
        if (is_shown)
            show_progress(r, &before, (double)(now_ns - shown_ns) / 1e9);
        shown_ns = now_ns;
    }
    say_progress("");
}

static int start(struct recorder *r)
{
    const struct rec_options *options = &r->options;
    if (rec_keeper_open(&r->keeper, options) < 0)
        return REC_UNWRITTEN;
    r->cameras = calloc(REC_CAMERAS_MAX, sizeof *r->cameras);
    if (r->cameras == NULL)
        return REC_UNWRITTEN;
    for (unsigned i = 0; i < options->cameras_count; i++, r->prepared++)
        if (rec_camera_init(&r->cameras[i], options->cameras[i].camera, options->cameras[i].address,
                            options, r->keeper) < 0)
            return REC_UNWRITTEN;
    if (options->listen != NULL && rec_listen_start(&r->listener, options, r->keeper) < 0)
        return REC_NO_LINK;
    if (options->from.access.servers != NULL && rec_from_start(&r->from, options, r->keeper) < 0)
        return REC_UNWRITTEN;
    for (; r->started < r->prepared; r->started++) {
        int error =
            pthread_create(&r->threads[r->started], NULL, rec_link_thread, &r->cameras[r->started]);
        if (error != 0) {
            say("cannot start a thread: %s", strerror(error));
            return REC_UNWRITTEN;
        }
    }
    return REC_OK;
}

static int finish(struct recorder *r, int code)
{
    struct sum sum = {0};
    atomic_store(&rec_is_stopping, true);
    for (unsigned i = 0; i < r->started; i++)
        pthread_join(r->threads[i], NULL);
    if (r->listener != NULL)
        rec_listen_stop(r->listener);
    if (r->from != NULL)
        rec_from_stop(r->from);
    each_camera(r, end_segment, &r->options);
    each_camera(r, add_up, &sum);
    if (code == REC_OK)
        say("%llu frames of %u cameras, %llu missing, %llu dropped", sum.frames, sum.cameras,
            sum.missing, sum.dropped);
    if (sum.repeated > 0)
        say("%llu records came though they were recorded or known as missing already",
            sum.repeated);
    for (unsigned i = 0; i < r->prepared; i++)
        rec_camera_free(&r->cameras[i]);
    if (r->listener != NULL)
        rec_listen_free(r->listener);
    const bool is_standby = r->from != NULL && rec_from_was_reached(r->from);
    rec_from_free(r->from);
    free(r->cameras);
    rec_keeper_close(r->keeper);
    if (code != REC_OK)
        return code;
    if (sum.dropped > 0 || sum.with_part > 0)
        return REC_UNWRITTEN;
    // In listen mode nobody may have come. In a group the others may have all cameras.
    if (sum.unreached > 0 || (sum.cameras == 0 && !is_standby))
        return REC_NO_LINK;
    return sum.missing > 0 ? REC_MISSING : REC_OK;
}

int main(int argc, char **argv)
{
    static struct recorder recorder;
    sigset_t signals;
    stop_signals_block(&signals); // from the first moment on; only keep_house() takes them
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return rec_check(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "find") == 0)
        return rec_find(argc - 1, argv + 1);
    rec_media_load();
    int code = rec_options_read(&recorder.options, argc, argv);
    if (code != REC_OK)
        return code < 0 ? REC_OK : code;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a file size limit is an error like a full disk
    code = start(&recorder);
    if (code == REC_OK)
        keep_house(&recorder, &signals);
    return finish(&recorder, code);
}
