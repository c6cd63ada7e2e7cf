// SPDX-License-Identifier: MIT
#include "tools/rec/from.h"

#include "hal/base.h"
#include "tools/rec/share.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ROUND_MS = 200,
    LIST_MS = 1000, /**< between two looks at which cameras there are */
    AGAIN_S = 1,    /**< before a camera that was given up or lost is tried again */
    ROOM_BYTES = 4 << 20,
    CAMERAS_MAX = 1024, /**< of one recorder at a time; each is a thread and a connection */
};

/** A camera of the stream. */
struct watch {
    struct rec_claim claim;
    char name[LEVEL_BYTES];  /**< what its token stands for */
    struct rec_share *share; /**< NULL: this recorder does not have it */
    uint64_t retry_ns;
    bool is_tidy; /**< what an earlier run has left is recovered */
};

struct rec_from {
    const struct rec_options *options;
    struct rec_keeper *keeper;
    const struct rec_stream_ops *ops;
    char id[REC_ID_BYTES];
    char address[64];
    struct rec_stream *stream; /**< of this thread; NULL: not connected */
    atomic_bool was_reached;
    char said[REC_WHY_BYTES];
    pthread_t thread;
    pthread_mutex_t lock; /**< of the rest */
    struct watch **watches;
    unsigned count, taken;
    bool was_full;
    struct rec_camera former; /**< the counts of cameras that it does not have any more */
};

static void say_trouble(struct rec_from *from, const char *why)
{
    if (strcmp(why, from->said) != 0)
        say("%s; trying on", why);
    snprintf(from->said, sizeof from->said, "%s", why);
}

static void disconnect(struct rec_from *from, const char *why)
{
    say_trouble(from, why);
    from->ops->close(from->stream);
    from->stream = NULL;
}

// --- which cameras there are ---------------------------------------------------------------------

static void add_watch(void *user, const char *level)
{
    struct rec_from *from = user;
    for (unsigned i = 0; i < from->count; i++)
        if (strcmp(from->watches[i]->claim.level, level) == 0)
            return;
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL || strlen(level) >= LEVEL_BYTES ||
        !level_to_name(watch->name, sizeof watch->name, level)) {
        free(watch); // somebody else's subject
        return;
    }
    watch->claim.ops = from->ops;
    watch->claim.id = from->id;
    watch->claim.lease_ns = from->options->lease_ns;
    snprintf(watch->claim.level, sizeof watch->claim.level, "%s", level);
    pthread_mutex_lock(&from->lock);
    struct watch **grown = realloc(from->watches, (from->count + 1) * sizeof(struct watch *));
    if (grown != NULL) {
        from->watches = grown;
        grown[from->count++] = watch;
    } else {
        free(watch); // the next look finds it again
    }
    pthread_mutex_unlock(&from->lock);
}

/** False: no connection. */
static bool list(struct rec_from *from)
{
    char why[REC_WHY_BYTES];
    if (from->stream == NULL && from->ops->open(&from->stream, &from->options->from, why) < 0) {
        disconnect(from, why);
        return false;
    }
    if (from->ops->list(from->stream, add_watch, from, why) < 0) {
        disconnect(from, why);
        return false;
    }
    if (!atomic_exchange(&from->was_reached, true) || from->said[0] != '\0')
        say("connected to stream %s, group %s", from->options->from.access.stream,
            from->options->from.group);
    from->said[0] = '\0';
    return true;
}

// --- taking a camera -----------------------------------------------------------------------------

/** Completes what an earlier run has left, up to what it had acknowledged. */
static bool tidy(struct rec_from *from, struct watch *watch, const char *folder)
{
    const struct rec_mark *mark = rec_claim_mark(&watch->claim);
    struct rec_found *found;
    if (watch->is_tidy)
        return true;
    uint64_t serial = 0; // what is complete already is counted
    int count = rec_recover_list(folder, &found);
    if (count > 0)
        serial = found[count - 1].serial;
    free(found);
    int error = mark != NULL ? rec_recover_cut(folder, from->address, mark) : 0;
    if (error == 0)
        error = rec_recover_folder(folder, from->address);
    if (error < 0) {
        say("%s: cannot recover %s: %s", watch->name, folder, strerror(-error));
        return false;
    }
    count = rec_recover_list(folder, &found);
    for (int i = 0; i < count; i++)
        if (found[i].serial > serial)
            rec_keeper_add(from->keeper, folder, found[i].name, found[i].serial, found[i].bytes);
    free(found);
    watch->is_tidy = true;
    return true;
}

static void find_folder(const struct rec_from *from, const struct watch *watch,
                        char folder[REC_PATH_SIZE])
{
    char name[REC_NAME_SIZE];
    rec_name_to_file(name, watch->name);
    snprintf(folder, REC_PATH_SIZE, "%.*s/%s", REC_PATH_SIZE - REC_NAME_SIZE - 1,
             from->options->directory, name);
}

/** Claims the camera, with its folder ready. */
static bool claim(struct rec_from *from, struct watch *watch, struct rec_share *share)
{
    char why[REC_WHY_BYTES], former[sizeof watch->claim.host];
    if (rec_camera_init(&share->camera, watch->name, from->address, from->options, from->keeper) <
        0)
        return false;
    const bool was_another =
        watch->claim.owner[0] != '\0' && strcmp(watch->claim.owner, watch->claim.id) != 0;
    snprintf(former, sizeof former, "%s", watch->claim.host);
    const struct rec_mark mark = {share->camera.serial_next - 1, 0};
    if (!rec_claim_set_mark(&watch->claim, &mark)) {
        say_trouble(from, "a camera's entry has no room for another recorder");
        return false;
    }
    const int result = rec_claim_take(&watch->claim, from->stream, why);
    if (result < 0) {
        if (result == REC_STREAM_GONE)
            disconnect(from, why);
        return false;
    }
    share->claim = watch->claim;
    share->options = &from->options->from;
    share->fetched = watch->claim.stream_sequence;
    if (watch->claim.position.count > 0)
        share->camera.position = watch->claim.position;
    if (share->camera.position.count > 0) {
        const struct rec_boot *boot = &share->camera.position.boots[0];
        rec_order_begin(&share->order, boot->boot_id, boot->last + 1);
    }
    say("%s: recording behind message %" PRIu64 " of the stream%s%s", watch->name, share->fetched,
        was_another ? ", in place of the recorder on " : "", was_another ? former : "");
    return true;
}

static void take_camera(struct rec_from *from, struct watch *watch)
{
    struct rec_share *share = calloc(1, sizeof *share);
    if (share == NULL)
        return;
    int error = claim(from, watch, share) ? 0 : -EAGAIN;
    if (error == 0) {
        share->written_ns = clock_now_ns();
        error = -pthread_create(&share->thread, NULL, rec_share_thread, share);
    }
    if (error < 0) {
        rec_camera_free(&share->camera);
        free(share);
        watch->retry_ns = clock_now_ns() + AGAIN_S * NS_PER_S;
        return;
    }
    pthread_mutex_lock(&from->lock);
    watch->share = share;
    from->taken++;
    pthread_mutex_unlock(&from->lock);
}

/** Joins the thread of a camera that it has no more. */
static void put_away(struct rec_from *from, struct watch *watch)
{
    struct rec_share *share = watch->share;
    pthread_join(share->thread, NULL);
    pthread_mutex_lock(&from->lock);
    watch->share = NULL;
    from->taken--;
    rec_camera_move_counts(&from->former, &share->camera);
    pthread_mutex_unlock(&from->lock);
    watch->is_tidy = share->camera.given_up == 0;
    watch->retry_ns = clock_now_ns() + AGAIN_S * NS_PER_S;
    rec_camera_free(&share->camera);
    free(share);
}

/** For one more camera. Why there is none is said once. */
static bool has_room(struct rec_from *from)
{
    const char *group = from->options->from.group;
    const bool has_many = from->taken == CAMERAS_MAX;
    const bool is_full = has_many || rec_keeper_free(from->keeper) < ROOM_BYTES;
    if (has_many && !from->was_full)
        say("this recorder has %d cameras; others wait for another recorder of group %s",
            CAMERAS_MAX, group);
    else if (is_full && !from->was_full)
        say("%s has no room for one more camera; others wait for another recorder of group %s",
            from->options->directory, group);
    from->was_full = is_full;
    return !is_full;
}

/** One camera, once a round. True: it was taken. */
static bool look_after(struct rec_from *from, struct watch *watch)
{
    char why[REC_WHY_BYTES], folder[REC_PATH_SIZE];
    if (watch->share != NULL && atomic_load(&watch->share->has_ended))
        put_away(from, watch);
    if (watch->share != NULL || from->stream == NULL || clock_now_ns() < watch->retry_ns)
        return false;
    if (rec_claim_read(&watch->claim, from->stream, why) < 0) {
        disconnect(from, why);
        return false;
    }
    find_folder(from, watch, folder);
    if (!tidy(from, watch, folder)) {
        watch->retry_ns = clock_now_ns() + AGAIN_S * NS_PER_S;
        return false;
    }
    if (!rec_claim_is_free(&watch->claim)) { // read as often as the owner writes it
        watch->retry_ns = clock_now_ns() + from->options->lease_ns / REC_WRITES_A_LEASE;
        return false;
    }
    if (!has_room(from)) {
        watch->retry_ns = clock_now_ns() + AGAIN_S * NS_PER_S;
        return false;
    }
    take_camera(from, watch);
    return watch->share != NULL;
}

static void *thread(void *user)
{
    struct rec_from *from = user;
    uint64_t listed_ns = 0;
    while (!atomic_load(&rec_is_stopping)) {
        if (from->stream == NULL || clock_now_ns() - listed_ns >= LIST_MS * NS_PER_MS) {
            listed_ns = clock_now_ns();
            (void)list(from);
        }
        // One in a round, so that recorders that start together share.
        for (unsigned i = 0; i < from->count && !atomic_load(&rec_is_stopping); i++)
            if (look_after(from, from->watches[i]))
                break;
        rec_sleep_ms(ROUND_MS);
    }
    return NULL;
}

// --- the outside ---------------------------------------------------------------------------------

/** The name of this folder among recorders: made once. */
static int read_id(struct rec_from *from)
{
    char path[REC_PATH_SIZE];
    uint64_t random;
    snprintf(path, sizeof path, "%.*s/.pinhole-rec.id", REC_PATH_SIZE - 32,
             from->options->directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    ssize_t got = read(fd, from->id, 16);
    int error = got < 0 ? -errno : 0;
    if (got >= 0 && got < 16) { // new, or its write was cut
        error = getrandom(&random, sizeof random, 0) == sizeof random ? 0 : -EIO;
        snprintf(from->id, sizeof from->id, "%016" PRIx64, random);
        if (error == 0 && (pwrite(fd, from->id, 16, 0) != 16 || fsync(fd) < 0))
            error = -EIO;
    }
    close(fd);
    return error == 0 ? rec_folder_sync(from->options->directory) : error;
}

/** A camera takes a connection and files; a shell's usual limit is 1,024. */
static void allow_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int rec_from_start(struct rec_from **out, const struct rec_options *options,
                   struct rec_keeper *keeper)
{
    const struct rec_stream_ops *ops = rec_stream_load();
    if (ops == NULL) {
        say("there is no libnats: --from is not possible");
        return -ENOSYS;
    }
    struct rec_from *from = calloc(1, sizeof *from);
    if (from == NULL)
        return -ENOMEM;
    from->options = options;
    from->keeper = keeper;
    from->ops = ops;
    snprintf(from->address, sizeof from->address, REC_GROUP "%.40s", options->from.group);
    pthread_mutex_init(&from->lock, NULL);
    pthread_mutex_init(&from->former.lock, NULL);
    allow_files();
    int error = read_id(from);
    if (error == 0)
        error = -pthread_create(&from->thread, NULL, thread, from);
    if (error < 0) {
        say("cannot start in %s: %s", options->directory, strerror(-error));
        free(from);
        return error;
    }
    *out = from;
    return 0;
}

void rec_from_each(struct rec_from *from, void (*visit)(struct rec_camera *camera, void *user),
                   void *user)
{
    pthread_mutex_lock(&from->lock);
    for (unsigned i = 0; i < from->count; i++)
        if (from->watches[i]->share != NULL)
            visit(&from->watches[i]->share->camera, user);
    if (atomic_load(&from->former.was_reached))
        visit(&from->former, user);
    pthread_mutex_unlock(&from->lock);
}

void rec_from_stop(struct rec_from *from)
{
    pthread_join(from->thread, NULL);
    for (unsigned i = 0; i < from->count; i++)
        if (from->watches[i]->share != NULL)
            put_away(from, from->watches[i]);
}

bool rec_from_was_reached(const struct rec_from *from)
{
    return atomic_load(&from->was_reached);
}

void rec_from_free(struct rec_from *from)
{
    if (from == NULL)
        return;
    from->ops->close(from->stream);
    for (unsigned i = 0; i < from->count; i++)
        free(from->watches[i]);
    free(from->watches);
    rec_camera_free(&from->former);
    pthread_mutex_destroy(&from->lock);
    free(from);
}
