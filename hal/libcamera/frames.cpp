// SPDX-License-Identifier: MIT
// Finding a camera, taking it, giving it back. Part of camera_libcamera.cpp, which includes
// libcamera and the other parts before it.
#ifndef PINHOLE_HAL_LIBCAMERA_OPEN_HPP
#define PINHOLE_HAL_LIBCAMERA_OPEN_HPP

namespace
{

int manager_start()
{
    if (b.manager)
        return 0;
    // The first call into libcamera's log reads the levels.
    (void)setenv("LIBCAMERA_LOG_LEVELS", "*:WARN", 0);
    take_libcamera_log();
    auto manager = std::make_unique<CameraManager>();
    int result = manager->start();
    if (result < 0)
        return fail(-EIO, "libcamera %s does not start: %s", CameraManager::version().c_str(),
                    strerror(-result));
    b.manager = std::move(manager);
    b.manager_since_ns = clock_now_ns();
    return 0;
}

// By id, so that an index means the same camera as long as none comes or goes.
std::vector<std::shared_ptr<Camera>> list_cameras()
{
    std::vector<std::shared_ptr<Camera>> cameras;
    for (const std::shared_ptr<Camera> &camera : b.manager->cameras())
        cameras.push_back(camera);
    std::sort(cameras.begin(), cameras.end(),
              [](const auto &left, const auto &right) { return left->id() < right->id(); });
    return cameras;
}

int entry_enumerate(struct hal_camera_info *out, int max) noexcept
{
    return guarded_slow("enumerate", [=] {
        int result = manager_start();
        if (result < 0)
            return result;
        int count = 0;
        for (const std::shared_ptr<Camera> &camera : list_cameras()) {
            if (count < max && camera == b.camera)
                out[count] = b.info; // a running camera is not asked
            else if (count < max)
                describe_camera(*camera, &out[count]);
            count++;
        }
        return count;
    });
}

void on_completed(Request *request) noexcept;

// Runs on libcamera's thread.
void on_disconnected() noexcept
{
    b.unplugged.store(true);
    (void)eventfd_write(b.event_fd, 1);
}

int pick_camera(const char *spec, std::shared_ptr<Camera> *out)
{
    const auto cameras = list_cameras();
    std::vector<std::string> models;
    std::vector<camera_name> names;
    for (const auto &camera : cameras)
        models.push_back(model_of(*camera));
    for (size_t i = 0; i < cameras.size(); i++)
        names.push_back({cameras[i]->id().c_str(), models[i].c_str()});
    if (libcamera_fault(FAULT_ABSENT))
        return fail(-ENODEV, "camera '%s' is not there: a fault was asked for", spec);
    int index = camera_pick(names.data(), static_cast<unsigned>(names.size()), spec, &b.choice,
                            b.error, sizeof b.error);
    if (index < 0)
        return index;
    *out = cameras[static_cast<size_t>(index)];
    return 0;
}

int take_camera(const std::shared_ptr<Camera> &camera)
{
    int owner = 0;
    const char *id = camera->id().c_str();
    b.claim_fd = camera_claim(id, &owner);
    if (b.claim_fd == -EBUSY && owner > 0)
        return fail(-EBUSY, "camera %s is taken by process %d: only one program can have it", id,
                    owner);
    if (b.claim_fd < 0)
        return fail(b.claim_fd, "camera %s cannot be claimed: %s", id, strerror(-b.claim_fd));
    int result = camera->acquire();
    if (result == -EBUSY)
        return fail(-EBUSY, "camera %s is taken by another program that uses libcamera", id);
    if (result < 0)
        return fail(result == -ENODEV ? -ENODEV : -EIO, "camera %s cannot be taken: %s", id,
                    strerror(-result));
    b.camera = camera;
    return 0;
}

// The loop watches one descriptor; where ticks are needed it is an epoll set of two.
int open_descriptors()
{
    b.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (b.event_fd < 0)
        return -errno;
    b.ticking = !has_devices(*b.camera);
    if (!b.ticking)
        return 0;
    int result = frame_ticks_open(&b.ticks);
    if (result < 0)
        return result;
    b.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event readable = {};
    readable.events = EPOLLIN;
    if (b.epoll_fd < 0 || epoll_ctl(b.epoll_fd, EPOLL_CTL_ADD, b.event_fd, &readable) < 0 ||
        epoll_ctl(b.epoll_fd, EPOLL_CTL_ADD, b.ticks.fd, &readable) < 0)
        return -errno;
    return 0;
}

void close_descriptor(int *fd)
{
    if (*fd >= 0)
        (void)::close(*fd);
    *fd = -1;
}

void free_buffers()
{
    for (unsigned i = 0; i < b.slot_count; i++) {
        view_close(&b.slots[i].view);
        b.slots[i] = slot{};
    }
    b.slot_count = 0;
    b.own_buffers.clear();
    b.allocator.reset();
}

void release_all()
{
    if (b.camera) {
        b.camera->requestCompleted.disconnect();
        b.camera->disconnected.disconnect();
    }
    free_buffers();
    b.config.reset();
    if (b.camera)
        (void)b.camera->release();
    b.camera.reset();
    libcamera_features_clear(&b.features);
    frame_ticks_close(&b.ticks);
    close_descriptor(&b.epoll_fd);
    close_descriptor(&b.event_fd);
    close_descriptor(&b.claim_fd);
    b.unplugged.store(false);
}

int open_camera(const char *spec)
{
    std::shared_ptr<Camera> camera;
    if (b.manager && clock_now_ns() - b.manager_since_ns > LIST_FRESH_NS)
        b.manager.reset();
    int result = manager_start();
    if (result == 0)
        result = pick_camera(spec, &camera);
    if (result == 0)
        result = take_camera(camera);
    if (result < 0)
        return result;
    result = open_descriptors();
    if (result < 0)
        return fail(-EIO, "camera %s: no descriptors: %s", camera->id().c_str(), strerror(-result));
    describe_camera(*camera, &b.info);
    camera->requestCompleted.connect(&on_completed);
    camera->disconnected.connect(&on_disconnected);
    (void)snprintf(b.choice.spec, sizeof b.choice.spec, "%s", spec);
    (void)snprintf(b.choice.id, sizeof b.choice.id, "%s", camera->id().c_str());
    return 0;
}

int entry_open(const char *spec) noexcept
{
    if (b.camera)
        return fail(-EBUSY, "camera %s is open already", b.info.id);
    int result = guarded_slow("open", [=] { return open_camera(spec); });
    if (result < 0)
        (void)guarded_slow("open", [] { return release_all(), 0; });
    return result;
}

void entry_stop() noexcept
{
    (void)guarded_slow("stop", [] {
        b.running.store(false);
        // An unplugged camera never completes what it holds: close() frees its requests.
        if (b.camera)
            (void)b.camera->stop();
        if (b.ticks.fd >= 0)
            frame_ticks_stop(&b.ticks);
        for (unsigned i = 0; i < b.slot_count; i++) {
            if (b.slots[i].state == SLOT_BORROWED)
                view_end(b.slots[i].view);
            b.slots[i].state = SLOT_FREE;
        }
        b.ring.head = b.ring.tail = 0;
        b.broken = 0;
        eventfd_t news;
        if (b.event_fd >= 0 && !b.unplugged.load())
            (void)eventfd_read(b.event_fd, &news);
        return 0;
    });
}

void entry_close() noexcept
{
    entry_stop();
    (void)guarded_slow("close", [] {
        release_all();
        b.manager.reset();
        return 0;
    });
}

} // namespace

#endif
