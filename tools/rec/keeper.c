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
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    GROWTH_STEP = 1 << 20,
    ROOM_BYTES = 8 << 20,
    QUOTA_STEPS = 64,
    LISTEN_SHARES = 32,
    SHARES = 4,
    STEP_S = 1, /**< the wall clock was set if it moves by more against the others */
};

struct entry {
    struct rec_found found;
    const char *folder;  /**< one of keeper->folders */
    uint64_t counted_ns; /**< CLOCK_BOOTTIME since when it is here: completed, or found */
    bool is_own;         /**< completed by this run */
};

struct folder {
    struct folder *next;
    char path[REC_PATH_SIZE];
};

struct rec_keeper {
    const struct rec_options *options;
    int lock_fd;
    pthread_mutex_t lock;
    dev_t device; /**< with `inode`: the folder that is locked */
    ino_t inode;
    bool was_unmounted_said;
    struct folder *folders;
    struct entry *list;      /**< complete segments, in the order of their completion */
    size_t head, tail, room; /**< list[head..tail) are there */
    uint64_t complete_bytes;
    int64_t growing_bytes; /**< in unfinished segments */
    int64_t unchecked_bytes;
    int64_t wall_offset_ns; /**< CLOCK_REALTIME minus CLOCK_BOOTTIME */
    bool is_wall_trusted;
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
static void append(struct rec_keeper *keeper, const char *path, const struct rec_found *found,
                   bool is_own)
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
    keeper->list[keeper->tail++] = (struct entry){*found, folder, clock_boottime_ns(), is_own};
    keeper->complete_bytes += found->bytes;
}

/** Is a file system mounted at the folder itself? */
static bool is_mount_point(const char *directory)
{
    struct statx here;
    if (statx(AT_FDCWD, directory, 0, STATX_INO, &here) < 0)
        return false;
    if (here.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
        return here.stx_attributes & STATX_ATTR_MOUNT_ROOT;
    char parent[REC_PATH_SIZE]; // kernels before 5.8
    struct statx above;
    snprintf(parent, sizeof parent, "%.*s/..", REC_PATH_SIZE - 4, directory);
    return statx(AT_FDCWD, parent, 0, STATX_INO, &above) == 0 &&
           (here.stx_dev_major != above.stx_dev_major || here.stx_dev_minor != above.stx_dev_minor);
}

/** Makes the folder, and locks it in place of the one that was locked before. */
static int lock_folder(struct rec_keeper *keeper)
{
    char path[REC_PATH_SIZE];
    struct stat status;
    const char *directory = keeper->options->directory;
    const bool is_made = mkdir(directory, 0777) == 0;
    int error = !is_made && errno != EEXIST ? -errno : 0;
    snprintf(path, sizeof path, "%.*s/..", REC_PATH_SIZE - 8, directory);
    if (is_made)
        error = rec_folder_sync(path);
    if (error < 0) {
        say("cannot make the folder %s: %s", directory, strerror(-error));
        return error;
    }
    snprintf(path, sizeof path, "%.*s/.pinhole-rec.lock", REC_PATH_SIZE - 32, directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || stat(directory, &status) < 0) {
        error = -errno;
        say("cannot write in %s: %s", directory, strerror(-error));
        if (fd >= 0)
            close(fd);
        return error;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        say("%s is in use by another pinhole-rec", directory);
        close(fd);
        return -EBUSY;
    }
    if (keeper->lock_fd >= 0)
        close(keeper->lock_fd);
    keeper->lock_fd = fd;
    keeper->device = status.st_dev;
    keeper->inode = status.st_ino;
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

/** One camera's segments. Their numbers are their order, whatever the wall clock has done. */
static int take_stock_of(struct rec_keeper *keeper, const char *path)
{
    struct rec_found *found;
    uint64_t latest_ns = 0;
    int count = rec_recover_list(path, &found);
    for (int i = 0; i < count; i++) {
        if (found[i].time_ns < latest_ns)
            found[i].time_ns = latest_ns;
        latest_ns = found[i].time_ns;
        append(keeper, path, &found[i], false);
    }
    free(found);
    return count < 0 ? count : 0;
}

/** `should_recover`: no segment is open anywhere, so what is unfinished was left by a crash. */
static int take_stock(struct rec_keeper *keeper, bool should_recover)
{
    DIR *folder = opendir(keeper->options->directory);
    int error = folder == NULL ? -errno : 0;
    keeper->head = keeper->tail = 0;
    keeper->complete_bytes = 0;
    while (folder != NULL && error == 0) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            error = -errno;
            break;
        }
        char path[REC_PATH_SIZE];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%.*s/%s", REC_PATH_SIZE - 264, keeper->options->directory,
                 entry->d_name);
        if (should_recover)
            error = rec_recover_folder(path, NULL);
        if (error == 0)
            error = take_stock_of(keeper, path);
    }
    if (folder != NULL)
        closedir(folder);
    if (keeper->tail > 0)
        qsort(keeper->list, keeper->tail, sizeof *keeper->list, by_time);
    if (error < 0)
        say("cannot read all of %s: %s", keeper->options->directory, strerror(-error));
    return error;
}

static int check_mount(struct rec_keeper *keeper)
{
    if (!keeper->options->needs_mount || is_mount_point(keeper->options->directory)) {
        keeper->was_unmounted_said = false;
        return 0;
    }
    if (!keeper->was_unmounted_said)
        say("%s is not a mount point now (--require-mount)", keeper->options->directory);
    keeper->was_unmounted_said = true;
    return -ENODEV;
}

static int64_t wall_offset_ns(void)
{
    return (int64_t)(clock_realtime_ns() - clock_boottime_ns());
}

int rec_keeper_open(struct rec_keeper **out, const struct rec_options *options)
{
    struct rec_keeper *keeper = calloc(1, sizeof *keeper);
    *out = keeper;
    if (keeper == NULL) {
        say("out of memory");
        return -ENOMEM;
    }
    keeper->options = options;
    keeper->lock_fd = -1;
    keeper->wall_offset_ns = wall_offset_ns();
    keeper->is_wall_trusted = clock_is_synchronized();
    pthread_mutex_init(&keeper->lock, NULL);
    int error = check_mount(keeper);
    if (error == 0)
        error = lock_folder(keeper);
    if (error == 0)
        error = take_stock(keeper, true);
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

static int check_folder(struct rec_keeper *keeper)
{
    struct stat status;
    int error = check_mount(keeper);
    if (error < 0)
        return error;
    const bool is_there = stat(keeper->options->directory, &status) == 0;
    if (is_there && status.st_dev == keeper->device && status.st_ino == keeper->inode)
        return 0;
    if (!is_there && errno != ENOENT)
        return -errno;
    error = lock_folder(keeper);
    if (error < 0)
        return error;
    error = take_stock(keeper, false);
    if (error < 0) {
        keeper->inode = 0; // looked at again the next time
        return error;
    }
    say("%s %s; it holds %zu segments", keeper->options->directory,
        is_there ? "is another folder now" : "was gone and is made again",
        keeper->tail - keeper->head);
    return 0;
}

int rec_keeper_check(struct rec_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    int error = check_folder(keeper);
    pthread_mutex_unlock(&keeper->lock);
    return error;
}

void rec_keeper_add(struct rec_keeper *keeper, const char *folder, const char *stem,
                    uint64_t serial, uint64_t bytes)
{
    struct rec_found found = {.serial = serial, .bytes = bytes, .time_ns = clock_realtime_ns()};
    snprintf(found.name, sizeof found.name, "%.*s", (int)sizeof found.name - 1, stem);
    pthread_mutex_lock(&keeper->lock);
    append(keeper, folder, &found, true);
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

static int unlink_segment(const struct entry *entry)
{
    static const char *const suffixes[] = {".mkv", ".mp4", ""};
    char name[REC_FILE_SIZE], gone[REC_FILE_SIZE];
    int fd = open(entry->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    rec_segment_name(name, entry->found.name, ".jsonl", false);
    rec_segment_name(gone, entry->found.name, ".jsonl.gone", false);
    // Under this name a deletion that is cut short is finished at the next start. While the sidecar
    // has its own name the media must stay.
    const bool is_renamed = renameat(fd, name, fd, gone) == 0;
    if (!is_renamed && errno != ENOENT) {
        int error = errno;
        close(fd);
        return -error;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        rec_segment_unlink(fd, rec_segment_name(name, entry->found.name, suffixes[i], false));
    if (is_renamed)
        unlinkat(fd, gone, 0);
    close(fd);
    return 0;
}

static void delete_at(struct rec_keeper *keeper, size_t index, const char *reason)
{
    struct entry *list = keeper->list;
    int error = unlink_segment(&list[index]);
    if (error == 0)
        say("deleted %s/%s: %s", list[index].folder, list[index].found.name, reason);
    else
        say("cannot delete %s/%s: %s", list[index].folder, list[index].found.name,
            strerror(-error));
    keeper->complete_bytes -= list[index].found.bytes;
    // Mostly it is the first, and nothing moves.
    memmove(list + keeper->head + 1, list + keeper->head, (index - keeper->head) * sizeof *list);
    keeper->head++;
}

/** Deletes the oldest segment that may go. False: there is none. */
static bool delete_oldest(struct rec_keeper *keeper, const char *reason)
{
    for (size_t i = keeper->head; i < keeper->tail; i++)
        if (!is_last_of_camera(keeper, i)) {
            delete_at(keeper, i, reason);
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

/** Was the entry completed under a wall clock that nobody had set? Asked once of each. */
static bool has_wrong_time(struct entry *entry)
{
    char name[REC_FILE_SIZE], path[REC_PATH_SIZE];
    snprintf(path, sizeof path, "%.*s/%s", REC_PATH_SIZE - REC_FILE_SIZE - 1, entry->folder,
             rec_segment_name(name, entry->found.name, ".jsonl", false));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool is_wrong = rec_sidecar_was_unsynchronized(fd);
    close(fd);
    return is_wrong;
}

/** Older than max_age_ns? CLOCK_BOOTTIME counts, since the segment is here. Of what an earlier run
 * has left also the wall clock, while it is synchronised and was when the segment was completed. */
static bool is_too_old(const struct rec_keeper *keeper, struct entry *entry)
{
    const uint64_t max_age_ns = keeper->options->max_age_ns;
    if (clock_boottime_ns() - entry->counted_ns > max_age_ns)
        return true;
    if (entry->is_own || !keeper->is_wall_trusted || entry->found.time_ns == 0 ||
        entry->found.time_ns + max_age_ns >= clock_realtime_ns())
        return false;
    if (!has_wrong_time(entry))
        return true;
    entry->found.time_ns = 0;
    return false;
}

static void enforce(struct rec_keeper *keeper)
{
    const struct rec_options *options = keeper->options;
    keeper->unchecked_bytes = 0;
    for (size_t i = keeper->head; options->max_age_ns != 0 && i < keeper->tail; i++)
        if (is_too_old(keeper, &keeper->list[i]))
            delete_at(keeper, i, "older than --max-age");
    while (is_over_quota(keeper) && delete_oldest(keeper, "over --quota-bytes"))
        ;
    while (options->free_bytes != 0 && rec_keeper_free(keeper) < options->free_bytes &&
           delete_oldest(keeper, "less than --free-bytes is free"))
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

/** After a step the wall clock is not believed until the kernel says again that it is right. */
static void watch_clock(struct rec_keeper *keeper)
{
    const int64_t offset_ns = wall_offset_ns(), step_ns = offset_ns - keeper->wall_offset_ns;
    keeper->wall_offset_ns = offset_ns;
    keeper->is_wall_trusted = clock_is_synchronized();
    if (step_ns > -STEP_S * (int64_t)NS_PER_S && step_ns < STEP_S * (int64_t)NS_PER_S)
        return;
    keeper->is_wall_trusted = false;
    say("the wall clock was set by %+.1f s; the ages of this run's segments do not change",
        (double)step_ns / 1e9);
}

void rec_keeper_enforce(struct rec_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    watch_clock(keeper);
    enforce(keeper);
    pthread_mutex_unlock(&keeper->lock);
}

bool rec_keeper_make_room(struct rec_keeper *keeper)
{
    static const char reason[] = "the disk is full";
    const struct rec_options *options = keeper->options;
    if (options->quota_bytes == 0 && options->free_bytes == 0 && options->max_age_ns == 0)
        return false;
    const uint64_t wanted = options->free_bytes > ROOM_BYTES ? options->free_bytes : ROOM_BYTES;
    pthread_mutex_lock(&keeper->lock);
    bool has_deleted = delete_oldest(keeper, reason);
    while (has_deleted && rec_keeper_free(keeper) < wanted && delete_oldest(keeper, reason))
        ;
    pthread_mutex_unlock(&keeper->lock);
    return has_deleted;
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
    const bool is_fixed = options->listen == NULL && options->from.access.servers == NULL;
    const unsigned shares = is_fixed ? SHARES * options->cameras_count : LISTEN_SHARES;
    return options->quota_bytes / shares;
}
