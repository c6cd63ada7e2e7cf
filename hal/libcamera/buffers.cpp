// SPDX-License-Identifier: MIT
#include "hal/libcamera/backend.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "hal/libcamera/faults.h"

namespace pinhole
{

namespace
{

struct colour_plane {
    unsigned stride, rows;
};

// Fills `out` and returns the number of planes. libcamera gives the stride of the first plane,
// which defines those of the chroma planes.
unsigned colour_planes(const StreamConfiguration &stream, colour_plane out[HAL_CAMERA_PLANES_MAX])
{
    const format_row *row = format_find(stream.pixelFormat);
    unsigned height = stream.size.height;
    out[0] = {row->hal == HAL_PIXEL_MJPEG ? 0 : stream.stride,
              row->hal == HAL_PIXEL_MJPEG ? 0 : height};
    for (unsigned i = 1; i < row->planes; i++)
        out[i] = {row->planes == 3 ? stream.stride / 2 : stream.stride, height / 2};
    return row->planes;
}

using buffer_list = std::vector<std::unique_ptr<FrameBuffer>>;

// One descriptor per buffer, with the planes one after another.
int make_buffer(const StreamConfiguration &stream, int (*allocate)(size_t), buffer_list *buffers)
{
    colour_plane colours[HAL_CAMERA_PLANES_MAX];
    unsigned count = colour_planes(stream, colours), offset = 0;
    int fd = allocate(stream.frameSize);
    if (fd < 0)
        return fd;
    SharedFD shared(std::move(fd));
    std::vector<FrameBuffer::Plane> planes(count);
    for (unsigned i = 0; i < count; i++) {
        planes[i].fd = shared;
        planes[i].offset = offset;
        planes[i].length =
            i + 1 < count ? colours[i].stride * colours[i].rows : stream.frameSize - offset;
        offset += planes[i].length;
    }
    buffers->push_back(std::make_unique<FrameBuffer>(planes));
    return 0;
}

int make_buffers(const StreamConfiguration &stream, unsigned count, int (*allocate)(size_t),
                 buffer_list *buffers)
{
    int result = 0;
    for (unsigned i = 0; i < count && result == 0; i++)
        result = make_buffer(stream, allocate, buffers);
    if (result < 0)
        buffers->clear();
    return result;
}

// The pipeline's own buffers first, then the kernel's heaps, then, for cameras without hardware,
// shared memory. A heap that the CPU may cache goes before all: reading uncached memory costs
// several times the encoding. 0, or -errno with nothing allocated.
int allocate_buffers(const StreamConfiguration &stream, bool has_hardware,
                     FrameBufferAllocator *allocator, buffer_list *own)
{
    unsigned count = std::min(std::max(stream.bufferCount, 2u), unsigned{HAL_CAMERA_BUFFERS_MAX});
    int result = -ENOMEM;
    if (has_hardware && dma_heap_is_cached())
        result = make_buffers(stream, count, dma_heap_alloc, own);
    if (result < 0 && !libcamera_fault(FAULT_ALLOCATOR))
        result = allocator->allocate(stream.stream());
    if (result < 0)
        result = make_buffers(stream, count, dma_heap_alloc, own);
    if (result < 0 && !has_hardware)
        result = make_buffers(stream, count, dma_memfd_alloc, own);
    return result < 0 ? result : 0;
}

dma_map *view_map(buffer_view *view, int fd, size_t bytes, int *error)
{
    for (unsigned i = 0; i < view->map_count; i++)
        if (view->map[i].fd == fd)
            return &view->map[i];
    *error = dma_map_open(&view->map[view->map_count], fd, bytes);
    return *error < 0 ? nullptr : &view->map[view->map_count++];
}

// Maps a buffer whose planes are a plane each, or one with the colours one after another. 0,
// -EINVAL when the planes are shorter than the picture, -errno of mmap.
int view_open(buffer_view *view, const FrameBuffer &buffer, const StreamConfiguration &stream)
{
    const auto &planes = buffer.planes();
    colour_plane colours[HAL_CAMERA_PLANES_MAX] = {};
    view->plane_count = colour_planes(stream, colours);
    bool is_apart = planes.size() >= view->plane_count;
    size_t behind = 0;
    for (unsigned i = 0; i < view->plane_count; i++) {
        const FrameBuffer::Plane &plane = planes[is_apart ? i : 0];
        size_t start = plane.offset == FrameBuffer::Plane::kInvalidOffset ? 0 : plane.offset;
        size_t within = is_apart ? 0 : behind, bytes = size_t{colours[i].stride} * colours[i].rows;
        int error = -EINVAL;
        if (within + bytes > plane.length)
            return error;
        dma_map *map = view_map(view, plane.fd.get(), start + plane.length, &error);
        if (map == nullptr || start + plane.length > map->bytes)
            return error;
        view->plane[i] = {map->data + start + within, colours[i].stride, colours[i].rows};
        behind += bytes;
    }
    return 0;
}

void view_close(buffer_view *view)
{
    for (unsigned i = 0; i < view->map_count; i++)
        dma_map_close(&view->map[i]);
    *view = {};
}

int make_slot(slot *slot, uint64_t number, const std::shared_ptr<Camera> &camera,
              const StreamConfiguration &stream, failure *why)
{
    slot->request = camera->createRequest(number);
    if (!slot->request || slot->request->addBuffer(stream.stream(), slot->buffer) < 0)
        return fail(why, -EIO, "camera %s: libcamera makes no request", camera->id().c_str());
    int result = view_open(&slot->view, *slot->buffer, stream);
    if (result < 0)
        return fail(why, -EIO, "camera %s: buffers of %s cannot be mapped: %s",
                    camera->id().c_str(), stream.toString().c_str(), strerror(-result));
    return 0;
}

} // namespace

int buffers_make(buffer_pool *pool, const std::shared_ptr<Camera> &camera,
                 const StreamConfiguration &stream, bool has_hardware, failure *why)
{
    pool->allocator = std::make_unique<FrameBufferAllocator>(camera);
    int result = allocate_buffers(stream, has_hardware, pool->allocator.get(), &pool->own);
    const buffer_list &buffers =
        pool->own.empty() ? pool->allocator->buffers(stream.stream()) : pool->own;
    if (result < 0 || buffers.size() < 2)
        return fail(why, -ENOMEM, "camera %s: no buffers of %u bytes: %s", camera->id().c_str(),
                    stream.frameSize, strerror(result < 0 ? -result : ENOMEM));
    while (pool->slot_count < std::min(buffers.size(), size_t{HAL_CAMERA_BUFFERS_MAX})) {
        unsigned number = pool->slot_count++;
        pool->slots[number].buffer = buffers[number].get();
        result = make_slot(&pool->slots[number], number, camera, stream, why);
        if (result < 0)
            return result;
    }
    return 0;
}

void buffers_free(buffer_pool *pool)
{
    for (unsigned i = 0; i < pool->slot_count; i++) {
        view_close(&pool->slots[i].view);
        pool->slots[i] = slot{};
    }
    pool->slot_count = 0;
    pool->own.clear();
    pool->allocator.reset();
}

slot *buffers_find(buffer_pool *pool, slot_state state)
{
    for (unsigned i = 0; i < pool->slot_count; i++)
        if (pool->slots[i].state == state)
            return &pool->slots[i];
    return nullptr;
}

void view_begin(const buffer_view &view)
{
    for (unsigned i = 0; i < view.map_count; i++)
        dma_map_begin(&view.map[i]);
}

void view_end(const buffer_view &view)
{
    for (unsigned i = 0; i < view.map_count; i++)
        dma_map_end(&view.map[i]);
}

} // namespace pinhole
