// SPDX-License-Identifier: MIT
// A camera that shows the JPEG photographs of a folder, one after the other, endlessly. Everything
// is decoded at configure(); a frame costs no pixel work: larger photographs are panned through by
// moving the plane pointers.
#include "hal/replay/camera_replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hal/fake/pace.h"
#include "hal/feature.h"
#include "hal/os/clock.h"
#include "hal/os/log.h"
#include "hal/replay/album.h"
#include "hal/replay/folder.h"

#define PATH_BYTES_MAX    1024
#define FRAMERATE_MIN     0.1
#define FRAMERATE_MAX     1000.0
#define FRAMERATE_DEFAULT 30.0
#define DIMENSION_MIN     16
#define PAN_PX            2 /**< per frame; even, for the chroma */
#define REPLAY_FRAMES_MAX 1000000
#define MODEL             "Photographs"

enum state { CLOSED, OPEN, CONFIGURED, STREAMING };
enum { FRAME_RATE, REPLAY_FRAMES };

struct token {
    bool is_borrowed;
    uint64_t timestamp_ns; /**< of its frame: what release() recognises it by */
};

static struct {
    enum state state;
    struct pace pace;
    char path[PATH_BYTES_MAX];
    struct hal_camera_config config;
    double framerate;
    uint32_t frames_each; /**< 0 = one second's worth */
    struct token token[HAL_CAMERA_BUFFERS_MAX];
    char failure[PATH_BYTES_MAX + 256];
} replay = {.pace = {.fd = -1}};

static struct replay_folder folder;
static struct replay_album album;

static const struct hal_feature features[] = {
    [FRAME_RATE] = {"AcquisitionFrameRate", HAL_FEATURE_FLOAT, "Hz", FRAMERATE_MIN, FRAMERATE_MAX,
                    0, NULL, true},
    [REPLAY_FRAMES] = {"ReplayFrames", HAL_FEATURE_INTEGER, "", 1, REPLAY_FRAMES_MAX, 1, NULL,
                       true},
};

static BASE_PRINTF(2, 3) int fail(int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(replay.failure, sizeof replay.failure, format, arguments);
    va_end(arguments);
    return error;
}

static uint64_t period_ns(void)
{
    return (uint64_t)(1e9 / replay.framerate + 0.5);
}

static uint32_t frames_each(void)
{
    uint32_t second = (uint32_t)(replay.framerate + 0.5);
    return replay.frames_each ? replay.frames_each : second ? second : 1;
}

static const char *replay_version(void)
{
    return "built in";
}

/** Folders are not searched for: there is a camera once one was named. */
static int replay_enumerate(struct hal_camera_info *out, int max)
{
    if (replay.state == CLOSED || strlen(replay.path) >= sizeof out->id)
        return 0;
    if (max < 1)
        return 1;
    *out = (struct hal_camera_info){.model = MODEL, .mode_count = 0};
    memcpy(out->id, replay.path, strlen(replay.path) + 1);
    static const enum hal_pixel_format formats[] = {
        HAL_PIXEL_YUV420, HAL_PIXEL_NV12, HAL_PIXEL_YUYV, HAL_PIXEL_GREY, HAL_PIXEL_MJPEG};
    if (replay.state != OPEN)
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
            out->mode[out->mode_count++] = (struct hal_camera_mode){
                formats[i], replay.config.width, replay.config.height, FRAMERATE_MAX};
    return 1;
}

static int replay_open(const char *id)
{
    if (replay.state != CLOSED)
        return fail(-EBUSY, "replay camera: it is open already");
    if (id == NULL || *id == '\0')
        return fail(-EINVAL, "replay camera: name a folder of JPEG photographs, as in "
                             "replay:/home/pi/photos");
    if (strlen(id) >= sizeof replay.path)
        return fail(-EINVAL, "replay camera: the folder's path is too long");
    int error = replay_folder_list(&folder, id);
    if (error)
        return fail(-EINVAL, "replay camera: folder %s: %s", id, strerror(-error));
    if (folder.count == 0)
        return fail(-EINVAL, "replay camera: folder %s has no *.jpg and no *.jpeg", id);
    if (folder.left_out > 0)
        log_warning("replay: %s: %u photographs are left out, there are more than %d", id,
                    folder.left_out, REPLAY_PHOTOS_MAX);
    error = pace_open(&replay.pace);
    if (error)
        return fail(-EIO, "replay camera: timerfd: %s", strerror(-error));
    memcpy(replay.path, id, strlen(id) + 1);
    replay.frames_each = 0;
    replay.state = OPEN;
    replay.failure[0] = '\0';
    return 0;
}

static const char *replay_model(void)
{
    return replay.state != CLOSED ? MODEL : "";
}

static int check_wish(struct hal_camera_config *c)
{
    c->format = c->format ? c->format : HAL_PIXEL_YUV420;
    if (c->format < HAL_PIXEL_YUV420 || c->format > HAL_PIXEL_MJPEG)
        return fail(-EINVAL, "replay camera: it has no such pixel format");
    if (c->width == 0 || c->height == 0) {
        uint32_t width, height;
        if (replay_album_first_size(&folder, replay.path, &width, &height) != 0)
            return fail(-EINVAL, "replay camera: folder %s has no readable photograph",
                        replay.path);
        c->width = c->width ? c->width : width;
        c->height = c->height ? c->height : height;
    }
    c->width &= ~1u;
    c->height &= ~1u;
    if (c->width < DIMENSION_MIN || c->width > HAL_CAMERA_DIMENSION_MAX ||
        c->height < DIMENSION_MIN || c->height > HAL_CAMERA_DIMENSION_MAX)
        return fail(-EINVAL, "replay camera: %ux%u is outside %d..%d pixels", c->width, c->height,
                    DIMENSION_MIN, HAL_CAMERA_DIMENSION_MAX);
    double rate = c->framerate > 0 ? c->framerate : FRAMERATE_DEFAULT;
    c->framerate = rate < FRAMERATE_MIN   ? FRAMERATE_MIN
                   : rate > FRAMERATE_MAX ? FRAMERATE_MAX
                                          : rate;
    c->buffers = c->buffers ? c->buffers : 4;
    c->buffers = c->buffers < 2 ? 2 : base_min_u32(c->buffers, HAL_CAMERA_BUFFERS_MAX);
    c->memory_bytes = c->memory_bytes ? c->memory_bytes : REPLAY_ALBUM_BYTES_DEFAULT;
    c->hflip = c->vflip = false;
    return 0;
}

static int replay_configure(const struct hal_camera_config *want, struct hal_camera_config *got)
{
    if (replay.state != OPEN && replay.state != CONFIGURED)
        return fail(-EINVAL, "replay camera: configure() is legal only while open and stopped");
    struct hal_camera_config config = *want;
    int error = check_wish(&config);
    if (error)
        return error;
    replay.state = OPEN;
    error = replay_album_load(&album, &folder, replay.path, &config);
    if (error == -ENOMEM)
        return fail(-ENOMEM, "replay camera: cannot map %llu bytes for photographs",
                    (unsigned long long)config.memory_bytes);
    if (error)
        return fail(-EINVAL, "replay camera: folder %s has no readable photograph that fits",
                    replay.path);
    log_info("replay: %u photographs of %s in %zu bytes", album.count, replay.path,
             album.map_bytes);
    replay.framerate = config.framerate;
    replay.config = *got = config;
    replay.state = CONFIGURED;
    return 0;
}

static int replay_start(void)
{
    if (replay.state != CONFIGURED)
        return fail(-EIO, "replay camera: start() is legal only after configure(), once");
    pace_start(&replay.pace, clock_now_ns(), period_ns());
    replay.state = STREAMING;
    return 0;
}

static int replay_fd(void)
{
    return replay.pace.fd;
}

/** Forth and back over 0..room, even. */
static uint32_t pan(uint64_t period, uint32_t room)
{
    if (room == 0)
        return 0;
    uint64_t at = period * PAN_PX % (2 * (uint64_t)room);
    return (uint32_t)(at <= room ? at : 2 * (uint64_t)room - at) & ~1u;
}

static void point(const struct canvas *picture, uint64_t period, struct hal_frame *out)
{
    uint32_t x = pan(period, picture->width - out->width);
    uint32_t y = pan(period, picture->height - out->height);
    for (int i = 0; i < HAL_CAMERA_PLANES_MAX && picture->data[i] != NULL; i++) {
        bool is_chroma = i > 0;
        size_t column = picture->format == HAL_PIXEL_YUYV                  ? (size_t)x * 2
                        : is_chroma && picture->format == HAL_PIXEL_YUV420 ? x / 2
                                                                           : x;
        size_t row = is_chroma ? y / 2 : y;
        out->plane[i] =
            (struct hal_plane){picture->data[i] + row * picture->stride[i] + column,
                               picture->stride[i], is_chroma ? out->height / 2 : out->height};
    }
}

static int replay_acquire(struct hal_frame *out)
{
    uint64_t period, timestamp_ns;
    if (replay.state != STREAMING ||
        !pace_take(&replay.pace, clock_now_ns(), &period, &timestamp_ns))
        return 0;
    uint32_t buffer = 0;
    while (buffer < replay.config.buffers && replay.token[buffer].is_borrowed)
        buffer++;
    if (buffer == replay.config.buffers)
        return 0;
    replay.token[buffer] = (struct token){true, timestamp_ns};
    *out = (struct hal_frame){
        .buffer = buffer,
        .format = replay.config.format,
        .width = replay.config.width,
        .height = replay.config.height,
        .sensor_sequence = (uint32_t)period,
        .timestamp_ns = timestamp_ns,
        .frame_duration_us = (uint32_t)(replay.pace.period_ns / NS_PER_US),
    };
    const struct replay_photo *photo = &album.photo[period / frames_each() % album.count];
    if (replay.config.format == HAL_PIXEL_MJPEG) {
        out->plane[0] = (struct hal_plane){.data = photo->jpeg, .rows = 1};
        out->bytes = photo->jpeg_bytes;
    } else {
        point(&photo->picture, period, out);
    }
    return 1;
}

static void replay_release(const struct hal_frame *frame)
{
    if (replay.state != STREAMING || frame->buffer >= replay.config.buffers)
        return;
    struct token *token = &replay.token[frame->buffer];
    if (token->timestamp_ns == frame->timestamp_ns)
        token->is_borrowed = false;
}

static const struct hal_feature *replay_feature(unsigned index)
{
    return index < ARRAY_SIZE(features) ? &features[index] : NULL;
}

static int replay_feature_get(unsigned index, double *value)
{
    if (index >= ARRAY_SIZE(features))
        return -EINVAL;
    *value = index == FRAME_RATE ? replay.framerate : frames_each();
    return 0;
}

static int replay_feature_set(unsigned index, double value)
{
    if (index >= ARRAY_SIZE(features) || !hal_feature_allows(&features[index], value))
        return -EINVAL;
    if (index == REPLAY_FRAMES) {
        replay.frames_each = (uint32_t)value;
        return 0;
    }
    replay.framerate = value;
    pace_set_period(&replay.pace, clock_now_ns(), period_ns());
    return 0;
}

static void replay_stop(void)
{
    if (replay.state != STREAMING)
        return;
    pace_stop(&replay.pace);
    memset(replay.token, 0, sizeof replay.token);
    replay.state = CONFIGURED;
}

static void replay_close(void)
{
    replay_stop();
    if (replay.state != CLOSED)
        pace_close(&replay.pace);
    replay_album_unload(&album);
    replay.state = CLOSED;
}

static const char *replay_last_error(void)
{
    return replay.failure;
}

const struct hal_camera_ops hal_camera_replay = {
    .name = "replay",
    .version = replay_version,
    .enumerate = replay_enumerate,
    .open = replay_open,
    .model = replay_model,
    .configure = replay_configure,
    .start = replay_start,
    .fd = replay_fd,
    .acquire = replay_acquire,
    .release = replay_release,
    .feature = replay_feature,
    .feature_get = replay_feature_get,
    .feature_set = replay_feature_set,
    .stop = replay_stop,
    .close = replay_close,
    .last_error = replay_last_error,
};
