// SPDX-License-Identifier: MIT
// The parts of the libcamera backend, and what each of its files does with them. Private to
// hal/libcamera/*.cpp, the only C++ of the project.
//
// libcamera's own threads call the two handlers that frames.cpp connects. Everything else runs on
// the loop's thread. camera.cpp owns all state and hands each file the part that it works on.
#ifndef PINHOLE_HAL_LIBCAMERA_BACKEND_HPP
#define PINHOLE_HAL_LIBCAMERA_BACKEND_HPP

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <libcamera/libcamera.h>

extern "C" {
#include "hal/camera.h"
}
#include "hal/libcamera/dma_memory.h"
#include "hal/libcamera/features.h"
#include "hal/libcamera/frame_ticks.h"
#include "hal/libcamera/pick.h"
#include "hal/libcamera/ring.h"

namespace pinhole
{

using namespace libcamera;

/** The sentence about the last failure. */
struct failure {
    char text[384]{};
};

/** Writes the sentence, cut to fit. Returns `error`. */
__attribute__((format(printf, 3, 4))) int fail(failure *why, int error, const char *format, ...);

// --- describe.cpp: what a camera says about itself ----------------------------------------------

/** A pixel format that both libcamera and the contract have. */
struct format_row {
    PixelFormat pixel;
    hal_pixel_format hal;
    unsigned planes;
};

/** The row of that format, or null. */
const format_row *format_find(PixelFormat pixel);
/** The wanted format if it is offered, else the offered one that costs least to encode, or null. */
const format_row *format_choose(const std::vector<PixelFormat> &offered, hal_pixel_format wanted);

/** The camera's model; its id when it has none. */
std::string camera_model(const Camera &camera);
/** False when there is no hardware behind the camera: the CPU fills each buffer at once. */
bool camera_has_devices(const Camera &camera);
/** A configuration with one video stream, or null. */
std::unique_ptr<CameraConfiguration> camera_configuration(Camera &camera);
/** Everything that enumerate() tells. Asks the camera, so it must not be streaming. */
void camera_describe(Camera &camera, hal_camera_info *info);

/** Mirrors a configuration, and reads back what validate() left of that. */
void orientation_set(CameraConfiguration *config, bool hflip, bool vflip);
void orientation_get(const CameraConfiguration &config, hal_camera_config *got);

/** The control of that name that the camera lists, and its id. Null when it lists none. */
const ControlInfo *control_find(const Camera &camera, const std::string &name,
                                const ControlId **id);
/** One element of a numeric value; NAN when there is none. Allocates nothing. */
double control_number(const ControlValue &value, unsigned element = 0);

// --- controls.cpp: libcamera's controls as features ---------------------------------------------

/** Fills `features` with what the camera lists now. Ranges depend on the configuration. */
void controls_bind(const Camera &camera, libcamera_features *features);
/** Adds each feature that is marked as changed to the controls of a request or a start. */
void controls_send(libcamera_features *features, ControlList *controls);
/** Copies what a frame reports. Runs on libcamera's thread and allocates nothing. */
void controls_read(const ControlList &metadata, libcamera_completion *completion);

// --- buffers.cpp: the memory of the pictures ----------------------------------------------------

/** The mapped memory of one buffer. */
struct buffer_view {
    unsigned plane_count = 0, map_count = 0;
    hal_plane plane[HAL_CAMERA_PLANES_MAX]{};
    dma_map map[HAL_CAMERA_PLANES_MAX]{};
};

/** Before the first and after the last read of a frame. */
void view_begin(const buffer_view &view);
void view_end(const buffer_view &view);

/** Who has a buffer. */
enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_BORROWED };

/** One buffer, the request that carries it, and the frame in it. */
struct slot {
    std::unique_ptr<Request> request;
    FrameBuffer *buffer = nullptr;
    slot_state state = SLOT_FREE;
    uint32_t tick = 0;
    uint64_t timestamp_ns = 0; /**< of the borrowed frame: identifies it at release() */
    buffer_view view;
};

/** The buffers of one configuration: libcamera's, or our own where it has none. */
struct buffer_pool {
    std::unique_ptr<FrameBufferAllocator> allocator;
    std::vector<std::unique_ptr<FrameBuffer>> own;
    unsigned slot_count = 0;
    slot slots[HAL_CAMERA_BUFFERS_MAX];
};

/** Allocates and maps the buffers of a configured stream and makes a request for each. 0, -ENOMEM
 * or -EIO with a sentence; then buffers_free() is due. */
int buffers_make(buffer_pool *pool, const std::shared_ptr<Camera> &camera,
                 const StreamConfiguration &stream, bool has_hardware, failure *why);
void buffers_free(buffer_pool *pool);
/** The first slot in that state, or null. */
slot *buffers_find(buffer_pool *pool, slot_state state);

// --- frames.cpp: from libcamera's thread to the loop --------------------------------------------

/** The clock of a camera's timestamps, which the first frame after a start shows. */
enum clock_kind { CLOCK_NOT_CHECKED, CLOCK_IS_MONOTONIC, CLOCK_IS_BOOTTIME, CLOCK_IS_UNKNOWN };

/** The way of the frames. The handlers touch `ring`, `event_fd` and the two flags only. */
struct frame_stream {
    libcamera_ring ring{};
    int event_fd = -1, epoll_fd = -1;
    bool is_ticking = false; /**< no hardware and no clock: frames are paced here */
    frame_ticks ticks{.fd = -1, .period_ns = 0, .pending = 0, .next = 0};
    clock_kind clock = CLOCK_NOT_CHECKED;
    int64_t clock_offset_ns = 0;
    int broken = 0; /**< -errno that acquire() reports until stop() */
    std::atomic<bool> is_running = false, is_unplugged = false;
};

/** The open camera. */
struct session {
    std::shared_ptr<Camera> camera; /**< null while closed */
    int claim_fd = -1;
    hal_camera_info info{};
    std::unique_ptr<CameraConfiguration> config;
    hal_camera_config got{};
    buffer_pool buffers;
    libcamera_features features{};
    frame_stream stream;
    failure *why = nullptr; /**< of the backend, which outlives the session */
};

/** Makes the descriptors and connects the handlers. 0 or -errno; then frames_close() is due. */
int frames_open(session *session);
void frames_close(session *session);
/** What the loop watches. */
int frames_fd(const frame_stream &stream);
/** Starts the camera and queues every buffer. 0, -ENODEV or -EIO with a sentence. */
int frames_start(session *session);
void frames_stop(session *session);
/** Another frame rate for a camera that is paced here. 0 or -errno. */
int frames_set_rate(session *session, double framerate);
/** acquire() and release() of the contract. */
int frames_acquire(session *session, hal_frame *out);
void frames_release(session *session, const hal_frame *frame);

// --- library.cpp: libcamera itself --------------------------------------------------------------

/** libcamera's camera manager, and the last choice from its list. */
struct library {
    std::unique_ptr<CameraManager> manager; /**< null until library_start() */
    uint64_t since_ns = 0;
    camera_choice choice{};
};

/** Starts libcamera unless it runs, and sends its log into ours. 0 or -EIO with a sentence. */
int library_start(library *library, failure *why);
/** Stops libcamera. Its cameras must be closed. */
void library_stop(library *library);
/** True when the list of cameras may be out of date: in a container no udev event updates it. */
bool library_is_stale(const library &library);
/** The cameras in the order of their ids. An index means the same camera until one comes or goes.
 */
std::vector<std::shared_ptr<Camera>> library_cameras(const library &library);
/** The camera that a user means by an id, an index or a part of a model (see camera_pick()). */
int library_pick(library *library, const char *spec, std::shared_ptr<Camera> *out, failure *why);

} // namespace pinhole

#endif
