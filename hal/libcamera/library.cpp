// SPDX-License-Identifier: MIT
// libcamera's log, line by line into ours: by itself it writes to stderr and waits for whoever
// reads that, which stops the camera. Part of camera_libcamera.cpp, which includes libcamera and
// the other parts before it.
#ifndef PINHOLE_HAL_LIBCAMERA_LOG_HPP
#define PINHOLE_HAL_LIBCAMERA_LOG_HPP

namespace
{

// libcamera's threads write without a lock, each message by one call. So there is no state here,
// not even the buffer that streambuf has, and no write that fails: the stream would note that in a
// state of its own.
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

// Whose level a message has passed is libcamera's business (LIBCAMERA_LOG_LEVELS): all that it
// writes are warnings to us. Once per process, and never destroyed: libcamera's own statics may
// write after ours are gone.
void take_libcamera_log()
{
    static bool is_taken;
    if (is_taken || getenv("LIBCAMERA_LOG_FILE") != nullptr)
        return;
    alignas(log_lines) static unsigned char lines[sizeof(log_lines)];
    alignas(std::ostream) static unsigned char stream[sizeof(std::ostream)];
    logSetStream(new (stream) std::ostream(new (lines) log_lines));
    is_taken = true;
}

} // namespace

#endif
