// SPDX-License-Identifier: MIT
#include "hal/libcamera/dma_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CACHED_HEAP "/dev/dma_heap/vidbuf_cached"

static const char *const heaps[] = {
    CACHED_HEAP,
    "/dev/dma_heap/linux,cma",
    "/dev/dma_heap/reserved",
    "/dev/dma_heap/default_cma_region",
    "/dev/dma_heap/system",
};

static int alloc_from(const char *heap, size_t bytes)
{
    struct dma_heap_allocation_data wish = {.len = bytes, .fd_flags = O_RDWR | O_CLOEXEC};
    int fd = open(heap, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &wish) < 0 ? -errno : (int)wish.fd;
    close(fd);
    return result;
}

int dma_heap_alloc(size_t bytes)
{
    int result = -ENOENT;
    for (unsigned i = 0; i < ARRAY_SIZE(heaps); i++) {
        int fd = alloc_from(heaps[i], bytes);
        if (fd >= 0)
            return fd;
        if (fd != -ENOENT)
            result = fd;
    }
    return result;
}

bool dma_heap_is_cached(void)
{
    return access(CACHED_HEAP, R_OK | W_OK) == 0;
}

int dma_memfd_alloc(size_t bytes)
{
    int fd = memfd_create("pinhole-frame", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)bytes) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static int sync_read(int fd, uint64_t edge)
{
    struct dma_buf_sync sync = {.flags = DMA_BUF_SYNC_READ | edge};
    int result;
    do {
        result = ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
    } while (result < 0 && (errno == EINTR || errno == EAGAIN));
    return result < 0 ? -errno : 0;
}

int dma_map_open(struct dma_map *map, int fd, size_t bytes)
{
    // A dmabuf tells its size by lseek only; a kernel that cannot tell is taken at its word.
    off_t end = lseek(fd, 0, SEEK_END);
    if (end >= 0 && (size_t)end < bytes)
        return -EINVAL;
    if (end > 0)
        bytes = (size_t)end;
    void *data = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return -errno;
    *map = (struct dma_map){.fd = fd, .data = data, .bytes = bytes};
    map->is_coherent = sync_read(fd, DMA_BUF_SYNC_START) < 0;
    if (!map->is_coherent)
        (void)sync_read(fd, DMA_BUF_SYNC_END);
    return 0;
}

void dma_map_close(struct dma_map *map)
{
    if (map->data != NULL)
        munmap(map->data, map->bytes);
    *map = (struct dma_map){.fd = -1};
}

void dma_map_begin(const struct dma_map *map)
{
    if (!map->is_coherent)
        (void)sync_read(map->fd, DMA_BUF_SYNC_START);
}

void dma_map_end(const struct dma_map *map)
{
    if (!map->is_coherent)
        (void)sync_read(map->fd, DMA_BUF_SYNC_END);
}
