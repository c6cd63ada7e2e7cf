// SPDX-License-Identifier: MIT
#include "tests/host/support/fail_site.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SITES_MAX = 1024, NAME_SIZE = 96 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const void *seen[SITES_MAX];
static unsigned seen_count;
static bool has_failed;

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *from, size_t bytes);

static void note(const char *name)
{
    char line[NAME_SIZE + 1];
    const char *path = getenv("FAIL_SITES");
    int fd = path != NULL ? __real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    const int length = snprintf(line, sizeof line, "%s\n", name);
    (void)!__real_write(fd, line, (size_t)length);
    close(fd);
}

bool fail_site(const char *function, const void *caller)
{
    Dl_info info = {0};
    char name[NAME_SIZE];
    const char *wanted = getenv("FAIL_SITE");
    unsigned i = 0;
    pthread_mutex_lock(&lock);
    while (i < seen_count && seen[i] != caller)
        i++;
    const bool is_new = i == seen_count && seen_count < SITES_MAX;
    if (is_new)
        seen[seen_count++] = caller;
    dladdr(caller, &info);
    const char *slash = info.dli_fname != NULL ? strrchr(info.dli_fname, '/') : NULL;
    snprintf(name, sizeof name, "%s@%.40s+%lx", function, slash != NULL ? slash + 1 : "?",
             (unsigned long)((const char *)caller - (const char *)info.dli_fbase));
    if (is_new)
        note(name);
    const bool is_wanted = wanted != NULL && strcmp(wanted, name) == 0 &&
                           (!has_failed || getenv("FAIL_ALWAYS") != NULL);
    has_failed = has_failed || is_wanted;
    pthread_mutex_unlock(&lock);
    return is_wanted;
}

// clang-format off
WRAP(void *, malloc, (size_t bytes), (bytes), ENOMEM, NULL)
WRAP(void *, calloc, (size_t count, size_t bytes), (count, bytes), ENOMEM, NULL)
WRAP(void *, realloc, (void *old, size_t bytes), (old, bytes), ENOMEM, NULL)
WRAP(char *, strdup, (const char *text), (text), ENOMEM, NULL)
WRAP(ssize_t, read, (int fd, void *to, size_t bytes), (fd, to, bytes), EIO, -1)
WRAP(ssize_t, pread, (int fd, void *to, size_t bytes, off_t at), (fd, to, bytes, at), EIO, -1)
WRAP(ssize_t, readv, (int fd, const struct iovec *to, int count), (fd, to, count), EIO, -1)
WRAP(ssize_t, write, (int fd, const void *from, size_t bytes), (fd, from, bytes), EIO, -1)
WRAP(ssize_t, send, (int fd, const void *from, size_t bytes, int flags), (fd, from, bytes, flags), EIO, -1)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *from, int flags), (fd, from, flags), EIO, -1)
WRAP(int, fsync, (int fd), (fd), EIO, -1)
WRAP(int, fdatasync, (int fd), (fd), EIO, -1)
WRAP(int, syncfs, (int fd), (fd), EIO, -1)
WRAP(int, ftruncate, (int fd, off_t bytes), (fd, bytes), EIO, -1)
WRAP(int, fstat, (int fd, struct stat *out), (fd, out), EIO, -1)
WRAP(int, stat, (const char *path, struct stat *out), (path, out), EIO, -1)
WRAP(int, fstatat, (int fd, const char *path, struct stat *out, int flags), (fd, path, out, flags), EIO, -1)
WRAP(int, statvfs, (const char *path, struct statvfs *out), (path, out), EIO, -1)
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), EIO, -1)
WRAP(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), EIO, -1)
WRAP(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), EIO, -1)
WRAP(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), EIO, -1)
WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), EIO, -1)
WRAP(int, futimens, (int fd, const struct timespec times[2]), (fd, times), EIO, -1)
WRAP(int, flock, (int fd, int how), (fd, how), EIO, -1)
WRAP(DIR *, opendir, (const char *path), (path), EIO, NULL)
WRAP(DIR *, fdopendir, (int fd), (fd), ENOMEM, NULL)
WRAP(struct dirent *, readdir, (DIR *folder), (folder), EIO, NULL)
WRAP(off_t, lseek, (int fd, off_t at, int from), (fd, at, from), EIO, -1)
WRAP(int, pthread_create, (pthread_t *out, const pthread_attr_t *how, void *(*run)(void *), void *user), (out, how, run, user), EAGAIN, EAGAIN)
WRAP(int, socket, (int family, int kind, int protocol), (family, kind, protocol), EMFILE, -1)
WRAP(int, connect, (int fd, const struct sockaddr *to, socklen_t bytes), (fd, to, bytes), ECONNREFUSED, -1)
WRAP(int, bind, (int fd, const struct sockaddr *to, socklen_t bytes), (fd, to, bytes), EADDRINUSE, -1)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), EADDRINUSE, -1)
WRAP(int, accept4, (int fd, struct sockaddr *from, socklen_t *bytes, int flags), (fd, from, bytes, flags), EMFILE, -1)
WRAP(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t bytes), (fd, level, name, value, bytes), ENOMEM, -1)
WRAP(int, getsockname, (int fd, struct sockaddr *out, socklen_t *bytes), (fd, out, bytes), ENOBUFS, -1)
WRAP(int, poll, (struct pollfd *fds, nfds_t count, int ms), (fds, count, ms), ENOMEM, -1)
// clang-format on

int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!fail_site("open", __builtin_return_address(0)))
        return __real_open(path, flags, mode);
    errno = EIO;
    return -1;
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!fail_site("openat", __builtin_return_address(0)))
        return __real_openat(fd, path, flags, mode);
    errno = EIO;
    return -1;
}

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...)
{
    if (fail_site("asprintf", __builtin_return_address(0))) {
        *out = NULL;
        return -1;
    }
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(out, format, arguments);
    va_end(arguments);
    return length;
}

static void *json_memory(size_t bytes)
{
    return fail_site("json", __builtin_return_address(0)) ? NULL : __real_malloc(bytes);
}

__attribute__((constructor)) static void use_json_memory(void)
{
    json_set_alloc_funcs(json_memory, free);
}
