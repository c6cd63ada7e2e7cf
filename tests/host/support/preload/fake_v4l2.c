// SPDX-License-Identifier: MIT
// A library for LD_PRELOAD that gives a process a camera: V4L2 capture of YUYV by mmap, in the
// place of the file $FAKE_V4L2_PATH. Programs that need a device run with it where no kernel module
// can be loaded.
//
// Each buffer is mapped from $FAKE_V4L2_PICTURES, which holds pictures one after the other, and its
// picture stays; they are spread over the file. So a frame costs no copy, as from a camera that
// writes by DMA. The descriptor is a timer's, which select() and poll() know. A frame that finds no
// queued buffer is left out.
// $FAKE_V4L2_SIZE is WIDTHxHEIGHT, $FAKE_V4L2_FRAMERATE a whole number.
//
// $FAKE_V4L2_COST names a file that holds two 64-bit counters: frames handed out, and nanoseconds
// of CPU time that the library took for them.
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

// With 32 bits, libc has two names for each of these calls, and make bench measures no peers.
#ifdef __LP64__

#define EXPORT __attribute__((visibility("default")))

enum { BUFFERS_MAX = 16 };

static struct {
    int fd, pictures;
    unsigned width, height, framerate, buffers, picture_count, sequence;
    size_t bytes;
    unsigned queue[BUFFERS_MAX], first, queued; /**< indices, as a ring */
    uint64_t *cost;
    uint64_t unmapped_cost[2];
} camera = {.fd = -1};

EXPORT int open64(const char *path, int flags, ...) __attribute__((alias("open")));
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags) __attribute__((alias("__open_2")));
EXPORT void *mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int system_open(const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static int open_camera(void)
{
    const char *size = getenv("FAKE_V4L2_SIZE"), *rate = getenv("FAKE_V4L2_FRAMERATE"),
               *pictures = getenv("FAKE_V4L2_PICTURES"), *cost = getenv("FAKE_V4L2_COST");
    struct stat about;
    if (size == NULL || rate == NULL || pictures == NULL ||
        sscanf(size, "%ux%u", &camera.width, &camera.height) != 2)
        return fail(ENODEV);
    camera.framerate = (unsigned)strtoul(rate, NULL, 10);
    camera.bytes = (size_t)camera.width * camera.height * 2;
    camera.pictures = system_open(pictures, O_RDONLY | O_CLOEXEC, 0);
    if (camera.pictures < 0 || fstat(camera.pictures, &about) < 0 || camera.bytes == 0 ||
        (size_t)about.st_size < camera.bytes || camera.framerate == 0)
        return fail(ENODEV);
    camera.picture_count = (unsigned)((size_t)about.st_size / camera.bytes);
    camera.cost = camera.unmapped_cost;
    const int file = cost == NULL ? -1 : system_open(cost, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0 && ftruncate(file, sizeof camera.unmapped_cost) == 0) {
        void *mapped =
            mmap(NULL, sizeof camera.unmapped_cost, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED)
            camera.cost = mapped;
    }
    camera.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return camera.fd;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    const char *mine = getenv("FAKE_V4L2_PATH");
    return mine != NULL && strcmp(path, mine) == 0 ? open_camera() : system_open(path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_any(path, flags, mode);
}

EXPORT int __open_2(const char *path, int flags)
{
    return open_any(path, flags, 0);
}

EXPORT void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0 && fd == camera.fd) {
        // Written to by nobody, but asked for so; there before the first frame.
        const size_t index = (size_t)offset / camera.bytes;
        offset = (off_t)(index * camera.picture_count / camera.buffers * camera.bytes);
        fd = camera.pictures;
        flags = MAP_PRIVATE | MAP_POPULATE;
    }
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset); // NOLINT
}

static int run_timer(bool is_on)
{
    const long period_ns = 1000000000L / camera.framerate;
    const struct timespec period = {.tv_sec = period_ns / 1000000000L,
                                    .tv_nsec = period_ns % 1000000000L};
    const struct itimerspec timer = {.it_interval = period, .it_value = period}, off = {0};
    return timerfd_settime(camera.fd, 0, is_on ? &timer : &off, NULL);
}

static void describe_format(struct v4l2_format *format)
{
    format->fmt.pix = (struct v4l2_pix_format){.width = camera.width,
                                               .height = camera.height,
                                               .pixelformat = V4L2_PIX_FMT_YUYV,
                                               .field = V4L2_FIELD_NONE,
                                               .bytesperline = camera.width * 2,
                                               .sizeimage = (uint32_t)camera.bytes,
                                               .colorspace = V4L2_COLORSPACE_JPEG};
}

static int queue_buffer(const struct v4l2_buffer *buffer)
{
    if (buffer->index >= camera.buffers || camera.queued == camera.buffers)
        return fail(EINVAL);
    camera.queue[(camera.first + camera.queued++) % BUFFERS_MAX] = buffer->index;
    return 0;
}

static int hand_out(struct v4l2_buffer *buffer)
{
    uint64_t periods;
    struct timespec now;
    if (camera.queued == 0 || read(camera.fd, &periods, sizeof periods) != sizeof periods)
        return fail(EAGAIN);
    clock_gettime(CLOCK_MONOTONIC, &now);
    camera.sequence += (unsigned)periods;
    buffer->index = camera.queue[camera.first];
    camera.first = (camera.first + 1) % BUFFERS_MAX;
    camera.queued--;
    buffer->bytesused = buffer->length = (uint32_t)camera.bytes;
    buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->field = V4L2_FIELD_NONE;
    buffer->timestamp = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    buffer->sequence = camera.sequence;
    return 0;
}

static int request_buffers(struct v4l2_requestbuffers *request)
{
    if (request->memory != V4L2_MEMORY_MMAP)
        return fail(EINVAL);
    if (request->count > BUFFERS_MAX)
        request->count = BUFFERS_MAX;
    camera.buffers = request->count;
    camera.first = camera.queued = 0;
    return 0;
}

static int answer(unsigned long request, void *argument)
{
    struct v4l2_capability *about = argument;
    struct v4l2_streamparm *parameters = argument;
    struct v4l2_buffer *buffer = argument;
    switch (request) {
    case VIDIOC_QUERYCAP:
        memset(about, 0, sizeof *about);
        strcpy((char *)about->driver, "fake_v4l2");
        strcpy((char *)about->card, "fake_v4l2");
        about->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING | V4L2_CAP_DEVICE_CAPS;
        about->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_S_INPUT: return 0;
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT: describe_format(argument); return 0;
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
        parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        parameters->parm.capture.timeperframe =
            (struct v4l2_fract){.numerator = 1, .denominator = camera.framerate};
        return 0;
    case VIDIOC_REQBUFS: return request_buffers(argument);
    case VIDIOC_QUERYBUF:
        buffer->length = (uint32_t)camera.bytes;
        buffer->m.offset = buffer->index * (uint32_t)camera.bytes;
        return 0;
    case VIDIOC_QBUF: return queue_buffer(argument);
    case VIDIOC_DQBUF: return hand_out(argument);
    case VIDIOC_STREAMON: return run_timer(true);
    case VIDIOC_STREAMOFF: camera.queued = 0; return run_timer(false);
    default: return fail(ENOTTY);
    }
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    request &= UINT32_MAX; // some programs give it as a negative int
    if (fd < 0 || fd != camera.fd)
        return (int)syscall(SYS_ioctl, fd, request, argument);
    const int64_t began_ns = cpu_ns();
    const int result = answer(request, argument), error = errno;
    camera.cost[0] += request == VIDIOC_DQBUF && result == 0;
    if (request == VIDIOC_DQBUF || request == VIDIOC_QBUF)
        camera.cost[1] += (uint64_t)(cpu_ns() - began_ns);
    errno = error;
    return result;
}

#endif
