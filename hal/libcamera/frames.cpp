// SPDX-License-Identifier: MIT
#include "hal/libcamera/backend.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

extern "C" {
#include "hal/os/clock.h"
#include "hal/os/log.h"
}
#include "hal/libcamera/faults.h"

namespace pinhole
{

namespace
{

void wake(const frame_stream &stream)
{
    (void)eventfd_write(stream.event_fd, 1);
}

// --- on libcamera's thread ----------------------------------------------------------------------

void on_disconnected(frame_stream *stream) noexcept
{
    stream->is_unplugged.store(true);
    wake(*stream);
}

// Copies what is needed and wakes the loop. No heap, no lock.
void complete(frame_stream *stream, const buffer_pool &buffers, Request *request)
{
    if (!stream->is_running.load(std::memory_order_acquire))
        return;
    libcamera_completion done = {};
    done.arrived_ns = clock_now_ns();
    done.slot = static_cast<uint32_t>(request->cookie());
    done.is_cancelled =
        request->status() == Request::RequestCancelled || libcamera_fault(FAULT_CANCEL);
    controls_read(request->metadata(), &done);
    const FrameMetadata &frame = buffers.slots[done.slot].buffer->metadata();
    // Not every version fills this in for a camera without hardware.
    if (!stream->is_ticking) {
        done.sequence = frame.sequence;
        done.bytes = frame.planes().size() > 0 ? frame.planes()[0].bytesused : 0;
        if (done.timestamp_ns == 0)
            done.timestamp_ns = frame.timestamp;
    }
    done.is_torn = frame.status == FrameMetadata::FrameError || libcamera_fault(FAULT_TORN);
    if (libcamera_fault(FAULT_BOOTTIME))
        done.timestamp_ns += 86400 * NS_PER_S;
    if (libcamera_fault(FAULT_SILENCE))
        return;
    if (libcamera_ring_push(&stream->ring, &done))
        wake(*stream);
    if (libcamera_fault(FAULT_UNPLUG))
        on_disconnected(stream);
}

// A completion that is lost to an exception shows as a stall, which the node recovers from.
void on_completed(frame_stream *stream, const buffer_pool &buffers, Request *request) noexcept
{
    try {
        complete(stream, buffers, request);
    } catch (...) {
        log_error("libcamera: a frame is lost to an exception");
    }
}

// --- on the loop's thread -----------------------------------------------------------------------

// The loop watches one descriptor; where ticks are needed it is an epoll set of two.
int open_ticks(frame_stream *stream)
{
    int result = frame_ticks_open(&stream->ticks);
    if (result < 0)
        return result;
    stream->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event readable = {};
    readable.events = EPOLLIN;
    if (stream->epoll_fd < 0 ||
        epoll_ctl(stream->epoll_fd, EPOLL_CTL_ADD, stream->event_fd, &readable) < 0 ||
        epoll_ctl(stream->epoll_fd, EPOLL_CTL_ADD, stream->ticks.fd, &readable) < 0)
        return -errno;
    return 0;
}

void close_descriptor(int *fd)
{
    if (*fd >= 0)
        (void)::close(*fd);
    *fd = -1;
}

int queue_slot(session *session, slot *slot)
{
    slot->request->reuse(Request::ReuseBuffers);
    if (session->features.is_changed)
        controls_send(&session->features, &slot->request->controls());
    // libcamera 0.4 takes a frame for cancelled when its virtual pipeline left this as it was.
    const_cast<FrameMetadata &>(slot->buffer->metadata()).status = FrameMetadata::FrameSuccess;
    int result = session->camera->queueRequest(slot->request.get());
    if (result == 0)
        slot->state = SLOT_QUEUED;
    return result;
}

// What libcamera refuses shows at the next acquire().
void queue_or_break(session *session, slot *slot) noexcept
{
    int result;
    try {
        result = queue_slot(session, slot);
    } catch (...) {
        result = -EIO;
    }
    if (result == 0)
        return;
    session->stream.broken =
        fail(session->why, result == -ENODEV ? -ENODEV : -EIO,
             "camera %s takes no more requests: %s", session->info.id, strerror(-result));
    wake(session->stream);
}

void queue_ticks(session *session)
{
    slot *slot;
    while (session->stream.broken == 0 &&
           (slot = buffers_find(&session->buffers, SLOT_FREE)) != nullptr &&
           frame_ticks_take(&session->stream.ticks, &slot->tick))
        queue_or_break(session, slot);
}

void tick(session *session)
{
    frame_ticks_look(&session->stream.ticks);
    queue_ticks(session);
    // Everything is borrowed: a sensor would lose these frames. What is only late is kept.
    if (buffers_find(&session->buffers, SLOT_FREE) == nullptr &&
        buffers_find(&session->buffers, SLOT_QUEUED) == nullptr)
        frame_ticks_drop(&session->stream.ticks);
}

// SensorTimestamp should be CLOCK_MONOTONIC; documents say BOOTTIME. The first frame after a start
// decides: on the right clock its age is small and not negative.
void check_clock(frame_stream *stream, const char *id, const libcamera_completion &done)
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
        stream->clock = CLOCK_IS_MONOTONIC;
    } else if (age + asleep >= -early && age + asleep < late) {
        stream->clock = CLOCK_IS_BOOTTIME;
        stream->clock_offset_ns = -asleep;
        log_info("camera %s: timestamps follow CLOCK_BOOTTIME, converted", id);
    } else {
        stream->clock = CLOCK_IS_UNKNOWN;
        log_warning("camera %s: timestamps follow no clock of this system (age %lld ns), using the "
                    "time of arrival",
                    id, static_cast<long long>(age));
    }
}

uint32_t scaled(const libcamera_completion &done, libcamera_live live, double scale)
{
    double value = done.live[live] * scale;
    return value > 0 && value < 4e9 ? static_cast<uint32_t>(std::lround(value)) : 0;
}

void fill_frame(session *session, const libcamera_completion &done, const slot &slot,
                hal_frame *out)
{
    frame_stream *stream = &session->stream;
    const hal_camera_config &got = session->got;
    *out = hal_frame{};
    out->buffer = done.slot;
    out->format = got.format;
    out->width = got.width;
    out->height = got.height;
    std::copy_n(slot.view.plane, slot.view.plane_count, out->plane);
    out->bytes = got.format == HAL_PIXEL_MJPEG
                     ? std::min(done.bytes, static_cast<uint32_t>(slot.view.map[0].bytes))
                     : 0;
    out->sensor_sequence = stream->is_ticking ? slot.tick : done.sequence;
    if (stream->clock == CLOCK_NOT_CHECKED)
        check_clock(stream, session->info.id, done);
    out->timestamp_ns = stream->clock == CLOCK_IS_UNKNOWN
                            ? done.arrived_ns
                            : done.timestamp_ns + static_cast<uint64_t>(stream->clock_offset_ns);
    out->exposure_us = scaled(done, LIVE_EXPOSURE_US, 1);
    out->gain_milli = scaled(done, LIVE_GAIN, 1000);
    out->digital_gain_milli = scaled(done, LIVE_DIGITAL_GAIN, 1000);
    out->frame_duration_us = scaled(done, LIVE_DURATION_US, 1);
    out->colour_temperature_k = scaled(done, LIVE_TEMPERATURE_K, 1);
    out->lux_milli = scaled(done, LIVE_LUX, 1000);
    out->lens_position_milli = scaled(done, LIVE_LENS, 1000);
    out->flags = (done.is_torn ? unsigned{HAL_FRAME_TORN} : 0) |
                 (stream->clock == CLOCK_IS_UNKNOWN ? unsigned{HAL_FRAME_NO_CLOCK} : 0);
}

// 1, 0 when there is none, -errno.
int take_completion(session *session, hal_frame *out)
{
    frame_stream *stream = &session->stream;
    libcamera_completion done;
    while (stream->broken == 0 && libcamera_ring_pop(&stream->ring, &done)) {
        slot &slot = session->buffers.slots[done.slot];
        if (slot.state != SLOT_QUEUED)
            continue;
        if (done.is_cancelled) {
            slot.state = SLOT_FREE;
            stream->broken =
                fail(session->why, -EIO, "camera %s cancelled its requests: the stream stalled",
                     session->info.id);
            break;
        }
        slot.state = SLOT_BORROWED;
        view_begin(slot.view);
        fill_frame(session, done, slot, out);
        slot.timestamp_ns = out->timestamp_ns;
        libcamera_features_frame(&session->features, &done);
        libcamera_handed_over(done.arrived_ns);
        return 1;
    }
    return stream->broken;
}

uint64_t period_ns(double framerate)
{
    return static_cast<uint64_t>(1e9 / framerate);
}

} // namespace

int frames_open(session *session)
{
    frame_stream *stream = &session->stream;
    stream->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stream->event_fd < 0)
        return -errno;
    stream->is_ticking = !camera_has_devices(*session->camera);
    if (stream->is_ticking) {
        int result = open_ticks(stream);
        if (result < 0)
            return result;
    }
    const buffer_pool *buffers = &session->buffers;
    session->camera->requestCompleted.connect(
        stream, [=](Request *request) { on_completed(stream, *buffers, request); });
    session->camera->disconnected.connect(stream, [=] { on_disconnected(stream); });
    return 0;
}

void frames_close(session *session)
{
    frame_stream *stream = &session->stream;
    if (session->camera) {
        session->camera->requestCompleted.disconnect(stream);
        session->camera->disconnected.disconnect(stream);
    }
    frame_ticks_close(&stream->ticks);
    close_descriptor(&stream->epoll_fd);
    close_descriptor(&stream->event_fd);
    stream->is_unplugged.store(false);
}

int frames_fd(const frame_stream &stream)
{
    return stream.is_ticking ? stream.epoll_fd : stream.event_fd;
}

int frames_start(session *session)
{
    frame_stream *stream = &session->stream;
    ControlList controls(session->camera->controls());
    libcamera_features_resend(&session->features);
    controls_send(&session->features, &controls);
    stream->clock = CLOCK_NOT_CHECKED;
    stream->clock_offset_ns = 0;
    stream->is_running.store(true);
    int result = libcamera_fault(FAULT_START) ? -EIO : session->camera->start(&controls);
    if (result < 0)
        return fail(session->why, stream->is_unplugged.load() || result == -ENODEV ? -ENODEV : -EIO,
                    "camera %s does not start: %s", session->info.id, strerror(-result));
    // Some pipelines take no controls here (uvcvideo up to 0.4): the first request has them too.
    libcamera_features_resend(&session->features);
    if (stream->is_ticking)
        return frame_ticks_start(&stream->ticks, period_ns(session->got.framerate));
    for (unsigned i = 0; i < session->buffers.slot_count && stream->broken == 0; i++)
        queue_or_break(session, &session->buffers.slots[i]);
    return stream->broken;
}

void frames_stop(session *session)
{
    frame_stream *stream = &session->stream;
    stream->is_running.store(false);
    // An unplugged camera never completes what it holds; closing frees its requests.
    if (session->camera)
        (void)session->camera->stop();
    if (stream->ticks.fd >= 0)
        frame_ticks_stop(&stream->ticks);
    for (unsigned i = 0; i < session->buffers.slot_count; i++) {
        slot &slot = session->buffers.slots[i];
        if (slot.state == SLOT_BORROWED)
            view_end(slot.view);
        slot.state = SLOT_FREE;
    }
    stream->ring.head = stream->ring.tail = 0;
    stream->broken = 0;
    eventfd_t news;
    if (stream->event_fd >= 0 && !stream->is_unplugged.load())
        (void)eventfd_read(stream->event_fd, &news);
}

int frames_set_rate(session *session, double framerate)
{
    frame_stream *stream = &session->stream;
    session->got.framerate = framerate;
    if (!stream->is_ticking || !stream->is_running.load())
        return 0;
    return frame_ticks_set_period(&stream->ticks, period_ns(framerate));
}

int frames_acquire(session *session, hal_frame *out)
{
    frame_stream *stream = &session->stream;
    if (!stream->is_running.load())
        return 0;
    if (stream->is_unplugged.load())
        return fail(session->why, -ENODEV, "camera %s has been unplugged", session->info.id);
    if (libcamera_fault(FAULT_HALT))
        (void)session->camera->stop();
    if (stream->is_ticking)
        tick(session);
    int result = take_completion(session, out);
    if (result != 0)
        return result;
    // Empty: clear the readiness, then look once more for what came in between.
    eventfd_t news;
    (void)eventfd_read(stream->event_fd, &news);
    return take_completion(session, out);
}

void frames_release(session *session, const hal_frame *frame)
{
    frame_stream *stream = &session->stream;
    if (!stream->is_running.load() || frame->buffer >= session->buffers.slot_count)
        return;
    slot &slot = session->buffers.slots[frame->buffer];
    if (slot.state != SLOT_BORROWED || slot.timestamp_ns != frame->timestamp_ns)
        return;
    view_end(slot.view);
    slot.state = SLOT_FREE;
    if (stream->broken != 0 || stream->is_unplugged.load())
        return;
    if (stream->is_ticking)
        queue_ticks(session);
    else
        queue_or_break(session, &slot);
}

} // namespace pinhole
