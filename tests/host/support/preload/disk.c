// SPDX-License-Identifier: MIT
// A library for LD_PRELOAD that stands between a process and the folder $DISK_FOLDER. A step is a
// call that changes something below that folder, or hands it to the disk.
//   $DISK_TRACE=FILE  each step that succeeds is noted there, with the bytes that it writes. So a
//                     test can tell what a power cut leaves (tests/host/support/disk.py)
//   $DISK_FAIL=N HOW  the Nth step fails: EIO, ENOSPC; `short` writes half, `kill` also ends the
//                     process
// What goes to the bucket of a group of recorders over a socket is noted too.
// Where files are large by default (armhf), open() would be another name of open64().
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { PATH_BYTES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_BYTES], how[16];
static size_t folder_bytes;
static int trace = -1;
static long steps, wanted;

static void note(const void *bytes, size_t count)
{
    (void)!syscall(SYS_write, trace, bytes, count);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK_TRACE"), *wish = getenv("DISK_FAIL");
    const char *directory = getenv("DISK_FOLDER");
    if (directory == NULL || realpath(directory, folder) == NULL)
        return;
    folder_bytes = strlen(folder);
    if (wish != NULL)
        sscanf(wish, "%ld %15s", &wanted, how);
    if (path != NULL)
        trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                             0600);
}

static bool is_ours(const char *path)
{
    return folder_bytes > 0 && strncmp(path, folder, folder_bytes) == 0 &&
           (path[folder_bytes] == '/' || path[folder_bytes] == '\0');
}

/** Where the descriptor is. False: not below the folder. */
static bool find(int fd, char path[PATH_BYTES])
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = folder_bytes > 0 ? readlink(link, path, PATH_BYTES - 1) : -1;
    if (length < 0)
        return false;
    path[length] = '\0';
    return is_ours(path);
}

/** The same for a name in a folder. */
static bool find_name(int fd, const char *name, char path[PATH_BYTES])
{
    char place[PATH_BYTES] = "";
    if (folder_bytes == 0)
        return false;
    if (name[0] == '/') {
        snprintf(path, PATH_BYTES, "%s", name);
        return is_ours(path);
    }
    if (fd == AT_FDCWD && getcwd(place, sizeof place) == NULL)
        return false;
    if (fd != AT_FDCWD && !find(fd, place))
        return false;
    snprintf(path, PATH_BYTES, "%.2000s/%.2000s", place, name);
    return is_ours(path);
}

static unsigned long inode_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (unsigned long)status.st_ino : 0;
}

/** A step begins, and the lock is held until it ends. The errno of its failure, 0: it goes on, -1:
 * it is a write of half of its bytes. */
static int step(bool is_write)
{
    pthread_mutex_lock(&lock);
    if (++steps != wanted)
        return 0;
    if (strcmp(how, "EIO") == 0)
        return EIO;
    if (strcmp(how, "ENOSPC") == 0)
        return ENOSPC;
    if (strcmp(how, "kill") == 0 && !is_write)
        raise(SIGKILL);
    return is_write ? -1 : 0;
}

__attribute__((format(printf, 2, 3))) static void end(bool is_done, const char *format, ...)
{
    char line[3 * PATH_BYTES];
    const int error = errno;
    va_list rest;
    va_start(rest, format);
    const int length = vsnprintf(line, sizeof line, format, rest);
    va_end(rest);
    if (is_done && trace >= 0)
        note(line, (size_t)length);
    pthread_mutex_unlock(&lock);
    errno = error;
}

static int fail(int error)
{
    pthread_mutex_unlock(&lock);
    errno = error;
    return -1;
}

static int open_any(int fd, const char *name, int flags, mode_t mode)
{
    char path[PATH_BYTES];
    struct stat status;
    if (!(flags & (O_CREAT | O_TRUNC)) || !find_name(fd, name, path))
        return (int)syscall(SYS_openat, fd, name, flags, mode);
    const bool was_there = fstatat(fd, name, &status, 0) == 0;
    const bool is_change = !was_there || (flags & O_TRUNC);
    const int error = is_change ? step(false) : 0;
    if (error > 0)
        return fail(error);
    const int result = (int)syscall(SYS_openat, fd, name, flags, mode);
    if (is_change && was_there)
        end(result >= 0, "truncate\t%lu\t%s\t0\n", result >= 0 ? inode_of(result) : 0, path);
    else if (is_change)
        end(result >= 0, "create\t%lu\t%s\n", result >= 0 ? inode_of(result) : 0, path);
    return result;
}

#define OPEN(name, parameters, fd)                                                                 \
    EXPORT int name parameters                                                                     \
    {                                                                                              \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                            \
        va_end(rest);                                                                              \
        return open_any(fd, path, flags, mode);                                                    \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int fd, const char *path, int flags, ...), fd)
OPEN(openat64, (int fd, const char *path, int flags, ...), fd)

/** `at` -1: where the file stands. */
static ssize_t write_any(int fd, const void *from, size_t bytes, off64_t at)
{
    char path[PATH_BYTES];
    __typeof__(&pwrite64) real = (__typeof__(&pwrite64))dlsym(RTLD_NEXT, "pwrite64");
    const bool is_step = find(fd, path);
    const int error = is_step ? step(true) : 0;
    if (error > 0)
        return fail(error);
    const size_t wished = error < 0 ? bytes / 2 : bytes;
    const ssize_t done = at < 0 ? syscall(SYS_write, fd, from, wished) : real(fd, from, wished, at);
    if (!is_step)
        return done;
    const long long where = at < 0 ? lseek(fd, 0, SEEK_CUR) - done : at;
    if (done >= 0 && trace >= 0) {
        char line[PATH_BYTES + 100];
        note(line, (size_t)snprintf(line, sizeof line, "write\t%lu\t%s\t%lld\t%zd\n", inode_of(fd),
                                    path, where, done));
        note(from, (size_t)done);
    }
    if (error < 0 && strcmp(how, "kill") == 0)
        raise(SIGKILL);
    end(false, "-");
    return done;
}

EXPORT ssize_t write(int fd, const void *from, size_t bytes)
{
    return write_any(fd, from, bytes, -1);
}

EXPORT ssize_t pwrite(int fd, const void *from, size_t bytes, off_t at)
{
    return write_any(fd, from, bytes, at);
}

EXPORT ssize_t pwrite64(int fd, const void *from, size_t bytes, off64_t at)
{
    return write_any(fd, from, bytes, at);
}

EXPORT int ftruncate64(int fd, off64_t bytes)
{
    char path[PATH_BYTES];
    __typeof__(&ftruncate64) real = (__typeof__(&ftruncate64))dlsym(RTLD_NEXT, "ftruncate64");
    if (!find(fd, path))
        return real(fd, bytes);
    const int error = step(false);
    if (error > 0)
        return fail(error);
    const int result = real(fd, bytes);
    end(result == 0, "truncate\t%lu\t%s\t%lld\n", inode_of(fd), path, (long long)bytes);
    return result;
}

EXPORT int ftruncate(int fd, off_t bytes)
{
    return ftruncate64(fd, bytes);
}

/** A sync that fails has lost what it should have written: the kernel says so once. */
static int sync_any(int fd, long call)
{
    char path[PATH_BYTES];
    if (!find(fd, path))
        return (int)syscall(call, fd);
    const int error = step(false);
    const int result = error > 0 ? -1 : (int)syscall(call, fd);
    if (error > 0)
        errno = error;
    if (call == SYS_syncfs)
        end(true, "%s\n", result < 0 ? "lost" : "sync");
    else
        end(true, "%s\t%lu\t%s\n", result < 0 ? "lost" : "sync", inode_of(fd), path);
    return result;
}

EXPORT int fsync(int fd)
{
    return sync_any(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
    return sync_any(fd, SYS_fdatasync);
}

EXPORT int syncfs(int fd)
{
    return sync_any(fd, SYS_syncfs);
}

EXPORT int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    char before[PATH_BYTES], after[PATH_BYTES];
    if (!find_name(a, from, before) || !find_name(b, to, after))
        return (int)syscall(SYS_renameat2, a, from, b, to, flags);
    const int error = step(false);
    if (error > 0)
        return fail(error);
    const int result = (int)syscall(SYS_renameat2, a, from, b, to, flags);
    end(result == 0, "rename\t%s\t%s\n", before, after);
    return result;
}

EXPORT int renameat(int a, const char *from, int b, const char *to)
{
    return renameat2(a, from, b, to, 0);
}

EXPORT int mkdirat(int fd, const char *name, mode_t mode)
{
    char path[PATH_BYTES];
    struct stat status = {0};
    if (!find_name(fd, name, path) || fstatat(fd, name, &status, 0) == 0)
        return (int)syscall(SYS_mkdirat, fd, name, mode);
    const int error = step(false);
    if (error > 0)
        return fail(error);
    const int result = (int)syscall(SYS_mkdirat, fd, name, mode);
    if (result == 0)
        (void)fstatat(fd, name, &status, 0);
    end(result == 0, "mkdir\t%lu\t%s\n", (unsigned long)status.st_ino, path);
    return result;
}

EXPORT int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}

EXPORT int unlinkat(int fd, const char *name, int flags)
{
    char path[PATH_BYTES];
    struct stat status;
    if (!find_name(fd, name, path) || fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return (int)syscall(SYS_unlinkat, fd, name, flags);
    const int error = step(false);
    if (error > 0)
        return fail(error);
    const int result = (int)syscall(SYS_unlinkat, fd, name, flags);
    end(result == 0, "unlink\t%s\n", path);
    return result;
}

EXPORT int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

EXPORT ssize_t send(int fd, const void *from, size_t bytes, int flags)
{
    static const char bucket[] = " $KV.pinhole-rec-";
    char line[40];
    if (trace >= 0 && memmem(from, bytes, bucket, sizeof bucket - 1) != NULL) {
        pthread_mutex_lock(&lock);
        note(line, (size_t)snprintf(line, sizeof line, "send\t%zu\n", bytes));
        note(from, bytes);
        pthread_mutex_unlock(&lock);
    }
    return syscall(SYS_sendto, fd, from, bytes, flags, NULL, 0);
}
