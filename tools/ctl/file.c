// SPDX-License-Identifier: MIT
// File names from a pattern, and files that appear whole or not at all.
#include "tools/ctl/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/** No two boots of any node share a boot id, so a new run never meets the names of another. */
#define DEFAULT_NAME "pinhole-%b-%06d.jpg"

/** Reads "%", digits and a letter. Returns the letter, 0 if it is not one of ours. */
static char read_field(const char **at, int *width)
{
    const char *c = *at + 1;
    *width = 0;
    while (isdigit((unsigned char)*c) && *width < 10)
        *width = *width * 10 + (*c++ - '0');
    *at = *c != '\0' ? c + 1 : c;
    return *c != '\0' && strchr("dqtbT%", *c) != NULL ? *c : '\0';
}

static int append_time(char *out, size_t room, uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000);
    struct tm utc;
    char day[32];
    gmtime_r(&seconds, &utc);
    strftime(day, sizeof day, "%Y%m%dT%H%M%S", &utc);
    return snprintf(out, room, "%s.%06uZ", day, (unsigned)(realtime_ns / 1000 % 1000000));
}

int ctl_file_name(const char *pattern, const struct pinhole_frame *frame, char *out, size_t size)
{
    size_t used = 0;
    for (const char *at = pattern; *at != '\0';) {
        int width = 0, length;
        char *end = out + used;
        size_t room = size - used;
        if (*at != '%') {
            length = snprintf(end, room, "%c", *at++);
        } else {
            switch (read_field(&at, &width)) {
            case 'd': length = snprintf(end, room, "%0*" PRIu64, width, frame->frame_id); break;
            case 'q': length = snprintf(end, room, "%0*" PRIu64, width, frame->sequence); break;
            case 't': length = snprintf(end, room, "%0*" PRIu64, width, frame->trigger_id); break;
            case 'b': length = snprintf(end, room, "%016" PRIx64, frame->boot_id); break;
            case 'T': length = append_time(end, room, frame->realtime_ns); break;
            case '%': length = snprintf(end, room, "%%"); break;
            default: return -EINVAL;
            }
        }
        if (length < 0 || (size_t)length >= room)
            return -ENAMETOOLONG;
        used += (size_t)length;
    }
    return 0;
}

int ctl_file_pattern(const char *wish, char *out, size_t size)
{
    struct stat status;
    const size_t length = wish != NULL ? strlen(wish) : 0;
    int wanted;
    if (length == 0)
        wanted = snprintf(out, size, "%s", DEFAULT_NAME);
    else if (wish[length - 1] == '/')
        wanted = snprintf(out, size, "%s%s", wish, DEFAULT_NAME);
    else if (stat(wish, &status) == 0 && S_ISDIR(status.st_mode))
        wanted = snprintf(out, size, "%s/%s", wish, DEFAULT_NAME);
    else
        wanted = snprintf(out, size, "%s", wish);
    if (wanted < 0 || (size_t)wanted >= size)
        return -ENAMETOOLONG;
    char name[CTL_PATH_MAX];
    const struct pinhole_frame probe = {0};
    return ctl_file_name(out, &probe, name, sizeof name);
}

int ctl_file_folder(const char *wish)
{
    struct stat status;
    const size_t length = wish != NULL ? strlen(wish) : 0;
    // With a % in it, it is a name that each picture has to itself.
    if (length == 0 || wish[length - 1] != '/' || strchr(wish, '%') != NULL)
        return 0;
    if (mkdir(wish, 0777) == 0 || (stat(wish, &status) == 0 && S_ISDIR(status.st_mode)))
        return 0;
    return -errno;
}

int ctl_file_write(int fd, const void *bytes, size_t count)
{
    for (size_t at = 0; at < count;) {
        ssize_t written = write(fd, (const char *)bytes + at, count - at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += (size_t)written;
    }
    return 0;
}

/** Writes to what is no file to be replaced: a device, a FIFO. */
static int write_through(const char *path, const void *bytes, size_t count)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = ctl_file_write(fd, bytes, count);
    if (close(fd) < 0 && error == 0)
        error = -errno;
    return error;
}

/** Renames unless the new name is taken. 0 or -errno; -EEXIST: it is taken. */
static int rename_to_free(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    // The file system cannot do that, as NFS: the name is reserved first.
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    close(fd);
    return rename(from, to) < 0 ? -errno : 0;
}

/** Renames to the first free name, which `path` becomes. */
static int rename_to_other(const char *from, char *path)
{
    char other[CTL_PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *suffix = strrchr(name, '.');
    if (suffix == NULL || suffix == name)
        suffix = name + strlen(name);
    int error = rename_to_free(from, path);
    for (unsigned n = 2; error == -EEXIST && n < UINT_MAX; n++) {
        int length =
            snprintf(other, sizeof other, "%.*s~%u%s", (int)(suffix - path), path, n, suffix);
        if (length < 0 || (size_t)length >= sizeof other)
            return -ENAMETOOLONG;
        error = rename_to_free(from, other);
        if (error == 0)
            memcpy(path, other, (size_t)length + 1);
    }
    return error;
}

static int give_name(const char *temporary, char *path, enum ctl_file_clash clash)
{
    switch (clash) {
    case CTL_FILE_REFUSE: return rename_to_free(temporary, path);
    case CTL_FILE_TAKE_OTHER: return rename_to_other(temporary, path);
    default: return rename(temporary, path) < 0 ? -errno : 0;
    }
}

int ctl_file_save(char *path, enum ctl_file_clash clash, const void *bytes, size_t count)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return write_through(path, bytes, count);
    char temporary[CTL_PATH_MAX + 64];
    const char *slash = strrchr(path, '/');
    const int folder = slash != NULL ? (int)(slash - path + 1) : 0;
    snprintf(temporary, sizeof temporary, "%.*s.%.200s.%ld.part", folder, path, path + folder,
             (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return -errno;
    int error = ctl_file_write(fd, bytes, count);
    if (close(fd) < 0 && error == 0)
        error = -errno;
    if (error == 0)
        error = give_name(temporary, path, clash);
    if (error < 0)
        unlink(temporary);
    return error;
}
