// SPDX-License-Identifier: MIT
// libjpeg's memory manager interface over a fixed arena. The baseline Huffman encoder with raw
// input asks for small and large objects only; the rest is refused as libjpeg's own error.
#include "app/jpeg_private.h"

#include <jerror.h>

#define ARENA_ALIGN 64u

static void *arena_alloc(j_common_ptr cinfo, int pool, size_t bytes)
{
    struct jpeg_arena *arena = (struct jpeg_arena *)(void *)cinfo->mem;
    if (bytes > arena->top - arena->bottom)
        ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 1);
    // Both ends stay multiples of the alignment, so rounding up cannot pass the other end.
    uint32_t rounded = ((uint32_t)bytes + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    uint8_t *result;
    if (pool == JPOOL_PERMANENT) {
        result = arena->base + arena->bottom;
        arena->bottom += rounded;
    } else {
        arena->top -= rounded;
        result = arena->base + arena->top;
    }
    uint32_t used = arena->bottom + (arena->bytes - arena->top);
    if (used > arena->used_max)
        arena->used_max = used;
    return result;
}

static JSAMPARRAY alloc_sarray(j_common_ptr cinfo, int pool, JDIMENSION samples, JDIMENSION rows)
{
    JSAMPARRAY array = arena_alloc(cinfo, pool, rows * sizeof(JSAMPROW));
    for (JDIMENSION i = 0; i < rows; i++)
        array[i] = arena_alloc(cinfo, pool, samples * sizeof(JSAMPLE));
    return array;
}

static JBLOCKARRAY alloc_barray(j_common_ptr cinfo, int pool, JDIMENSION blocks, JDIMENSION rows)
{
    JBLOCKARRAY array = arena_alloc(cinfo, pool, rows * sizeof(JBLOCKROW));
    for (JDIMENSION i = 0; i < rows; i++)
        array[i] = arena_alloc(cinfo, pool, blocks * sizeof(JBLOCK));
    return array;
}

static jvirt_sarray_ptr request_virt_sarray(j_common_ptr cinfo, int pool, boolean zero,
                                            JDIMENSION samples, JDIMENSION rows, JDIMENSION access)
{
    (void)pool, (void)zero, (void)samples, (void)rows, (void)access;
    ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 2);
    return NULL;
}

static jvirt_barray_ptr request_virt_barray(j_common_ptr cinfo, int pool, boolean zero,
                                            JDIMENSION blocks, JDIMENSION rows, JDIMENSION access)
{
    (void)pool, (void)zero, (void)blocks, (void)rows, (void)access;
    ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 3);
    return NULL;
}

// Called at the start of each picture even when no virtual array was requested.
static void realize_virt_arrays(j_common_ptr cinfo)
{
    (void)cinfo;
}

static JSAMPARRAY access_virt_sarray(j_common_ptr cinfo, jvirt_sarray_ptr array, JDIMENSION row,
                                     JDIMENSION rows, boolean writable)
{
    (void)array, (void)row, (void)rows, (void)writable;
    ERREXIT(cinfo, JERR_BAD_VIRTUAL_ACCESS);
    return NULL;
}

static JBLOCKARRAY access_virt_barray(j_common_ptr cinfo, jvirt_barray_ptr array, JDIMENSION row,
                                      JDIMENSION rows, boolean writable)
{
    (void)array, (void)row, (void)rows, (void)writable;
    ERREXIT(cinfo, JERR_BAD_VIRTUAL_ACCESS);
    return NULL;
}

static void free_pool(j_common_ptr cinfo, int pool)
{
    struct jpeg_arena *arena = (struct jpeg_arena *)(void *)cinfo->mem;
    arena->top = arena->bytes;
    if (pool == JPOOL_PERMANENT)
        arena->bottom = 0;
}

static void self_destruct(j_common_ptr cinfo)
{
    free_pool(cinfo, JPOOL_PERMANENT);
}

void jpeg_arena_init(struct jpeg_arena *arena, uint8_t *base, uint32_t bytes)
{
    *arena = (struct jpeg_arena){
        .manager =
            {
                .alloc_small = arena_alloc,
                .alloc_large = arena_alloc,
                .alloc_sarray = alloc_sarray,
                .alloc_barray = alloc_barray,
                .request_virt_sarray = request_virt_sarray,
                .request_virt_barray = request_virt_barray,
                .realize_virt_arrays = realize_virt_arrays,
                .access_virt_sarray = access_virt_sarray,
                .access_virt_barray = access_virt_barray,
                .free_pool = free_pool,
                .self_destruct = self_destruct,
                .max_memory_to_use = (long)bytes,
                .max_alloc_chunk = (long)bytes,
            },
        .base = base,
        .bytes = bytes,
        .top = bytes,
    };
}
