// SPDX-License-Identifier: MIT
#include "hal/libcamera/backend.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <streambuf>

extern "C" {
#include "hal/os/clock.h"
#include "hal/os/log.h"
}
#include "hal/libcamera/faults.h"

namespace pinhole
{

namespace
{

constexpr uint64_t LIST_FRESH_NS = 30 * NS_PER_S;

// libcamera's log, line by line into ours. By itself libcamera writes to stderr and waits for its
// reader, which stops the camera.
//
// Its threads write without a lock, each message by one call. So there is no state here, not even
// the buffer of a streambuf. No write fails, because the stream would keep that in its own state.
class log_lines : public std::streambuf
{
  protected:
    std::streamsize xsputn(const char *text, std::streamsize bytes) override
    {
        const char *end = text + bytes;
        while (text < end) {
            const char *line_end = std::find(text, end, '\n');
            if (line_end > text)
                log_warning("%.*s", static_cast<int>(line_end - text), text);
            text = line_end == end ? end : line_end + 1;
        }
        return bytes;
    }

    // A character by itself is no line: libcamera writes none.
    int_type overflow(int_type character) override
    {
        return traits_type::not_eof(character);
    }
};

// LIBCAMERA_LOG_LEVELS decides which messages pass; all of them are warnings to us. Once per
// process and never destroyed: libcamera's own statics may write after ours are gone.
void take_log()
{
    static bool is_taken;
    if (is_taken || getenv("LIBCAMERA_LOG_FILE") != nullptr)
        return;
    static std::ostream *const stream = new std::ostream(new log_lines);
    logSetStream(stream);
    is_taken = true;
}

} // namespace

int library_start(library *library, failure *why)
{
    if (library->manager)
        return 0;
    // The first call into libcamera's log reads the levels.
    (void)setenv("LIBCAMERA_LOG_LEVELS", "*:WARN", 0);
    take_log();
    auto manager = std::make_unique<CameraManager>();
    int result = manager->start();
    if (result < 0)
        return fail(why, -EIO, "libcamera %s does not start: %s", CameraManager::version().c_str(),
                    strerror(-result));
    library->manager = std::move(manager);
    library->since_ns = clock_now_ns();
    return 0;
}

void library_stop(library *library)
{
    library->manager.reset();
}

bool library_is_stale(const library &library)
{
    return library.manager && clock_now_ns() - library.since_ns > LIST_FRESH_NS;
}

std::vector<std::shared_ptr<Camera>> library_cameras(const library &library)
{
    std::vector<std::shared_ptr<Camera>> cameras;
    for (const std::shared_ptr<Camera> &camera : library.manager->cameras())
        cameras.push_back(camera);
    std::sort(cameras.begin(), cameras.end(),
              [](const auto &left, const auto &right) { return left->id() < right->id(); });
    return cameras;
}

int library_pick(library *library, const char *spec, std::shared_ptr<Camera> *out, failure *why)
{
    const auto cameras = library_cameras(*library);
    std::vector<std::string> models;
    std::vector<camera_name> names;
    for (const auto &camera : cameras)
        models.push_back(camera_model(*camera));
    for (size_t i = 0; i < cameras.size(); i++)
        names.push_back({cameras[i]->id().c_str(), models[i].c_str()});
    if (libcamera_fault(FAULT_ABSENT))
        return fail(why, -ENODEV, "camera '%s' is not there: a fault was asked for", spec);
    int index = camera_pick(names.data(), static_cast<unsigned>(names.size()), spec,
                            &library->choice, why->text, sizeof why->text);
    if (index < 0)
        return index;
    *out = cameras[static_cast<size_t>(index)];
    return 0;
}

} // namespace pinhole
