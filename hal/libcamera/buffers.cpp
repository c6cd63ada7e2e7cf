// SPDX-License-Identifier: MIT
// Buffers: where their memory comes from and where the planes are in it. Part of
// camera_libcamera.cpp, which includes libcamera before it; functions of their arguments.
#ifndef PINHOLE_HAL_LIBCAMERA_BUFFERS_HPP
#define PINHOLE_HAL_LIBCAMERA_BUFFERS_HPP

struct colour_plane {
    unsigned stride, rows;
};

/** Fills `out` and returns the number of planes. libcamera gives the stride of the first plane; the
 * chroma planes of its formats follow from it by definition. */
static unsigned colour_planes(const StreamConfiguration &stream,
                              colour_plane out[HAL_CAMERA_PLANES_MAX])
{
    const format_row *row = format_row_of(stream.pixelFormat);
    unsigned height = stream.size.height;
    out[0] = {row->hal == HAL_PIXEL_MJPEG ? 0 : stream.stride,
              row->hal == HAL_PIXEL_MJPEG ? 0 : height};
    for (unsigned i = 1; i < row->planes; i++)
        out[i] = {row->planes == 3 ? stream.stride / 2 : stream.stride, height / 2};
    return row->planes;
}

using buffer_list = std::vector<std::unique_ptr<FrameBuffer>>;

// One descriptor per buffer, with the planes one after another.
static int make_buffer(const StreamConfiguration &stream, int (*allocate)(size_t),
                       buffer_list *buffers)
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

static int make_buffers(const StreamConfiguration &stream, unsigned count, int (*allocate)(size_t),
                        buffer_list *buffers)
{
    int result = 0;
    for (unsigned i = 0; i < count && result == 0; i++)
        result = make_buffer(stream, allocate, buffers);
    if (result < 0)
        buffers->clear();
    return result;
}

/** The pipeline's own buffers first, then the kernel's heaps, then, for cameras without hardware,
 * shared memory. Where there is a heap that the CPU may cache it goes first: reading uncached
 * memory costs several times the encoding. 0, or -errno with nothing allocated. */
static int allocate_buffers(const StreamConfiguration &stream, bool hardware,
                            FrameBufferAllocator *allocator, buffer_list *own)
{
    unsigned count = std::min(std::max(stream.bufferCount, 2u), unsigned{HAL_CAMERA_BUFFERS_MAX});
    int result = -ENOMEM;
    if (hardware && dma_heap_is_cached())
        result = make_buffers(stream, count, dma_heap_alloc, own);
    if (result < 0 && !libcamera_fault(FAULT_ALLOCATOR))
        result = allocator->allocate(stream.stream());
    if (result < 0)
        result = make_buffers(stream, count, dma_heap_alloc, own);
    if (result < 0 && !hardware)
        result = make_buffers(stream, count, dma_memfd_alloc, own);
    return result < 0 ? result : 0;
}

/** The mapped memory of one buffer. */
struct buffer_view {
    unsigned plane_count, map_count;
    hal_plane plane[HAL_CAMERA_PLANES_MAX];
    dma_map map[HAL_CAMERA_PLANES_MAX];
};

static dma_map *view_map(buffer_view *view, int fd, size_t bytes, int *error)
{
    for (unsigned i = 0; i < view->map_count; i++)
        if (view->map[i].fd == fd)
            return &view->map[i];
    *error = dma_map_open(&view->map[view->map_count], fd, bytes);
    return *error < 0 ? nullptr : &view->map[view->map_count++];
}

/** Maps a buffer whose planes are a plane each, or one with the colours one after another. 0,
 * -EINVAL when the planes are shorter than the picture, -errno of mmap. */
static int view_open(buffer_view *view, const FrameBuffer &buffer,
                     const StreamConfiguration &stream)
{
    const auto &planes = buffer.planes();
    colour_plane colours[HAL_CAMERA_PLANES_MAX];
    view->plane_count = colour_planes(stream, colours);
    bool apart = planes.size() >= view->plane_count;
    size_t behind = 0;
    for (unsigned i = 0; i < view->plane_count; i++) {
        const FrameBuffer::Plane &plane = planes[apart ? i : 0];
        size_t start = plane.offset == FrameBuffer::Plane::kInvalidOffset ? 0 : plane.offset;
        size_t within = apart ? 0 : behind, bytes = size_t{colours[i].stride} * colours[i].rows;
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

static void view_close(buffer_view *view)
{
    for (unsigned i = 0; i < view->map_count; i++)
        dma_map_close(&view->map[i]);
    *view = {};
}

static void view_begin(const buffer_view &view)
{
    for (unsigned i = 0; i < view.map_count; i++)
        dma_map_begin(&view.map[i]);
}

static void view_end(const buffer_view &view)
{
    for (unsigned i = 0; i < view.map_count; i++)
        dma_map_end(&view.map[i]);
}

#endif
