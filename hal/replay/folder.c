// SPDX-License-Identifier: MIT
#include "hal/replay/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_photograph(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && dot != name &&
           (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
}

const char *replay_folder_name(const struct replay_folder *folder, unsigned index)
{
    return folder->names + folder->name[index];
}

/** Sorted as they come, by insertion: qsort(3) may use the heap. */
static void insert(struct replay_folder *folder, const char *name)
{
    size_t bytes = strlen(name) + 1;
    if (folder->count == REPLAY_PHOTOS_MAX || bytes > sizeof folder->names - folder->names_bytes) {
        folder->left_out++;
        return;
    }
    memcpy(folder->names + folder->names_bytes, name, bytes);
    unsigned at = folder->count++;
    for (; at > 0 && strcmp(replay_folder_name(folder, at - 1), name) > 0; at--)
        folder->name[at] = folder->name[at - 1];
    folder->name[at] = folder->names_bytes;
    folder->names_bytes += (uint32_t)bytes;
}

int replay_folder_list(struct replay_folder *folder, const char *path)
{
    _Alignas(struct dirent64) char buffer[8192];
    folder->count = folder->left_out = folder->names_bytes = 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t got;
    while ((got = getdents64(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            if (is_photograph(entry->d_name))
                insert(folder, entry->d_name);
            at += entry->d_reclen;
        }
    int error = got < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int check_file(int fd, size_t *bytes)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (status.st_size == 0)
        return -ENODATA;
    if (status.st_size > REPLAY_FILE_BYTES_MAX)
        return -EFBIG;
    *bytes = (size_t)status.st_size;
    return 0;
}

int replay_file_open(const char *folder, const char *name, size_t *bytes)
{
    int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    // Without O_NONBLOCK a FIFO of that name would hang us.
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error = fd < 0 ? -errno : check_file(fd, bytes);
    close(directory);
    if (error == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return error;
}

int replay_file_read(int fd, uint8_t *out, size_t bytes)
{
    // Not mmap(2): reading a mapped file that another program shortens is a SIGBUS.
    for (size_t used = 0; used < bytes;) {
        ssize_t got = read(fd, out + used, bytes - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENODATA;
        used += (size_t)got;
    }
    return 0;
}
