// SPDX-License-Identifier: MIT
// Memory that a camera writes and the CPU reads: DMA buffers and, for cameras without hardware,
// plain shared memory. A mapping lasts from configure() to close(). Read DMA buffers between
// dma_map_begin() and dma_map_end(), which keep the CPU's cache coherent.
#ifndef PINHOLE_HAL_LIBCAMERA_DMA_MEMORY_H
#define PINHOLE_HAL_LIBCAMERA_DMA_MEMORY_H

#include "hal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dma_map {
    int fd; /**< the caller's; not closed here */
    uint8_t *data;
    size_t bytes;
    bool is_coherent; /**< false: a dmabuf that wants DMA_BUF_IOCTL_SYNC around reads */
};

/** A dmabuf of `bytes` (rounded up to pages) from the kernel's heaps: CPU-cached ones of the
 * Raspberry Pi kernel first, then CMA, then scattered pages. A descriptor, -ENOENT without heaps,
 * or the last heap's -errno. */
int dma_heap_alloc(size_t bytes);

/** True when the heap exists whose memory the CPU may cache (Raspberry Pi kernels). */
bool dma_heap_is_cached(void);

/** Shared memory of `bytes` for pipelines that write with the CPU. A descriptor or -errno. */
int dma_memfd_alloc(size_t bytes);

/** Maps the whole of `fd` for reading. 0; -EINVAL when it is shorter than `bytes`; -errno. */
int dma_map_open(struct dma_map *map, int fd, size_t bytes);
void dma_map_close(struct dma_map *map);

/** Before the first and after the last read of a frame. A system call each for a dmabuf, nothing
 * otherwise. */
void dma_map_begin(const struct dma_map *map);
void dma_map_end(const struct dma_map *map);

#ifdef __cplusplus
}
#endif

#endif
