// SPDX-License-Identifier: MIT
// A library for LD_PRELOAD that counts every heap call of a process, its libraries included, into a
// file that another process can read while it runs: $COUNT_HEAP_FILE holds three little-endian
// 64-bit counters (calls that take memory, calls that give it back, bytes asked for).
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct counters {
    uint64_t taken, freed, bytes;
};

static struct counters before_file; /**< counts until the file is mapped, and without one */
static struct counters *counters = &before_file;

/** glibc's own entries, which need no dlsym() (and dlsym() itself allocates). */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *memory);

EXPORT void *aligned_alloc(size_t alignment, size_t bytes);
EXPORT void *memalign(size_t alignment, size_t bytes);
EXPORT void *valloc(size_t bytes);
EXPORT void *pvalloc(size_t bytes);

static void count(size_t bytes)
{
    __atomic_fetch_add(&counters->taken, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counters->bytes, bytes, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("COUNT_HEAP_FILE");
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct counters)) < 0)
        abort();
    void *map = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    close(fd);
    memcpy(map, &before_file, sizeof before_file);
    counters = map;
}

EXPORT void *malloc(size_t bytes)
{
    count(bytes);
    return __libc_malloc(bytes);
}

EXPORT void *calloc(size_t n, size_t bytes)
{
    count(n * bytes);
    return __libc_calloc(n, bytes);
}

EXPORT void *realloc(void *old, size_t bytes)
{
    count(bytes);
    return __libc_realloc(old, bytes);
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
    count(bytes);
    return __libc_memalign(alignment, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *memory = memalign(alignment, bytes);
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

EXPORT void *valloc(size_t bytes)
{
    return memalign((size_t)sysconf(_SC_PAGESIZE), bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return memalign(page, (bytes + page - 1) / page * page);
}

EXPORT void free(void *memory)
{
    if (memory != NULL)
        __atomic_fetch_add(&counters->freed, 1, __ATOMIC_RELAXED);
    __libc_free(memory);
}
