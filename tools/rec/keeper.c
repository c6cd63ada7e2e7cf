// SPDX-License-Identifier: MIT
// Which segments the folder holds, over all cameras, and which must go.
#include "tools/rec/keeper.h"

#include "tools/rec/recover.h"
#include "tools/rec/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    GROWTH_STEP = 1 << 20,
    ROOM_BYTES = 8 << 20,
    QUOTA_STEPS = 64,
    LISTEN_SHARES = 32,
    SHARES = 4
};

struct entry {
    struct rec_found found;
    const char *folder; /**< one of keeper->folders */
};

struct folder {
    struct folder *next;
    char path[REC_PATH_SIZE];
};

struct rec_keeper {
    const struct rec_options *options;
    int lock_fd;
    pthread_mutex_t lock;
    struct folder *folders;
    struct entry *list;      /**< complete segments, in the order of their completion */
    size_t head, tail, room; /**< list[head..tail) are there */
    uint64_t complete_bytes;
    int64_t growing_bytes; /**< in unfinished segments */
    int64_t unchecked_bytes;
};

/** The path that stands for all equal ones; NULL: out of memory. */
static const char *intern(struct rec_keeper *keeper, const char *path)
{
    for (struct folder *folder = keeper->folders; folder != NULL; folder = folder->next)
        if (strcmp(folder->path, path) == 0)
            return folder->path;
    struct folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL)
        return NULL;
    snprintf(folder->path, sizeof folder->path, "%s", path);
    folder->next = keeper->folders;
    keeper->folders = folder;
    return folder->path;
}

/** Without memory it is found again at the next start. */
static void append(struct rec_keeper *keeper, const char *path, const struct rec_found *found)
{
    const char *folder = intern(keeper, path);
    if (folder == NULL)
        return;
    if (keeper->tail == keeper->room && keeper->head > keeper->room / 2) {
        memmove(keeper->list, keeper->list + keeper->head,
                (keeper->tail - keeper->head) * sizeof *keeper->list);
        keeper->tail -= keeper->head;
        keeper->head = 0;
    } else if (keeper->tail == keeper->room) {
        size_t room = keeper->room > 0 ? 2 * keeper->room : 256;
        struct entry *grown = realloc(keeper->list, room * sizeof *grown);
        if (grown == NULL)
            return;
        keeper->list = grown;
        keeper->room = room;
    }
    keeper->list[keeper->tail++] = (struct entry){*found, folder};
    keeper->complete_bytes += found->bytes;
}

static int lock_folder(struct rec_keeper *keeper)
{
    char path[REC_PATH_SIZE];
    const char *directory = keeper->options->directory;
    if (mkdir(directory, 0777) < 0 && errno != EEXIST) {
        int error = errno;
        rec_say("cannot make the folder %s: %s", directory, strerror(error));
        return -error;
    }
    snprintf(path, sizeof path, "%s/.pinhole-rec.lock", directory);
    keeper->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (keeper->lock_fd < 0) {
        int error = errno;
        rec_say("cannot write in %s: %s", directory, strerror(error));
        return -error;
    }
    if (flock(keeper->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        rec_say("%s is in use by another pinhole-rec", directory);
        return -EBUSY;
    }
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct rec_found *left = &((const struct entry *)a)->found;
    const struct rec_found *right = &((const struct entry *)b)->found;
    if (left->time_ns != right->time_ns)
        return left->time_ns < right->time_ns ? -1 : 1;
    return left->serial < right->serial ? -1 : left->serial > right->serial;
}

static void take_stock(struct rec_keeper *keeper)
{
    DIR *folder = opendir(keeper->options->directory);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[REC_PATH_SIZE];
        struct rec_found *found;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", keeper->options->directory, entry->d_name);
        rec_recover_folder(path);
        int count = rec_recover_list(path, &found);
        for (int i = 0; i < count; i++)
            append(keeper, path, &found[i]);
        free(found);
    }
    closedir(folder);
    if (keeper->tail > 0)
        qsort(keeper->list, keeper->tail, sizeof *keeper->list, by_time);
}

int rec_keeper_open(struct rec_keeper **out, const struct rec_options *options)
{
    struct rec_keeper *keeper = calloc(1, sizeof *keeper);
    *out = keeper;
    if (keeper == NULL) {
        rec_say("out of memory");
        return -ENOMEM;
    }
    keeper->options = options;
    keeper->lock_fd = -1;
    pthread_mutex_init(&keeper->lock, NULL);
    int error = lock_folder(keeper);
    if (error == 0)
        take_stock(keeper);
    return error;
}

void rec_keeper_close(struct rec_keeper *keeper)
{
    if (keeper == NULL)
        return;
    if (keeper->lock_fd >= 0)
        close(keeper->lock_fd);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper->list);
    for (struct folder *folder = keeper->folders, *next; folder != NULL; folder = next) {
        next = folder->next;
        free(folder);
    }
    free(keeper);
}

void rec_keeper_add(struct rec_keeper *keeper, const char *stem, uint64_t serial, uint64_t bytes)
{
    char folder[REC_PATH_SIZE];
    struct rec_found found = {.serial = serial, .bytes = bytes, .time_ns = clock_realtime_ns()};
    const char *slash = strrchr(stem, '/');
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - stem), stem);
    snprintf(found.name, sizeof found.name, "%.*s", (int)sizeof found.name - 1, slash + 1);
    pthread_mutex_lock(&keeper->lock);
    append(keeper, folder, &found);
    pthread_mutex_unlock(&keeper->lock);
}

/** The camera's last complete segment says where to go on: it stays. */
static bool is_last_of_camera(const struct rec_keeper *keeper, size_t index)
{
    const struct entry *entry = &keeper->list[index];
    for (size_t i = keeper->head; i < keeper->tail; i++)
        if (keeper->list[i].folder == entry->folder &&
            keeper->list[i].found.serial > entry->found.serial)
            return false;
    return true;
}

static void unlink_segment(const struct entry *entry)
{
    static const char *const suffixes[] = {".mkv", ".mp4", ""};
    char stem[REC_PATH_SIZE], path[REC_PATH_SIZE], gone[REC_PATH_SIZE];
    snprintf(stem, sizeof stem, "%.*s/%s", REC_PATH_SIZE - 64, entry->folder, entry->found.name);
    rec_segment_path(path, stem, ".jsonl", false);
    rec_segment_path(gone, stem, ".jsonl.gone", false);
    // Under this name a deletion that is cut short is finished at the next start.
    const bool is_renamed = rename(path, gone) == 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        rec_segment_unlink(rec_segment_path(path, stem, suffixes[i], false));
    if (is_renamed)
        unlink(gone);
}

static void delete_at(struct rec_keeper *keeper, size_t index)
{
    struct entry *list = keeper->list;
    unlink_segment(&list[index]);
    keeper->complete_bytes -= list[index].found.bytes;
    // Mostly it is the first, and nothing moves.
    memmove(list + keeper->head + 1, list + keeper->head, (index - keeper->head) * sizeof *list);
    keeper->head++;
}

/** Deletes the oldest segment that may go. False: there is none. */
static bool delete_oldest(struct rec_keeper *keeper)
{
    for (size_t i = keeper->head; i < keeper->tail; i++)
        if (!is_last_of_camera(keeper, i)) {
            delete_at(keeper, i);
            return true;
        }
    return false;
}

uint64_t rec_keeper_free(const struct rec_keeper *keeper)
{
    struct statvfs status;
    if (statvfs(keeper->options->directory, &status) < 0)
        return UINT64_MAX;
    return (uint64_t)status.f_bavail * status.f_frsize;
}

static uint64_t total(const struct rec_keeper *keeper)
{
    int64_t growing = keeper->growing_bytes > 0 ? keeper->growing_bytes : 0;
    return keeper->complete_bytes + (uint64_t)growing;
}

/** So much may be added between two checks. */
static uint64_t growth_step(const struct rec_keeper *keeper)
{
    const uint64_t quota = keeper->options->quota_bytes;
    return quota != 0 && quota / QUOTA_STEPS < GROWTH_STEP ? quota / QUOTA_STEPS : GROWTH_STEP;
}

/** Over quota, or so near that it may be before the next check. */
static bool is_over_quota(const struct rec_keeper *keeper)
{
    const uint64_t quota = keeper->options->quota_bytes;
    return quota != 0 && total(keeper) + 2 * growth_step(keeper) > quota;
}

static void enforce(struct rec_keeper *keeper)
{
    const struct rec_options *options = keeper->options;
    const uint64_t now_ns = clock_realtime_ns();
    keeper->unchecked_bytes = 0;
    while (options->max_age_ns != 0 && keeper->head < keeper->tail &&
           keeper->list[keeper->head].found.time_ns + options->max_age_ns < now_ns)
        delete_at(keeper, keeper->head);
    while (is_over_quota(keeper) && delete_oldest(keeper))
        ;
    while (options->free_bytes != 0 && rec_keeper_free(keeper) < options->free_bytes &&
           delete_oldest(keeper))
        ;
}

void rec_keeper_grow(struct rec_keeper *keeper, int64_t bytes)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->growing_bytes += bytes;
    keeper->unchecked_bytes += bytes > 0 ? bytes : 0;
    if (keeper->unchecked_bytes >= (int64_t)growth_step(keeper))
        enforce(keeper);
    pthread_mutex_unlock(&keeper->lock);
}

void rec_keeper_enforce(struct rec_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    enforce(keeper);
    pthread_mutex_unlock(&keeper->lock);
}

bool rec_keeper_make_room(struct rec_keeper *keeper)
{
    const struct rec_options *options = keeper->options;
    if (options->quota_bytes == 0 && options->free_bytes == 0 && options->max_age_ns == 0)
        return false;
    const uint64_t wanted = options->free_bytes > ROOM_BYTES ? options->free_bytes : ROOM_BYTES;
    pthread_mutex_lock(&keeper->lock);
    const bool any = delete_oldest(keeper);
    while (any && rec_keeper_free(keeper) < wanted && delete_oldest(keeper))
        ;
    pthread_mutex_unlock(&keeper->lock);
    return any;
}

uint64_t rec_keeper_total(struct rec_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    uint64_t bytes = total(keeper);
    pthread_mutex_unlock(&keeper->lock);
    return bytes;
}

uint64_t rec_keeper_segment_max(const struct rec_keeper *keeper)
{
    const struct rec_options *options = keeper->options;
    const unsigned shares =
        options->listen != NULL ? LISTEN_SHARES : SHARES * options->cameras_count;
    return options->quota_bytes / shares;
}
