// SPDX-License-Identifier: MIT
// What segments and their media need of the disk: names, and files that are never replaced.
#include "tools/rec/segment.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 4096, INODE_BYTES = 256 };

uint64_t rec_occupied(uint64_t bytes)
{
    return (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES + INODE_BYTES;
}

uint64_t rec_occupied_by(const struct stat *status)
{
    // Some file systems count the blocks only later.
    const uint64_t blocks_bytes = (uint64_t)status->st_blocks * 512 + INODE_BYTES;
    const uint64_t size_bytes = rec_occupied((uint64_t)status->st_size);
    return blocks_bytes > size_bytes ? blocks_bytes : size_bytes;
}

char *rec_segment_name(char *out, const char *stem, const char *suffix, bool is_part)
{
    snprintf(out, REC_FILE_SIZE, "%.*s%s%s", REC_FILE_SIZE - 24, stem, suffix,
             is_part ? ".part" : "");
    return out;
}

bool rec_is_picture_name(const char *name)
{
    size_t digits = 0;
    while (isdigit((unsigned char)name[digits]))
        digits++;
    return digits >= 12 && strcmp(name + digits, ".jpg") == 0;
}

static const char *const media_suffixes[] = {".mkv", ".mp4", ""};
enum { SUFFIXES = sizeof media_suffixes / sizeof media_suffixes[0] };

bool rec_name_ends(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

uint64_t rec_segment_serial(const char *name)
{
    char *after;
    const uint64_t serial = strtoull(name, &after, 10);
    return name[0] >= '0' && name[0] <= '9' && *after == '_' ? serial : 0;
}

int rec_folder_next(DIR *folder, struct dirent **entry)
{
    errno = 0;
    *entry = readdir(folder);
    if (*entry == NULL)
        return errno > 0 ? -errno : 0;
    return 1;
}

bool rec_name_exists(int folder_fd, const char *name)
{
    struct stat status;
    return fstatat(folder_fd, name, &status, 0) == 0;
}

bool rec_segment_media(int folder_fd, const char *stem, char *name, bool *is_final)
{
    for (int final = 0; final < 2; final++)
        for (int i = 0; i < SUFFIXES; i++)
            if (rec_name_exists(folder_fd,
                                rec_segment_name(name, stem, media_suffixes[i], final == 0))) {
                *is_final = final == 1;
                return true;
            }
    name[0] = '\0';
    return false;
}

uint8_t *rec_media_read(int fd, uint64_t offset, uint64_t bytes, int *error)
{
    struct stat status;
    *error = fstat(fd, &status) < 0 ? -errno : 0;
    // A damaged line may ask for any size, and a 32-bit machine cannot name all of them.
    if (*error < 0 || bytes > (uint64_t)status.st_size || bytes >= SIZE_MAX)
        return NULL;
    uint8_t *data = malloc((size_t)bytes + 1);
    const ssize_t got = data != NULL ? pread(fd, data, (size_t)bytes, (off_t)offset) : -1;
    if (got >= 0 && (uint64_t)got == bytes)
        return data;
    if (got < 0)
        *error = data != NULL ? -errno : -ENOMEM;
    free(data);
    return NULL;
}

void rec_segment_unlink(int folder_fd, const char *name)
{
    if (unlinkat(folder_fd, name, 0) == 0 || (errno != EISDIR && errno != EPERM))
        return;
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (rec_is_picture_name(entry->d_name))
            unlinkat(fd, entry->d_name, 0);
    closedir(folder);
    unlinkat(folder_fd, name, AT_REMOVEDIR);
}

int rec_segment_rename(int folder_fd, const char *from, const char *to)
{
    struct stat status;
    if (renameat2(folder_fd, from, folder_fd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    // This file system cannot do both in one step.
    if (fstatat(folder_fd, to, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(folder_fd, from, folder_fd, to) < 0 ? -errno : 0;
}

int rec_folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const int error = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return error;
}

uint64_t rec_media_pts(const struct rec_media *media, uint64_t timestamp_ns, uint64_t tick_ns)
{
    uint64_t since_ns =
        timestamp_ns > media->first_timestamp_ns ? timestamp_ns - media->first_timestamp_ns : 0;
    uint64_t pts_ns = (since_ns + tick_ns / 2) / tick_ns * tick_ns;
    if (media->frames > 0 && pts_ns <= media->last_pts_ns)
        pts_ns = media->last_pts_ns + tick_ns;
    return pts_ns;
}
