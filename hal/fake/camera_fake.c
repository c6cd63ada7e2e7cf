// SPDX-License-Identifier: MIT
// A camera without hardware: a procedural scene, paced like a sensor, with faults on request.
#include "hal/fake/camera_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hal/fake/pace.h"
#include "hal/fake/scene.h"
#include "hal/fake/script.h"
#include "hal/fake/sensor.h"
#include "hal/os/clock.h"

#define DIMENSION_MIN  64
#define ID             "fake"
#define MODEL          "Pinhole fake camera"
#define PATH_BYTES_MAX 4096

enum state { CLOSED, OPEN, CONFIGURED, STREAMING };

struct buffer {
    struct canvas canvas;
    struct scene_dirt dirt;
    uint32_t background_version;
    bool is_borrowed;
    uint64_t timestamp_ns; /**< of the frame in it: what release() recognises it by */
};

static struct {
    enum state state;
    int error; /**< sticky from acquire() until stop() */
    struct pace pace;
    struct fake_sensor sensor;
    struct hal_camera_config config;
    uint8_t *map;
    size_t map_bytes;
    struct canvas background;
    uint32_t background_version;
    uint32_t background_brightness_milli;
    enum fake_sensor_pattern background_pattern;
    uint32_t claimed_stride; /**< 0 = the true one */
    struct buffer buffer[HAL_CAMERA_BUFFERS_MAX];
    uint64_t drop_before; /**< in the script's count */
    char failure[FAKE_SCRIPT_ERROR_BYTES + PATH_BYTES_MAX];
} fake = {.pace = {.fd = -1}};

/** Outlives close(), so that recovery from a fault can be played. */
static struct {
    struct fake_script script;
    char path[PATH_BYTES_MAX]; /**< "" = from memory, or none */
    uint64_t frames_before;    /**< periods of all earlier streams */
    uint64_t unplugged_until_ns;
} play;

static BASE_PRINTF(2, 3) int fail(int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fake.failure, sizeof fake.failure, format, arguments);
    va_end(arguments);
    return error;
}

static const char *fake_version(void)
{
    return "built in";
}

static bool unplugged(void)
{
    return play.unplugged_until_ns != 0 && clock_now_ns() < play.unplugged_until_ns;
}

static int fake_enumerate(struct hal_camera_info *out, int max)
{
    static const struct {
        uint32_t width, height;
    } sizes[] = {{1280, 720}, {640, 480}, {1456, 1088}, {1640, 1232}, {1920, 1080}, {3840, 2160}};
    if (unplugged())
        return 0;
    if (max < 1)
        return 1;
    *out = (struct hal_camera_info){.model = MODEL, .location = "external"};
    snprintf(out->id, sizeof out->id, "%s", ID);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        out->mode[out->mode_count++] = (struct hal_camera_mode){
            HAL_PIXEL_YUV420, sizes[i].width, sizes[i].height, FAKE_SENSOR_FRAMERATE_MAX};
    static const enum hal_pixel_format others[] = {HAL_PIXEL_NV12, HAL_PIXEL_YUYV, HAL_PIXEL_GREY};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        out->mode[out->mode_count++] =
            (struct hal_camera_mode){others[i], 1280, 720, FAKE_SENSOR_FRAMERATE_MAX};
    return 1;
}

static int adopt_script(const char *name, const char *path, const char *text, size_t bytes)
{
    static struct fake_script parsed;
    char reason[FAKE_SCRIPT_ERROR_BYTES];
    if (fake_script_parse(&parsed, name, text, bytes, reason) != 0)
        return fail(-EINVAL, "fake camera: %s", reason);
    memset(&play, 0, sizeof play);
    play.script = parsed;
    snprintf(play.path, sizeof play.path, "%s", path);
    return 0;
}

int camera_fake_script(const char *text)
{
    return adopt_script("script", "", text, strlen(text));
}

static int load_script(const char *path)
{
    static char text[FAKE_SCRIPT_BYTES_MAX + 1];
    if (strlen(path) >= sizeof play.path)
        return fail(-EINVAL, "fake camera: the script's path is too long");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(-EINVAL, "fake camera: fault script %s: %s", path, strerror(errno));
    size_t used = 0;
    ssize_t got = 0;
    while (used < sizeof text && (got = read(fd, text + used, sizeof text - used)) > 0)
        used += (size_t)got;
    int error = got < 0 ? errno : 0;
    close(fd);
    if (error)
        return fail(-EINVAL, "fake camera: fault script %s: %s", path, strerror(error));
    return adopt_script(path, path, text, used);
}

static int fake_open(const char *id)
{
    bool has_no_script = id == NULL || *id == '\0' || strcmp(id, "0") == 0 || strcmp(id, ID) == 0;
    if (fake.state != CLOSED)
        return fail(-EBUSY, "fake camera: it is open already");
    if (!has_no_script && strcmp(id, play.path) != 0) {
        int error = load_script(id);
        if (error)
            return error;
    }
    if (fake_script_fails(&play.script.open_fails))
        return fail(-ENODEV, "fake camera: open fails as the fault script says");
    if (unplugged())
        return fail(-ENODEV, "fake camera: unplugged by the fault script");
    int error = pace_open(&fake.pace);
    if (error)
        return fail(-EIO, "fake camera: timerfd: %s", strerror(-error));
    fake_sensor_init(&fake.sensor, 30);
    fake.state = OPEN;
    fake.failure[0] = '\0';
    return 0;
}

static const char *fake_model(void)
{
    return fake.state != CLOSED ? MODEL : "";
}

static int check_wish(struct hal_camera_config *c)
{
    c->width = (c->width ? c->width : 1280) & ~1u;
    c->height = (c->height ? c->height : 720) & ~1u;
    c->format = c->format ? c->format : HAL_PIXEL_YUV420;
    c->framerate = c->framerate > 0 ? c->framerate : 30;
    c->buffers = c->buffers ? c->buffers : 4;
    c->buffers = c->buffers < 2 ? 2 : base_min_u32(c->buffers, HAL_CAMERA_BUFFERS_MAX);
    if (c->width < DIMENSION_MIN || c->width > HAL_CAMERA_DIMENSION_MAX ||
        c->height < DIMENSION_MIN || c->height > HAL_CAMERA_DIMENSION_MAX)
        return fail(-EINVAL, "fake camera: %ux%u is outside %d..%d pixels", c->width, c->height,
                    DIMENSION_MIN, HAL_CAMERA_DIMENSION_MAX);
    if (c->format < HAL_PIXEL_YUV420 || c->format > HAL_PIXEL_GREY)
        return fail(-EINVAL, "fake camera: it does not make %s, only YUV420, NV12, YUYV and GREY",
                    hal_pixel_format_name(c->format));
    return 0;
}

static void unmap(void)
{
    if (fake.map != NULL)
        munmap(fake.map, fake.map_bytes);
    fake.map = NULL;
}

/** One mapping: the background, then the buffers. A claimed stride that is too short is only
 * claimed: what is drawn stays inside the true rows. */
static int map_pictures(const struct hal_camera_config *c)
{
    uint32_t row = canvas_row_bytes(c->format, c->width), stride = (row + 63) & ~63u;
    if (play.script.has_padding)
        stride = row + play.script.padding;
    if (play.script.stride != 0)
        stride = play.script.stride;
    fake.claimed_stride = stride < row ? stride : 0;
    stride = stride < row ? row : stride;
    struct canvas canvas = {.format = c->format,
                            .width = c->width,
                            .height = c->height,
                            .hflip = c->hflip,
                            .vflip = c->vflip};
    size_t picture = canvas_layout(&canvas, NULL, stride);
    size_t bytes = picture * (c->buffers + 1);
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return fail(-ENOMEM, "fake camera: no %zu bytes for %u buffers of %ux%u", bytes, c->buffers,
                    c->width, c->height);
    fake.map = map;
    fake.map_bytes = bytes;
    fake.background = canvas;
    canvas_layout(&fake.background, fake.map, stride);
    for (uint32_t i = 0; i < c->buffers; i++) {
        fake.buffer[i] = (struct buffer){.canvas = canvas};
        canvas_layout(&fake.buffer[i].canvas, fake.map + picture * (i + 1), stride);
    }
    return 0;
}

static void draw_background(void)
{
    fake.background_brightness_milli = fake_sensor_brightness_milli(&fake.sensor);
    fake.background_pattern = fake.sensor.pattern;
    scene_draw_background(&fake.background, fake.background_brightness_milli,
                          fake.background_pattern);
    fake.background_version++;
}

static void refresh(struct buffer *buffer)
{
    size_t bytes = canvas_layout(&buffer->canvas, buffer->canvas.data[0], buffer->canvas.stride[0]);
    memcpy(buffer->canvas.data[0], fake.background.data[0], bytes);
    buffer->dirt.count = 0;
    buffer->background_version = fake.background_version;
}

static int fake_configure(const struct hal_camera_config *want, struct hal_camera_config *got)
{
    if (fake.state != OPEN && fake.state != CONFIGURED)
        return fail(-EINVAL, "fake camera: configure() is legal only while open and stopped");
    if (fake_script_fails(&play.script.configure_fails))
        return fail(-EIO, "fake camera: configure fails as the fault script says");
    struct hal_camera_config config = *want;
    int error = check_wish(&config);
    if (error)
        return error;
    unmap();
    fake.state = OPEN;
    error = map_pictures(&config);
    if (error)
        return error;
    fake.sensor.framerate = config.framerate < FAKE_SENSOR_FRAMERATE_MIN ? FAKE_SENSOR_FRAMERATE_MIN
                            : config.framerate > FAKE_SENSOR_FRAMERATE_MAX
                                ? FAKE_SENSOR_FRAMERATE_MAX
                                : config.framerate;
    config.framerate = fake.sensor.framerate;
    draw_background();
    for (uint32_t i = 0; i < config.buffers; i++)
        refresh(&fake.buffer[i]);
    fake.config = *got = config;
    fake.state = CONFIGURED;
    return 0;
}

static int fake_start(void)
{
    if (fake.state != CONFIGURED)
        return fail(-EIO, "fake camera: start() is legal only after configure(), once");
    if (fake_script_fails(&play.script.start_fails))
        return fail(-EIO, "fake camera: start fails as the fault script says");
    if (unplugged())
        return fail(-ENODEV, "fake camera: unplugged by the fault script");
    fake.error = 0;
    fake.drop_before = 0;
    pace_start(&fake.pace, clock_now_ns(), fake_sensor_period_ns(&fake.sensor));
    fake.state = STREAMING;
    return 0;
}

static int fake_fd(void)
{
    return fake.pace.fd;
}

/** Plays what the script has for this frame. 1: deliver it, flags added; 0: it is lost; or
 * -errno. */
static int play_faults(uint64_t frame, uint64_t now_ns, uint32_t *flags, bool *is_torn)
{
    struct fake_fault fault;
    while (fake_script_due(&play.script, frame, &fault)) {
        switch (fault.kind) {
        case FAKE_FAULT_STALL:
        case FAKE_FAULT_FREEZE:
            pace_hold(&fake.pace,
                      fault.duration_ns == NS_NEVER ? NS_NEVER : now_ns + fault.duration_ns);
            return 0; // what else is due happens at the next frame
        case FAKE_FAULT_DROP:
            fake.drop_before = base_max_u64(fake.drop_before, frame + fault.count);
            break;
        case FAKE_FAULT_TORN:
            *flags |= HAL_FRAME_TORN;
            *is_torn = true;
            break;
        case FAKE_FAULT_TORN_UNSEEN: *is_torn = true; break;
        case FAKE_FAULT_STREAM_ERROR:
            return fail(-EIO, "fake camera: stream error at frame %llu by the fault script",
                        (unsigned long long)frame);
        case FAKE_FAULT_UNPLUG:
            play.unplugged_until_ns =
                fault.duration_ns == NS_NEVER ? NS_NEVER : now_ns + fault.duration_ns;
            return fail(-ENODEV, "fake camera: unplugged at frame %llu by the fault script",
                        (unsigned long long)frame);
        }
    }
    return frame >= fake.drop_before;
}

static struct buffer *find_free(void)
{
    // The one unused for longest, as a queue of buffers would give.
    struct buffer *oldest = NULL;
    for (uint32_t i = 0; i < fake.config.buffers; i++) {
        struct buffer *buffer = &fake.buffer[i];
        if (!buffer->is_borrowed && (oldest == NULL || buffer->timestamp_ns < oldest->timestamp_ns))
            oldest = buffer;
    }
    return oldest;
}

static void describe(const struct buffer *buffer, const struct scene_moment *moment,
                     struct hal_frame *out)
{
    *out = (struct hal_frame){
        .buffer = (uint32_t)(buffer - fake.buffer),
        .format = fake.config.format,
        .width = fake.config.width,
        .height = fake.config.height,
        .sensor_sequence = moment->sequence,
        .timestamp_ns = moment->timestamp_ns,
        .exposure_us = moment->exposure_us,
        .gain_milli = moment->gain_milli,
        .digital_gain_milli = 1000,
        .frame_duration_us = (uint32_t)(fake.pace.period_ns / NS_PER_US),
        .colour_temperature_k = 5600,
    };
    for (int i = 0; i < HAL_CAMERA_PLANES_MAX; i++)
        out->plane[i] = (struct hal_plane){buffer->canvas.data[i], buffer->canvas.stride[i],
                                           buffer->canvas.rows[i]};
    if (fake.claimed_stride != 0) {
        out->plane[0].stride = fake.claimed_stride;
        if (fake.config.format == HAL_PIXEL_YUV420)
            out->plane[1].stride = out->plane[2].stride = fake.claimed_stride / 2;
        else if (fake.config.format == HAL_PIXEL_NV12)
            out->plane[1].stride = fake.claimed_stride;
    }
}

static void draw(struct buffer *buffer, const struct scene_moment *moment, bool is_torn)
{
    if (fake.background_brightness_milli != moment->brightness_milli ||
        fake.background_pattern != moment->pattern)
        draw_background();
    if (buffer->background_version != fake.background_version)
        refresh(buffer);
    scene_draw_frame(&buffer->canvas, &fake.background, &buffer->dirt, moment);
    if (is_torn) {
        scene_draw_torn(&buffer->canvas);
        buffer->background_version = fake.background_version - 1;
    }
}

static int fake_acquire(struct hal_frame *out)
{
    if (fake.error)
        return fake.error;
    if (fake.state != STREAMING)
        return 0;
    uint64_t now_ns = clock_now_ns(), period, timestamp_ns;
    if (!pace_take(&fake.pace, now_ns, &period, &timestamp_ns))
        return 0;
    uint32_t flags = 0;
    bool is_torn = false;
    int verdict = play_faults(play.frames_before + period, now_ns, &flags, &is_torn);
    if (verdict < 0)
        fake.error = verdict;
    struct buffer *buffer = verdict == 1 ? find_free() : NULL;
    if (buffer == NULL)
        return verdict < 0 ? verdict : 0;
    const struct scene_moment moment = {
        .sequence = (uint32_t)period,
        .timestamp_ns = timestamp_ns,
        .realtime_ns = clock_realtime_ns() - (now_ns - timestamp_ns),
        .exposure_us = (uint32_t)fake_sensor_exposure_us(&fake.sensor),
        .gain_milli = (uint32_t)(fake_sensor_gain(&fake.sensor) * 1000),
        .brightness_milli = fake_sensor_brightness_milli(&fake.sensor),
        .pattern = fake.sensor.pattern,
    };
    draw(buffer, &moment, is_torn);
    buffer->is_borrowed = true;
    buffer->timestamp_ns = timestamp_ns;
    describe(buffer, &moment, out);
    out->flags = flags;
    return 1;
}

static void fake_release(const struct hal_frame *frame)
{
    if (fake.state != STREAMING || frame->buffer >= fake.config.buffers)
        return;
    struct buffer *buffer = &fake.buffer[frame->buffer];
    if (buffer->timestamp_ns == frame->timestamp_ns)
        buffer->is_borrowed = false;
}

static int fake_feature_get(unsigned index, double *value)
{
    return fake_sensor_get(&fake.sensor, index, value);
}

static int fake_feature_set(unsigned index, double value)
{
    uint64_t period_ns = fake_sensor_period_ns(&fake.sensor);
    int error = fake_sensor_set(&fake.sensor, index, value);
    if (!error && fake_sensor_period_ns(&fake.sensor) != period_ns)
        pace_set_period(&fake.pace, clock_now_ns(), fake_sensor_period_ns(&fake.sensor));
    return error;
}

static void fake_stop(void)
{
    if (fake.state != STREAMING)
        return;
    // Periods that ended without an acquire count too: the script goes by the sensor.
    uint64_t now_ns = clock_now_ns(), period = 0, timestamp_ns;
    if (fake.pace.held_until_ns != NS_NEVER)
        pace_take(&fake.pace, now_ns, &period, &timestamp_ns);
    play.frames_before += fake.pace.next;
    pace_stop(&fake.pace);
    for (uint32_t i = 0; i < fake.config.buffers; i++)
        fake.buffer[i].is_borrowed = false;
    fake.error = 0;
    fake.state = CONFIGURED;
}

static void fake_close(void)
{
    fake_stop();
    unmap();
    if (fake.state != CLOSED)
        pace_close(&fake.pace);
    fake.state = CLOSED;
}

static const char *fake_last_error(void)
{
    return fake.failure;
}

const struct hal_camera_ops hal_camera_fake = {
    .name = "fake",
    .version = fake_version,
    .enumerate = fake_enumerate,
    .open = fake_open,
    .model = fake_model,
    .configure = fake_configure,
    .start = fake_start,
    .fd = fake_fd,
    .acquire = fake_acquire,
    .release = fake_release,
    .feature = fake_sensor_feature,
    .feature_get = fake_feature_get,
    .feature_set = fake_feature_set,
    .stop = fake_stop,
    .close = fake_close,
    .last_error = fake_last_error,
};
