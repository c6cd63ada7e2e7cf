// SPDX-License-Identifier: MIT
#include "tests/host/sim/camera.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <jpeglib.h>

#include "tests/host/sim/machine.h"

#define BITS   24u /**< of the sequence that are drawn, in cells of 8 x 8 samples */
#define ACROSS 8u
#define DARK   32
#define BRIGHT 224

enum { EXPOSURE_AUTO, EXPOSURE_TIME, GAIN, FRAME_RATE, FEATURES };

static const struct hal_feature features[FEATURES] = {
    [EXPOSURE_AUTO] = {"ExposureAuto", HAL_FEATURE_ENUM, "", 0, 1, 1, "Off|Continuous", true},
    [EXPOSURE_TIME] = {"ExposureTime", HAL_FEATURE_FLOAT, "us", 10, 200000, 0, NULL, true},
    [GAIN] = {"Gain", HAL_FEATURE_FLOAT, "", 1, 16, 0, NULL, true},
    [FRAME_RATE] = {"AcquisitionFrameRate", HAL_FEATURE_FLOAT, "Hz", 0.1, 200, 0, NULL, true},
};

struct buffer {
    uint8_t samples[CAMERA_WIDTH_MAX * CAMERA_HEIGHT_MAX * 3 / 2];
    struct hal_frame frame;
    bool is_borrowed, is_ready;
};

static struct {
    struct camera_faults faults;
    struct hal_camera_config got;
    struct buffer buffer[HAL_CAMERA_BUFFERS_MAX];
    unsigned order[HAL_CAMERA_BUFFERS_MAX], ready;
    double value[FEATURES];
    uint64_t generation; /**< of the stream: an old one's ticks do nothing */
    uint32_t sequence, width, height;
    int fd;
    bool is_open, is_streaming, is_broken;
    const char *error;
} camera = {.fd = -1};

void camera_init(uint32_t width, uint32_t height)
{
    camera.width = width;
    camera.height = height;
    camera.error = "";
    camera.value[EXPOSURE_AUTO] = 1;
    camera.value[EXPOSURE_TIME] = 5000;
    camera.value[GAIN] = 1;
    camera.value[FRAME_RATE] = 30;
}

static void wake(void)
{
    const uint64_t one = 1;
    if (camera.fd >= 0 && write(camera.fd, &one, sizeof one) != (ssize_t)sizeof one)
        camera.error = "eventfd";
}

void camera_set_faults(const struct camera_faults *faults)
{
    machine_trace("camera: gone %d silent %d no start %d drop %u tear %u break %u", faults->is_gone,
                  faults->is_silent, faults->is_stuck, faults->drop_one_in, faults->tear_one_in,
                  faults->break_one_in);
    camera.faults = *faults;
    if (faults->is_gone)
        wake();
}

static bool comes_true(unsigned one_in)
{
    return one_in != 0 && chance_one_in(machine_chance(), one_in);
}

static void draw(struct buffer *buffer, uint32_t sequence)
{
    uint32_t luma = camera.width * camera.height;
    memset(buffer->samples, 128, luma * 3 / 2);
    // Noise below the cells makes large pictures large files, too.
    for (uint32_t i = 24 * camera.width; camera.width > 64 && i < luma; i++)
        buffer->samples[i] = (uint8_t)((i * 2654435761u + sequence * 40503u) >> 13);
    for (unsigned bit = 0; bit < BITS; bit++)
        for (unsigned y = 0; y < 8; y++)
            memset(buffer->samples + (bit / ACROSS * 8 + y) * camera.width + bit % ACROSS * 8,
                   sequence >> bit & 1 ? BRIGHT : DARK, 8);
}

static void fill(unsigned index, uint64_t now_ns)
{
    struct buffer *buffer = &camera.buffer[index];
    uint32_t period_us = (uint32_t)(1e6 / camera.got.framerate);
    uint32_t exposure_us = (uint32_t)camera.value[EXPOSURE_TIME];
    if (camera.value[EXPOSURE_AUTO] > 0 || exposure_us > period_us)
        exposure_us = period_us / 2;
    draw(buffer, camera.sequence);
    const uint32_t luma = camera.width * camera.height;
    buffer->frame = (struct hal_frame){
        .buffer = index,
        .format = HAL_PIXEL_YUV420,
        .width = camera.width,
        .height = camera.height,
        .plane = {{buffer->samples, camera.width, camera.height},
                  {buffer->samples + luma, camera.width / 2, camera.height / 2},
                  {buffer->samples + luma * 5 / 4, camera.width / 2, camera.height / 2}},
        .sensor_sequence = camera.sequence,
        .timestamp_ns = now_ns - chance_in(machine_chance(), 0, 2000) * NS_PER_US,
        .exposure_us = exposure_us,
        .gain_milli = (uint32_t)(camera.value[GAIN] * 1000),
        .frame_duration_us = period_us,
        .flags = comes_true(camera.faults.tear_one_in) ? HAL_FRAME_TORN : 0,
    };
    buffer->is_ready = true;
    camera.order[camera.ready++] = index;
    wake();
}

/** One period of the sensor has ended. */
static void on_period(void *arg, uint64_t generation)
{
    (void)arg;
    if (generation != camera.generation || !camera.is_streaming)
        return;
    uint64_t now_ns = machine_now();
    machine_at(now_ns + (uint64_t)(1e9 / camera.got.framerate), on_period, NULL, generation);
    if (camera.faults.is_gone || camera.faults.is_silent)
        return;
    camera.sequence++;
    if (comes_true(camera.faults.break_one_in)) {
        camera.is_broken = true;
        wake();
    }
    if (camera.is_broken || comes_true(camera.faults.drop_one_in))
        return;
    for (unsigned i = 0; i < camera.got.buffers; i++)
        if (!camera.buffer[i].is_borrowed && !camera.buffer[i].is_ready) {
            fill(i, now_ns);
            return;
        }
    // All buffers are borrowed: the frame is lost, as its sequence shows.
}

static const char *version(void)
{
    return "simulated";
}

static int enumerate(struct hal_camera_info *out, int max)
{
    if (camera.faults.is_gone)
        return 0;
    if (max > 0)
        out[0] = (struct hal_camera_info){.id = "0", .model = "simulated"};
    return 1;
}

static int fail(int error, const char *sentence)
{
    camera.error = sentence;
    return error;
}

static int open_camera(const char *id)
{
    (void)id;
    if (camera.faults.is_gone)
        return fail(-ENODEV, "no camera there");
    camera.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    camera.is_open = true;
    camera.is_broken = false;
    return 0;
}

static int configure(const struct hal_camera_config *want, struct hal_camera_config *got)
{
    CHECK(camera.is_open && !camera.is_streaming, "configure() of an open, stopped camera only");
    if (camera.faults.is_stuck && comes_true(2))
        return fail(-EIO, "configure fails");
    *got = *want;
    got->width = camera.width;
    got->height = camera.height;
    got->format = HAL_PIXEL_YUV420;
    if (got->framerate <= 0 || got->framerate > 200)
        got->framerate = 200;
    camera.got = *got;
    camera.value[FRAME_RATE] = got->framerate;
    return 0;
}

static int start(void)
{
    CHECK(camera.is_open && !camera.is_streaming, "start() of an open, stopped camera only");
    if (camera.faults.is_gone)
        return fail(-ENODEV, "the camera is gone");
    if (camera.faults.is_stuck)
        return fail(-EIO, "start fails");
    camera.is_streaming = true;
    camera.is_broken = false;
    machine_at(machine_now() + (uint64_t)(1e9 / camera.got.framerate), on_period, NULL,
               ++camera.generation);
    return 0;
}

static int fd(void)
{
    return camera.fd;
}

static int acquire(struct hal_frame *out)
{
    uint64_t count;
    if (read(camera.fd, &count, sizeof count) < 0)
        count = 0;
    if (camera.faults.is_gone)
        return fail(-ENODEV, "the camera was unplugged");
    if (camera.is_broken)
        return fail(-EIO, "the stream broke");
    if (camera.ready == 0)
        return 0;
    struct buffer *buffer = &camera.buffer[camera.order[0]];
    camera.ready--;
    memmove(&camera.order[0], &camera.order[1], camera.ready * sizeof camera.order[0]);
    if (camera.ready > 0)
        wake();
    buffer->is_ready = false;
    buffer->is_borrowed = true;
    *out = buffer->frame;
    return 1;
}

static void release(const struct hal_frame *frame)
{
    struct buffer *buffer = &camera.buffer[frame->buffer];
    CHECK(buffer->is_borrowed || !camera.is_streaming, "buffer %u was released twice",
          frame->buffer);
    buffer->is_borrowed = false;
}

static const struct hal_feature *feature(unsigned index)
{
    return index < FEATURES ? &features[index] : NULL;
}

static int feature_get(unsigned index, double *value)
{
    *value = camera.value[index];
    return 0;
}

static int feature_set(unsigned index, double value)
{
    CHECK(value >= features[index].min && value <= features[index].max, "%s=%g is out of range",
          features[index].name, value);
    if (index == EXPOSURE_TIME && camera.value[EXPOSURE_AUTO] > 0)
        return -EACCES;
    camera.value[index] = value;
    if (index == FRAME_RATE)
        camera.got.framerate = value;
    return 0;
}

static void stop(void)
{
    camera.is_streaming = false;
    camera.ready = 0;
    for (unsigned i = 0; i < HAL_CAMERA_BUFFERS_MAX; i++) {
        CHECK(!camera.buffer[i].is_borrowed, "buffer %u was never released", i);
        camera.buffer[i].is_ready = false;
    }
}

static void close_camera(void)
{
    stop();
    if (camera.fd >= 0)
        close(camera.fd);
    camera.fd = -1;
    camera.is_open = false;
}

static const char *last_error(void)
{
    return camera.error;
}

static const char *model(void)
{
    return "simulated";
}

const struct hal_camera_ops sim_camera = {
    .name = "sim",
    .version = version,
    .enumerate = enumerate,
    .open = open_camera,
    .model = model,
    .configure = configure,
    .start = start,
    .fd = fd,
    .acquire = acquire,
    .release = release,
    .feature = feature,
    .feature_get = feature_get,
    .feature_set = feature_set,
    .stop = stop,
    .close = close_camera,
    .last_error = last_error,
};

// ---- reading a picture back ----

struct reader {
    struct jpeg_error_mgr errors;
    jmp_buf out;
};

static void give_up(j_common_ptr info)
{
    longjmp(((struct reader *)(void *)info->err)->out, 1);
}

static void ignore(j_common_ptr info)
{
    (void)info;
}

int64_t camera_read_drawing(const uint8_t *jpeg, size_t bytes)
{
    struct jpeg_decompress_struct info;
    struct reader reader;
    static uint8_t luma[CAMERA_HEIGHT_MAX][CAMERA_WIDTH_MAX];
    info.err = jpeg_std_error(&reader.errors);
    reader.errors.error_exit = give_up;
    reader.errors.output_message = ignore;
    if (setjmp(reader.out) != 0) {
        jpeg_destroy_decompress(&info);
        return -1;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, jpeg, bytes);
    jpeg_read_header(&info, TRUE);
    info.out_color_space = JCS_GRAYSCALE;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
        JSAMPROW row = luma[info.output_scanline];
        jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    bool has_warnings = reader.errors.num_warnings > 0;
    jpeg_destroy_decompress(&info);
    int64_t sequence = 0;
    for (unsigned bit = 0; bit < BITS; bit++)
        if (luma[bit / ACROSS * 8 + 4][bit % ACROSS * 8 + 4] > 128)
            sequence |= INT64_C(1) << bit;
    return has_warnings ? -1 : sequence;
}
