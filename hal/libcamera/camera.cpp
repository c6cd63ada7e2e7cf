// SPDX-License-Identifier: MIT
// The camera contract on libcamera: with the .hpp parts it includes, the only C++ of the project.
// libcamera's own threads run on_completed() and on_disconnected(), everything else runs on the
// loop's thread. No exception leaves an entry, and threads that libcamera starts have all signals
// blocked.
#include <libcamera/libcamera.h>
#if __has_include(<libcamera/orientation.h>)
#include <libcamera/orientation.h>
#define HAS_ORIENTATION 1
#else
#define HAS_ORIENTATION 0
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <ostream>
#include <streambuf>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "hal/camera.h"
#include "hal/os/clock.h"
#include "hal/os/log.h"
}
#include "hal/libcamera/claim.h"
#include "hal/libcamera/dma_memory.h"
#include "hal/libcamera/faults.h"
#include "hal/libcamera/features.h"
#include "hal/libcamera/frame_ticks.h"
#include "hal/libcamera/load.h"
#include "hal/libcamera/pick.h"
#include "hal/libcamera/ring.h"

using namespace libcamera;

#include "hal/libcamera/describe.hpp"

#include "hal/libcamera/buffers.hpp"
#include "hal/libcamera/controls.hpp"
#include "hal/libcamera/log.hpp"
// These two stand on those four.
#include "hal/libcamera/state.hpp"

#include "hal/libcamera/open.hpp"

namespace
{

// --- configure ----------------------------------------------------------------------------------

// The wished format if the camera has it, else the first it has in order of preference.
const format_row *choose_format(const std::vector<PixelFormat> &offered, hal_pixel_format wanted)
{
    const format_row *chosen = nullptr;
    for (const format_row &row : format_rows())
        if (contains(offered, row.pixel) && (chosen == nullptr || row.hal == wanted))
            chosen = &row;
    return chosen;
}

int choose_configuration(const hal_camera_config &want)
{
    b.config = default_configuration(*b.camera);
    if (!b.config)
        return fail(-EINVAL, "camera %s offers no video stream", b.info.id);
    StreamConfiguration &stream = b.config->at(0);
    const format_row *chosen = choose_format(stream.formats().pixelformats(), want.format);
    if (chosen == nullptr)
        return fail(-EINVAL, "camera %s offers none of YUV420, NV12, YUYV, MJPEG and GREY",
                    b.info.id);
    stream.pixelFormat = chosen->pixel;
    if (want.width > 0 && want.height > 0)
        stream.size = Size(want.width, want.height);
    stream.bufferCount = want.buffers > 0 ? want.buffers : DEFAULT_BUFFERS;
    if (chosen->hal != HAL_PIXEL_MJPEG)
        stream.colorSpace = ColorSpace::Sycc;
    set_orientation(b.config.get(), want.hflip, want.vflip);
    if (b.config->validate() == CameraConfiguration::Invalid || b.config->size() != 1 ||
        format_row_of(stream.pixelFormat) == nullptr)
        return fail(-EINVAL, "camera %s has nothing near %ux%u %s", b.info.id, want.width,
                    want.height, hal_pixel_format_name(chosen->hal));
    const Size size = stream.size;
    if (size.width % 2 != 0 || size.height % 2 != 0 || size.width > HAL_CAMERA_DIMENSION_MAX ||
        size.height > HAL_CAMERA_DIMENSION_MAX)
        return fail(-EINVAL, "camera %s makes only %ux%u of %ux%u", b.info.id, size.width,
                    size.height, want.width, want.height);
    return 0;
}

int apply_configuration()
{
    const StreamConfiguration &stream = b.config->at(0);
    int result = b.camera->configure(b.config.get());
    if (result == -EBUSY)
        return fail(-EIO, "camera %s is used by another program, one without libcamera", b.info.id);
    if (result < 0)
        return fail(result == -ENODEV ? -ENODEV : -EIO, "camera %s refuses %s: %s", b.info.id,
                    stream.toString().c_str(), strerror(-result));
    const auto &colour = stream.colorSpace;
    bool is_full = !colour || colour->range == ColorSpace::Range::Full;
    if (stream.pixelFormat != formats::MJPEG && !is_full && !b.colour_said) {
        log_info("camera %s: colours are %s, not full-range sYCC: contrast may look flat",
                 b.info.id, ColorSpace::toString(colour).c_str());
        b.colour_said = true;
    }
    return 0;
}

int make_slots()
{
    const StreamConfiguration &stream = b.config->at(0);
    b.allocator = std::make_unique<FrameBufferAllocator>(b.camera);
    int result = allocate_buffers(stream, !b.ticking, b.allocator.get(), &b.own_buffers);
    const buffer_list &buffers =
        b.own_buffers.empty() ? b.allocator->buffers(stream.stream()) : b.own_buffers;
    if (result < 0 || buffers.size() < 2)
        return fail(-ENOMEM, "camera %s: no buffers of %u bytes: %s", b.info.id, stream.frameSize,
                    strerror(result < 0 ? -result : ENOMEM));
    for (const auto &buffer : buffers) {
        if (b.slot_count == HAL_CAMERA_BUFFERS_MAX)
            break;
        slot &slot = b.slots[b.slot_count];
        slot.buffer = buffer.get();
        slot.request = b.camera->createRequest(b.slot_count++);
        if (!slot.request || slot.request->addBuffer(stream.stream(), slot.buffer) < 0)
            return fail(-EIO, "camera %s: libcamera makes no request", b.info.id);
        result = view_open(&slot.view, *slot.buffer, stream);
        if (result < 0)
            return fail(-EIO, "camera %s: buffers of %s cannot be mapped: %s", b.info.id,
                        stream.toString().c_str(), strerror(-result));
    }
    return 0;
}

// A camera that does not tell its frame durations gets the wish as its nominal rate.
double choose_framerate(double wanted)
{
    double rate = wanted > 0 ? wanted : DEFAULT_FRAMERATE;
    libcamera_feature *feature = libcamera_features_find(&b.features, "AcquisitionFrameRate");
    if (feature == nullptr)
        return rate;
    rate = std::clamp(rate, feature->hal.min, feature->hal.max);
    (void)libcamera_features_set(&b.features, static_cast<unsigned>(feature - b.features.feature),
                                 rate);
    return rate;
}

int configure_camera(const hal_camera_config &want, hal_camera_config *got)
{
    if (want.width > HAL_CAMERA_DIMENSION_MAX || want.height > HAL_CAMERA_DIMENSION_MAX)
        return fail(-EINVAL, "no picture is larger than %d", HAL_CAMERA_DIMENSION_MAX);
    const libcamera_features before = b.features;
    free_buffers();
    int result = choose_configuration(want);
    if (result == 0)
        result = apply_configuration();
    if (result == 0)
        result = make_slots();
    if (result < 0)
        return result;
    const StreamConfiguration &stream = b.config->at(0);
    bind_features(*b.camera, &b.features);
    libcamera_features_keep(&b.features, &before);
    b.got = hal_camera_config{};
    b.got.width = stream.size.width;
    b.got.height = stream.size.height;
    b.got.format = format_row_of(stream.pixelFormat)->hal;
    b.got.framerate = choose_framerate(want.framerate);
    b.got.buffers = b.slot_count;
    b.got.memory_bytes = want.memory_bytes;
    get_orientation(*b.config, &b.got);
    *got = b.got;
    return 0;
}

int entry_configure(const struct hal_camera_config *want, struct hal_camera_config *got) noexcept
{
    if (!b.camera || b.running.load())
        return fail(-EINVAL, "configure: the camera is %s", b.camera ? "streaming" : "not open");
    int result = guarded_slow("configure", [=] { return configure_camera(*want, got); });
    if (result < 0)
        (void)guarded_slow("configure", [] { return free_buffers(), 0; });
    return result;
}

// --- frames -------------------------------------------------------------------------------------

// Runs on libcamera's thread: copies what is needed and wakes the loop. No heap, no lock.
void complete(Request *request)
{
    if (!b.running.load(std::memory_order_acquire))
        return;
    libcamera_completion done = {};
    done.arrived_ns = clock_now_ns();
    done.slot = static_cast<uint32_t>(request->cookie());
    done.cancelled =
        request->status() == Request::RequestCancelled || libcamera_fault(FAULT_CANCEL);
    read_metadata(request->metadata(), &done);
    const slot &slot = b.slots[done.slot];
    const FrameMetadata &frame = slot.buffer->metadata();
    // Behind a camera without hardware this is not filled in by every version.
    if (!b.ticking) {
        done.sequence = frame.sequence;
        done.bytes = frame.planes().size() > 0 ? frame.planes()[0].bytesused : 0;
        if (done.timestamp_ns == 0)
            done.timestamp_ns = frame.timestamp;
    }
    done.torn = frame.status == FrameMetadata::FrameError || libcamera_fault(FAULT_TORN);
    if (libcamera_fault(FAULT_BOOTTIME))
        done.timestamp_ns += 86400 * NS_PER_S;
    if (libcamera_fault(FAULT_SILENCE))
        return;
    if (libcamera_ring_push(&b.ring, &done))
        (void)eventfd_write(b.event_fd, 1);
    if (libcamera_fault(FAULT_UNPLUG))
        on_disconnected();
}

void on_completed(Request *request) noexcept
{
    (void)guarded("completion", [=] { return complete(request), 0; });
}

int queue_slot(slot *slot)
{
    slot->request->reuse(Request::ReuseBuffers);
    if (b.features.changed)
        send_features(&b.features, &slot->request->controls());
    // libcamera 0.4 takes a frame for cancelled when its virtual pipeline left this as it was.
    const_cast<FrameMetadata &>(slot->buffer->metadata()).status = FrameMetadata::FrameSuccess;
    int result = b.camera->queueRequest(slot->request.get());
    if (result == 0)
        slot->state = SLOT_QUEUED;
    return result;
}

// What libcamera refuses shows at the next acquire().
void queue_or_break(slot *slot) noexcept
{
    int result = guarded("queue", [=] { return queue_slot(slot); });
    if (result == 0)
        return;
    b.broken = fail(result == -ENODEV ? -ENODEV : -EIO, "camera %s takes no more requests: %s",
                    b.info.id, strerror(-result));
    (void)eventfd_write(b.event_fd, 1);
}

slot *find_slot(slot_state state)
{
    for (unsigned i = 0; i < b.slot_count; i++)
        if (b.slots[i].state == state)
            return &b.slots[i];
    return nullptr;
}

void queue_ticks()
{
    slot *slot;
    while (b.broken == 0 && (slot = find_slot(SLOT_FREE)) != nullptr &&
           frame_ticks_take(&b.ticks, &slot->tick))
        queue_or_break(slot);
}

void tick()
{
    frame_ticks_look(&b.ticks);
    queue_ticks();
    // Everything is borrowed: a sensor would lose these frames. What is only late is kept.
    if (find_slot(SLOT_FREE) == nullptr && find_slot(SLOT_QUEUED) == nullptr)
        frame_ticks_drop(&b.ticks);
}

int start_camera()
{
    ControlList controls(b.camera->controls());
    libcamera_features_resend(&b.features);
    send_features(&b.features, &controls);
    b.clock = CLOCK_NOT_CHECKED;
    b.clock_offset_ns = 0;
    b.running.store(true);
    int result = libcamera_fault(FAULT_START) ? -EIO : b.camera->start(&controls);
    if (result < 0)
        return fail(b.unplugged.load() || result == -ENODEV ? -ENODEV : -EIO,
                    "camera %s does not start: %s", b.info.id, strerror(-result));
    // Some pipelines take no controls here (uvcvideo up to 0.4): the first request has them too.
    libcamera_features_resend(&b.features);
    if (b.ticking)
        return frame_ticks_start(&b.ticks, static_cast<uint64_t>(1e9 / b.got.framerate));
    for (unsigned i = 0; i < b.slot_count && b.broken == 0; i++)
        queue_or_break(&b.slots[i]);
    return b.broken;
}

int entry_start() noexcept
{
    if (b.slot_count == 0 || b.running.load())
        return fail(-EIO, "start: the camera is %s", b.running ? "streaming" : "not configured");
    if (b.unplugged.load())
        return fail(-ENODEV, "camera %s has been unplugged", b.info.id);
    int result = guarded_slow("start", [] { return start_camera(); });
    if (result < 0)
        entry_stop();
    return result;
}

// SensorTimestamp should be CLOCK_MONOTONIC; documents say BOOTTIME. The first frame after a start
// tells: its age on the right clock is small and not negative.
void check_clock(const libcamera_completion &done)
{
    constexpr int64_t early = 2'000'000, late = 2'000'000'000;
    struct timespec boot;
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t now = static_cast<int64_t>(clock_now_ns());
    int64_t asleep = boot.tv_sec * int64_t{NS_PER_S} + boot.tv_nsec - now;
    if (libcamera_fault(FAULT_BOOTTIME))
        asleep += 86400 * int64_t{NS_PER_S};
    int64_t age = static_cast<int64_t>(done.arrived_ns) - static_cast<int64_t>(done.timestamp_ns);
    if (age >= -early && age < late) {
        b.clock = CLOCK_IS_MONOTONIC;
    } else if (age + asleep >= -early && age + asleep < late) {
        b.clock = CLOCK_IS_BOOTTIME;
        b.clock_offset_ns = -asleep;
        log_info("camera %s: timestamps follow CLOCK_BOOTTIME, converted", b.info.id);
    } else {
        b.clock = CLOCK_IS_UNKNOWN;
        log_warning("camera %s: timestamps follow no clock of this system (age %lld ns): the time "
                    "of arrival stands in",
                    b.info.id, static_cast<long long>(age));
    }
}

uint32_t scaled(const libcamera_completion &done, libcamera_live live, double scale)
{
    double value = done.live[live] * scale;
    return value > 0 && value < 4e9 ? static_cast<uint32_t>(value + 0.5) : 0;
}

void fill_frame(const libcamera_completion &done, const slot &slot, hal_frame *out)
{
    *out = hal_frame{};
    out->buffer = done.slot;
    out->format = b.got.format;
    out->width = b.got.width;
    out->height = b.got.height;
    std::copy_n(slot.view.plane, slot.view.plane_count, out->plane);
    out->bytes = b.got.format == HAL_PIXEL_MJPEG
                     ? std::min(done.bytes, static_cast<uint32_t>(slot.view.map[0].bytes))
                     : 0;
    out->sensor_sequence = b.ticking ? slot.tick : done.sequence;
    if (b.clock == CLOCK_NOT_CHECKED)
        check_clock(done);
    out->timestamp_ns = b.clock == CLOCK_IS_UNKNOWN
                            ? done.arrived_ns
                            : done.timestamp_ns + static_cast<uint64_t>(b.clock_offset_ns);
    out->exposure_us = scaled(done, LIVE_EXPOSURE_US, 1);
    out->gain_milli = scaled(done, LIVE_GAIN, 1000);
    out->digital_gain_milli = scaled(done, LIVE_DIGITAL_GAIN, 1000);
    out->frame_duration_us = scaled(done, LIVE_DURATION_US, 1);
    out->colour_temperature_k = scaled(done, LIVE_TEMPERATURE_K, 1);
    out->lux_milli = scaled(done, LIVE_LUX, 1000);
    out->lens_position_milli = scaled(done, LIVE_LENS, 1000);
    out->flags = (done.torn ? unsigned{HAL_FRAME_TORN} : 0) |
                 (b.clock == CLOCK_IS_UNKNOWN ? unsigned{HAL_FRAME_NO_CLOCK} : 0);
}

// 1, 0 when there is none, -errno.
int take_completion(hal_frame *out)
{
    libcamera_completion done;
    while (b.broken == 0 && libcamera_ring_pop(&b.ring, &done)) {
        slot &slot = b.slots[done.slot];
        if (slot.state != SLOT_QUEUED)
            continue;
        if (done.cancelled) {
            slot.state = SLOT_FREE;
            b.broken =
                fail(-EIO, "camera %s cancelled its requests: the stream stalled", b.info.id);
            break;
        }
        slot.state = SLOT_BORROWED;
        view_begin(slot.view);
        fill_frame(done, slot, out);
        slot.timestamp_ns = out->timestamp_ns;
        libcamera_features_frame(&b.features, &done);
        libcamera_handed_over(done.arrived_ns);
        return 1;
    }
    return b.broken;
}

int entry_acquire(struct hal_frame *out) noexcept
{
    if (!b.running.load())
        return 0;
    if (b.unplugged.load())
        return fail(-ENODEV, "camera %s has been unplugged", b.info.id);
    if (libcamera_fault(FAULT_HALT))
        (void)guarded("fault", [] { return b.camera->stop(); });
    if (b.ticking)
        tick();
    int result = take_completion(out);
    if (result != 0)
        return result;
    // Empty: clear the readiness, then look once more for what came in between.
    eventfd_t news;
    (void)eventfd_read(b.event_fd, &news);
    return take_completion(out);
}

void entry_release(const struct hal_frame *frame) noexcept
{
    if (!b.running.load() || frame->buffer >= b.slot_count)
        return;
    slot &slot = b.slots[frame->buffer];
    if (slot.state != SLOT_BORROWED || slot.timestamp_ns != frame->timestamp_ns)
        return;
    view_end(slot.view);
    slot.state = SLOT_FREE;
    if (b.broken != 0 || b.unplugged.load())
        return;
    if (b.ticking)
        queue_ticks();
    else
        queue_or_break(&slot);
}

int entry_fd() noexcept
{
    return b.ticking ? b.epoll_fd : b.event_fd;
}

// --- features -----------------------------------------------------------------------------------

const struct hal_feature *entry_feature(unsigned index) noexcept
{
    return index < b.features.count ? &b.features.feature[index].hal : nullptr;
}

int entry_feature_get(unsigned index, double *value) noexcept
{
    return libcamera_features_get(&b.features, index, value);
}

int entry_feature_set(unsigned index, double value) noexcept
{
    int result = libcamera_features_set(&b.features, index, value);
    if (result < 0 || b.features.feature[index].row->part != PART_RATE)
        return result;
    b.got.framerate = value;
    if (b.ticking && b.running.load())
        result = frame_ticks_set_period(&b.ticks, static_cast<uint64_t>(1e9 / value));
    return result;
}

const char *entry_model() noexcept
{
    return b.camera ? b.info.model : "";
}

const char *entry_version() noexcept
{
    return CameraManager::version().c_str();
}

const char *entry_last_error() noexcept
{
    return b.error;
}

} // namespace

extern "C" const struct hal_camera_ops hal_camera_libcamera = {
    .name = "libcamera",
    .version = entry_version,
    .enumerate = entry_enumerate,
    .open = entry_open,
    .model = entry_model,
    .configure = entry_configure,
    .start = entry_start,
    .fd = entry_fd,
    .acquire = entry_acquire,
    .release = entry_release,
    .feature = entry_feature,
    .feature_get = entry_feature_get,
    .feature_set = entry_feature_set,
    .stop = entry_stop,
    .close = entry_close,
    .last_error = entry_last_error,
};

// For programs that link this file, as tests do: there is nothing to load.
const struct hal_camera_ops *camera_load_libcamera(void)
{
    return &hal_camera_libcamera;
}
