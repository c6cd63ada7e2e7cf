// SPDX-License-Identifier: MIT
// The backend's only state, its last error, and the guards around every entry: exceptions end here,
// signals stay out of threads that libcamera starts. Part of camera_libcamera.cpp, which includes
// libcamera and the other parts before it.
#ifndef PINHOLE_HAL_LIBCAMERA_STATE_HPP
#define PINHOLE_HAL_LIBCAMERA_STATE_HPP

namespace
{

constexpr double DEFAULT_FRAMERATE = 30;
constexpr unsigned DEFAULT_BUFFERS = 4;
// The camera list is taken afresh after so long when the wanted one is not in it: in a container no
// udev event announces a camera.
constexpr uint64_t LIST_FRESH_NS = 30 * NS_PER_S;

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_BORROWED };

struct slot {
    std::unique_ptr<Request> request;
    FrameBuffer *buffer;
    slot_state state;
    uint32_t tick;
    uint64_t timestamp_ns; // of the borrowed frame: a release() of an older one is not for this one
    buffer_view view;
};

enum clock_kind { CLOCK_NOT_CHECKED, CLOCK_IS_MONOTONIC, CLOCK_IS_BOOTTIME, CLOCK_IS_UNKNOWN };

struct backend {
    std::unique_ptr<CameraManager> manager;
    uint64_t manager_since_ns;
    std::shared_ptr<Camera> camera;
    std::unique_ptr<CameraConfiguration> config;
    std::unique_ptr<FrameBufferAllocator> allocator;
    buffer_list own_buffers;
    camera_choice choice;
    hal_camera_info info;
    hal_camera_config got;
    unsigned slot_count;
    slot slots[HAL_CAMERA_BUFFERS_MAX];
    libcamera_features features;
    libcamera_ring ring;
    bool ticking; // no hardware behind it and no clock: paced here
    frame_ticks ticks;
    int claim_fd, event_fd, epoll_fd;
    bool colour_said; // once per process is enough
    clock_kind clock;
    int64_t clock_offset_ns;
    int broken; // -errno that acquire() reports
    std::atomic<bool> running, unplugged;
    char error[384];
};

backend &make_backend()
{
    // Never destroyed: when the program exits, libcamera's own statics may already be gone.
    alignas(backend) static unsigned char storage[sizeof(backend)];
    backend *made = new (storage) backend{};
    made->claim_fd = made->event_fd = made->epoll_fd = made->ticks.fd = -1;
    return *made;
}
backend &b = make_backend();

__attribute__((format(printf, 2, 3))) int fail(int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(b.error, sizeof b.error, format, arguments);
    va_end(arguments);
    return error;
}

// Threads inherit the mask of the one that makes them.
class signals_blocked
{
    sigset_t before;

  public:
    signals_blocked()
    {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
    }
    ~signals_blocked()
    {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
};

template <typename F> int guarded(const char *what, F &&body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return fail(-ENOMEM, "libcamera: out of memory in %s", what);
    } catch (const std::exception &e) {
        return fail(-EIO, "libcamera: %s: %s", what, e.what());
    } catch (...) {
        return fail(-EIO, "libcamera: %s: unknown exception", what);
    }
}

template <typename F> int guarded_slow(const char *what, F &&body) noexcept
{
    signals_blocked blocked;
    return guarded(what, body);
}

} // namespace

#endif
