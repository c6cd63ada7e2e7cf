// SPDX-License-Identifier: MIT
// What a camera's folder holds: complete segments, numbers that are taken, and where the recording
// stands.
#include "tools/rec/recover.h"
#include "tools/rec/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_serial(const void *a, const void *b)
{
    const struct rec_found *left = a, *right = b;
    return left->serial < right->serial ? -1 : left->serial > right->serial;
}

static uint64_t folder_bytes(int folder_fd, const char *name)
{
    uint64_t bytes = 0;
    struct stat status;
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && fstatat(fd, entry->d_name, &status, 0) == 0)
            bytes += rec_occupied_by(&status);
    closedir(folder);
    return bytes;
}

static void weigh(int folder_fd, struct rec_found *found)
{
    char name[REC_FILE_SIZE];
    bool is_final;
    struct stat status;
    if (fstatat(folder_fd, rec_segment_name(name, found->name, ".jsonl", false), &status, 0) == 0) {
        found->bytes = rec_occupied_by(&status);
        found->time_ns = (uint64_t)status.st_mtim.tv_sec * NS_PER_S;
    }
    if (!rec_segment_media(folder_fd, found->name, name, &is_final) ||
        fstatat(folder_fd, name, &status, 0) < 0)
        return;
    found->bytes += rec_occupied_by(&status);
    if (S_ISDIR(status.st_mode))
        found->bytes += folder_bytes(folder_fd, name);
}

/** Makes room for one more. */
static int grow(struct rec_found **list, int count, int *room)
{
    if (count < *room)
        return 0;
    const int wanted = *room > 0 ? 2 * *room : 64;
    struct rec_found *grown = realloc(*list, (size_t)wanted * sizeof **list);
    if (grown == NULL)
        return -ENOMEM;
    *list = grown;
    *room = wanted;
    return 0;
}

int rec_recover_list(const char *folder, struct rec_found **out)
{
    int count = 0, room = 0, result;
    struct dirent *entry;
    *out = NULL;
    DIR *handle = opendir(folder);
    if (handle == NULL)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    while ((result = rec_folder_next(handle, &entry)) > 0) {
        const uint64_t serial = rec_segment_serial(entry->d_name);
        const size_t length = strlen(entry->d_name) - strlen(".jsonl");
        if (serial == 0 || !rec_name_ends(entry->d_name, ".jsonl") || length >= sizeof out[0]->name)
            continue;
        result = grow(out, count, &room);
        if (result < 0)
            break;
        struct rec_found *found = &(*out)[count++];
        memset(found, 0, sizeof *found);
        found->serial = serial;
        memcpy(found->name, entry->d_name, length);
        weigh(dirfd(handle), found);
    }
    closedir(handle);
    if (count > 0)
        qsort(*out, (size_t)count, sizeof **out, by_serial);
    if (result == 0)
        return count;
    free(*out);
    *out = NULL;
    return result;
}

int rec_recover_next_serial(const char *folder, uint64_t *out)
{
    uint64_t highest = 0;
    struct dirent *entry;
    int result;
    DIR *handle = opendir(folder);
    if (handle == NULL)
        return -errno;
    while ((result = rec_folder_next(handle, &entry)) > 0)
        if (rec_segment_serial(entry->d_name) > highest)
            highest = rec_segment_serial(entry->d_name);
    closedir(handle);
    *out = highest + 1;
    return result;
}

/** Follows one sidecar. 0 or -errno. */
static int follow(const char *path, struct rec_position *position, char *device_serial, size_t size)
{
    struct rec_line line;
    struct rec_reader *reader = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -errno : rec_reader_open(&reader, fd);
    if (result < 0)
        return result;
    while ((result = rec_reader_next(reader, &line)) > 0) {
        rec_position_follow(position, &line);
        if (line.type == REC_LINE_SEGMENT && line.device_serial[0] != '\0')
            snprintf(device_serial, size, "%s", line.device_serial);
    }
    rec_reader_close(reader);
    return result;
}

int rec_recover_position(const char *folder, struct rec_position *out, char *device_serial,
                         size_t size)
{
    struct rec_found *found;
    *out = (struct rec_position){0};
    int count = rec_recover_list(folder, &found), error = count < 0 ? count : 0;
    for (int i = count - 1; i >= 0 && !out->is_known && error == 0; i--) {
        char path[REC_PATH_SIZE];
        snprintf(path, sizeof path, "%.*s/%s.jsonl", REC_PATH_SIZE - 48, folder, found[i].name);
        error = follow(path, out, device_serial, size);
    }
    free(found);
    return error;
}
