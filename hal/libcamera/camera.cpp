// SPDX-License-Identifier: MIT
// The camera contract on libcamera: the entries, and the life of a session. No exception leaves an
// entry. Threads that libcamera starts have all signals blocked.
#include "hal/libcamera/backend.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <unistd.h>

extern "C" {
#include "hal/feature.h"
#include "hal/os/log.h"
}
#include "hal/libcamera/claim.h"
#include "hal/libcamera/load.h"

namespace pinhole
{

int fail(failure *why, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
    return error;
}

namespace
{

constexpr double DEFAULT_FRAMERATE = 30;
constexpr unsigned DEFAULT_BUFFERS = 4;

// --- open and close -----------------------------------------------------------------------------

int take_camera(session *session, const std::shared_ptr<Camera> &camera)
{
    int owner = 0;
    const char *id = camera->id().c_str();
    session->claim_fd = camera_claim(id, &owner);
    if (session->claim_fd == -EBUSY && owner > 0)
        return fail(session->why, -EBUSY,
                    "camera %s is taken by process %d: only one program can have it", id, owner);
    if (session->claim_fd < 0)
        return fail(session->why, session->claim_fd, "camera %s cannot be claimed: %s", id,
                    strerror(-session->claim_fd));
    int result = camera->acquire();
    if (result == -EBUSY)
        return fail(session->why, -EBUSY,
                    "camera %s is taken by another program that uses libcamera", id);
    if (result < 0)
        return fail(session->why, result == -ENODEV ? -ENODEV : -EIO,
                    "camera %s cannot be taken: %s", id, strerror(-result));
    session->camera = camera;
    return 0;
}

int open_camera(library *library, session *session, const char *spec)
{
    std::shared_ptr<Camera> camera;
    if (library_is_stale(*library))
        library_stop(library);
    int result = library_start(library, session->why);
    if (result == 0)
        result = library_pick(library, spec, &camera, session->why);
    if (result == 0)
        result = take_camera(session, camera);
    if (result < 0)
        return result;
    result = frames_open(session);
    if (result < 0)
        return fail(session->why, -EIO, "camera %s: no descriptors: %s", camera->id().c_str(),
                    strerror(-result));
    camera_describe(*camera, &session->info);
    (void)snprintf(library->choice.spec, sizeof library->choice.spec, "%s", spec);
    (void)snprintf(library->choice.id, sizeof library->choice.id, "%s", camera->id().c_str());
    return 0;
}

void close_camera(session *session)
{
    frames_close(session);
    buffers_free(&session->buffers);
    session->config.reset();
    if (session->camera)
        (void)session->camera->release();
    session->camera.reset();
    libcamera_features_clear(&session->features);
    if (session->claim_fd >= 0)
        (void)::close(session->claim_fd);
    session->claim_fd = -1;
}

// --- configure ----------------------------------------------------------------------------------

int choose_configuration(session *session, const hal_camera_config &want)
{
    const char *id = session->info.id;
    session->config = camera_configuration(*session->camera);
    if (!session->config)
        return fail(session->why, -EINVAL, "camera %s offers no video stream", id);
    StreamConfiguration &stream = session->config->at(0);
    const format_row *chosen = format_choose(stream.formats().pixelformats(), want.format);
    if (chosen == nullptr)
        return fail(session->why, -EINVAL,
                    "camera %s offers none of YUV420, NV12, YUYV, MJPEG and GREY", id);
    stream.pixelFormat = chosen->pixel;
    if (want.width > 0 && want.height > 0)
        stream.size = Size(want.width, want.height);
    stream.bufferCount = want.buffers > 0 ? want.buffers : DEFAULT_BUFFERS;
    if (chosen->hal != HAL_PIXEL_MJPEG)
        stream.colorSpace = ColorSpace::Sycc;
    orientation_set(session->config.get(), want.hflip, want.vflip);
    if (session->config->validate() == CameraConfiguration::Invalid ||
        session->config->size() != 1 || format_find(stream.pixelFormat) == nullptr)
        return fail(session->why, -EINVAL, "camera %s has nothing near %ux%u %s", id, want.width,
                    want.height, hal_pixel_format_name(chosen->hal));
    const Size size = stream.size;
    if (size.width % 2 != 0 || size.height % 2 != 0 || size.width > HAL_CAMERA_DIMENSION_MAX ||
        size.height > HAL_CAMERA_DIMENSION_MAX)
        return fail(session->why, -EINVAL, "camera %s makes only %ux%u of %ux%u", id, size.width,
                    size.height, want.width, want.height);
    return 0;
}

int apply_configuration(session *session)
{
    static bool said_colour; // once per process is enough
    const StreamConfiguration &stream = session->config->at(0);
    int result = session->camera->configure(session->config.get());
    if (result == -EBUSY)
        return fail(session->why, -EIO,
                    "camera %s is used by another program, one without libcamera",
                    session->info.id);
    if (result < 0)
        return fail(session->why, result == -ENODEV ? -ENODEV : -EIO, "camera %s refuses %s: %s",
                    session->info.id, stream.toString().c_str(), strerror(-result));
    const auto &colour = stream.colorSpace;
    bool is_full = !colour || colour->range == ColorSpace::Range::Full;
    if (stream.pixelFormat != formats::MJPEG && !is_full && !said_colour) {
        log_info("camera %s: colours are %s, not full-range sYCC: contrast may look flat",
                 session->info.id, ColorSpace::toString(colour).c_str());
        said_colour = true;
    }
    return 0;
}

// A camera that does not tell its frame durations gets the wish as its nominal rate.
double choose_framerate(libcamera_features *features, double wanted)
{
    double rate = wanted > 0 ? wanted : DEFAULT_FRAMERATE;
    libcamera_feature *feature = libcamera_features_find(features, "AcquisitionFrameRate");
    if (feature == nullptr)
        return rate;
    rate = hal_feature_clamp(&feature->hal, rate);
    (void)libcamera_features_set(features, static_cast<unsigned>(feature - features->feature),
                                 rate);
    return rate;
}

int configure_camera(session *session, const hal_camera_config &want, hal_camera_config *got)
{
    if (want.width > HAL_CAMERA_DIMENSION_MAX || want.height > HAL_CAMERA_DIMENSION_MAX)
        return fail(session->why, -EINVAL, "no picture is larger than %d",
                    HAL_CAMERA_DIMENSION_MAX);
    const libcamera_features before = session->features;
    buffers_free(&session->buffers);
    int result = choose_configuration(session, want);
    if (result == 0)
        result = apply_configuration(session);
    if (result < 0)
        return result;
    const StreamConfiguration &stream = session->config->at(0);
    result = buffers_make(&session->buffers, session->camera, stream, !session->stream.is_ticking,
                          session->why);
    if (result < 0)
        return result;
    controls_bind(*session->camera, &session->features);
    libcamera_features_keep(&session->features, &before);
    *got = hal_camera_config{};
    got->width = stream.size.width;
    got->height = stream.size.height;
    got->format = format_find(stream.pixelFormat)->hal;
    got->framerate = choose_framerate(&session->features, want.framerate);
    got->buffers = session->buffers.slot_count;
    got->memory_bytes = want.memory_bytes;
    orientation_get(*session->config, got);
    session->got = *got;
    return 0;
}

int enumerate_cameras(library *library, const session &session, hal_camera_info *out, int max)
{
    int result = library_start(library, session.why);
    if (result < 0)
        return result;
    int count = 0;
    for (const std::shared_ptr<Camera> &camera : library_cameras(*library)) {
        if (count < max && camera == session.camera)
            out[count] = session.info; // a running camera is not asked
        else if (count < max)
            camera_describe(*camera, &out[count]);
        count++;
    }
    return count;
}

// --- the entries --------------------------------------------------------------------------------

struct backend {
    library lib;
    session open;
    failure why;
};

// The contract's operations take no handle, so here is the one instance. Never destroyed: when the
// program exits, libcamera's own statics may already be gone.
backend &the()
{
    static backend *const made = new backend;
    made->open.why = &made->why;
    return *made;
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
    signals_blocked blocked;
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return fail(&the().why, -ENOMEM, "libcamera: out of memory in %s", what);
    } catch (const std::exception &e) {
        return fail(&the().why, -EIO, "libcamera: %s: %s", what, e.what());
    } catch (...) {
        return fail(&the().why, -EIO, "libcamera: %s: unknown exception", what);
    }
}

const char *entry_version() noexcept
{
    return CameraManager::version().c_str();
}

int entry_enumerate(struct hal_camera_info *out, int max) noexcept
{
    backend &b = the();
    return guarded("enumerate", [&] { return enumerate_cameras(&b.lib, b.open, out, max); });
}

int entry_open(const char *spec) noexcept
{
    backend &b = the();
    if (b.open.camera)
        return fail(&b.why, -EBUSY, "camera %s is open already", b.open.info.id);
    int result = guarded("open", [&] { return open_camera(&b.lib, &b.open, spec); });
    if (result < 0)
        (void)guarded("open", [&] { return close_camera(&b.open), 0; });
    return result;
}

const char *entry_model() noexcept
{
    return the().open.camera ? the().open.info.model : "";
}

int entry_configure(const struct hal_camera_config *want, struct hal_camera_config *got) noexcept
{
    session *session = &the().open;
    if (!session->camera || session->stream.is_running.load())
        return fail(session->why, -EINVAL, "configure: the camera is %s",
                    session->camera ? "streaming" : "not open");
    int result = guarded("configure", [&] { return configure_camera(session, *want, got); });
    if (result < 0)
        (void)guarded("configure", [&] { return buffers_free(&session->buffers), 0; });
    return result;
}

void entry_stop() noexcept
{
    (void)guarded("stop", [] { return frames_stop(&the().open), 0; });
}

int entry_start() noexcept
{
    session *session = &the().open;
    if (session->buffers.slot_count == 0 || session->stream.is_running.load())
        return fail(session->why, -EIO, "start: the camera is %s",
                    session->stream.is_running ? "streaming" : "not configured");
    if (session->stream.is_unplugged.load())
        return fail(session->why, -ENODEV, "camera %s has been unplugged", session->info.id);
    int result = guarded("start", [&] { return frames_start(session); });
    if (result < 0)
        entry_stop();
    return result;
}

int entry_fd() noexcept
{
    return frames_fd(the().open.stream);
}

int entry_acquire(struct hal_frame *out) noexcept
{
    return frames_acquire(&the().open, out);
}

void entry_release(const struct hal_frame *frame) noexcept
{
    frames_release(&the().open, frame);
}

const struct hal_feature *entry_feature(unsigned index) noexcept
{
    const libcamera_features &features = the().open.features;
    return index < features.count ? &features.feature[index].hal : nullptr;
}

int entry_feature_get(unsigned index, double *value) noexcept
{
    return libcamera_features_get(&the().open.features, index, value);
}

int entry_feature_set(unsigned index, double value) noexcept
{
    session *session = &the().open;
    int result = libcamera_features_set(&session->features, index, value);
    if (result < 0 || session->features.feature[index].row->part != PART_RATE)
        return result;
    return frames_set_rate(session, value);
}

void entry_close() noexcept
{
    entry_stop();
    (void)guarded("close", [] {
        close_camera(&the().open);
        library_stop(&the().lib);
        return 0;
    });
}

const char *entry_last_error() noexcept
{
    return the().why.text;
}

} // namespace

} // namespace pinhole

extern "C" const struct hal_camera_ops hal_camera_libcamera = {
    .name = "libcamera",
    .version = pinhole::entry_version,
    .enumerate = pinhole::entry_enumerate,
    .open = pinhole::entry_open,
    .model = pinhole::entry_model,
    .configure = pinhole::entry_configure,
    .start = pinhole::entry_start,
    .fd = pinhole::entry_fd,
    .acquire = pinhole::entry_acquire,
    .release = pinhole::entry_release,
    .feature = pinhole::entry_feature,
    .feature_get = pinhole::entry_feature_get,
    .feature_set = pinhole::entry_feature_set,
    .stop = pinhole::entry_stop,
    .close = pinhole::entry_close,
    .last_error = pinhole::entry_last_error,
};

// For programs that link this backend, as tests do: there is nothing to load.
const struct hal_camera_ops *camera_load_libcamera(void)
{
    return &hal_camera_libcamera;
}
