// SPDX-License-Identifier: MIT
// The reference of `make bench`: encoders alone, on the frames that the replay camera shows.
//   bench_encode ENCODER DIR FORMAT WIDTH HEIGHT FRAMERATE QUALITY
// ENCODER is `own` (the node's encoder alone), `bare` (libjpeg-turbo's raw-data API, planar or grey
// input, one encode after another into one buffer), `send N` (the same, and each JPEG to N plain
// readers over TCP), `turbo` (TurboJPEG's own API, planar or grey input) or `raw FILE` (writes
// frames to a file, for other programs). Each line "N" on stdin encodes the next N frames, paced by
// the camera, and prints frames, CPU nanoseconds of the encodes alone and JPEG bytes as one line of
// JSON, with `send` the latencies, too. "0" or the end of stdin ends it.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#ifdef HAVE_TURBOJPEG
#include <turbojpeg.h>
#endif

#include "hal/camera.h"
#include "hal/os/clock.h"
#include "hal/replay/camera_replay.h"
#include "tests/host/support/picture.h"
#include "tests/host/support/plain_readers.h"

#define OUTPUT_BYTES (8u << 20)

static uint8_t output[OUTPUT_BYTES];
static int quality;
static bool is_grey, is_sent;
static FILE *raw_file;

// ---- libjpeg-turbo, bare ----

static struct jpeg_compress_struct bare;
static struct jpeg_error_mgr bare_errors;
static struct jpeg_destination_mgr bare_destination;

static void bare_begin_output(j_compress_ptr cinfo)
{
    cinfo->dest->next_output_byte = output;
    cinfo->dest->free_in_buffer = sizeof output;
}

static boolean bare_output_full(j_compress_ptr cinfo)
{
    (void)cinfo;
    abort();
}

static void bare_end_output(j_compress_ptr cinfo)
{
    (void)cinfo;
}

static void bare_init(void)
{
    bare.err = jpeg_std_error(&bare_errors);
    jpeg_create_compress(&bare);
    bare_destination = (struct jpeg_destination_mgr){.init_destination = bare_begin_output,
                                                     .empty_output_buffer = bare_output_full,
                                                     .term_destination = bare_end_output};
    bare.dest = &bare_destination;
    bare.in_color_space = is_grey ? JCS_GRAYSCALE : JCS_YCbCr;
    bare.input_components = is_grey ? 1 : 3;
    jpeg_set_defaults(&bare);
    jpeg_set_quality(&bare, quality, TRUE);
    bare.raw_data_in = TRUE;
}

static uint32_t bare_encode(const struct hal_frame *f)
{
    JSAMPROW y[16], u[8], v[8];
    JSAMPARRAY planes[3] = {y, u, v};
    bare.image_width = f->width;
    bare.image_height = f->height;
    jpeg_start_compress(&bare, TRUE);
    const uint32_t rows = is_grey ? 8 : 16;
    for (uint32_t row = 0; row < f->height; row += rows) {
        for (uint32_t i = 0; i < rows; i++)
            y[i] = (JSAMPROW)(uintptr_t)(f->plane[0].data +
                                         (size_t)base_min_u32(row + i, f->height - 1) *
                                             f->plane[0].stride);
        for (uint32_t i = 0; i < 8 && !is_grey; i++) {
            size_t at = base_min_u32(row / 2 + i, f->height / 2 - 1);
            u[i] = (JSAMPROW)(uintptr_t)(f->plane[1].data + at * f->plane[1].stride);
            v[i] = (JSAMPROW)(uintptr_t)(f->plane[2].data + at * f->plane[2].stride);
        }
        jpeg_write_raw_data(&bare, planes, rows);
    }
    jpeg_finish_compress(&bare);
    return OUTPUT_BYTES - (uint32_t)bare_destination.free_in_buffer;
}

// ---- the node's own ----

static struct jpeg_encoder own;

static uint8_t *own_block(void *user, uint32_t *bytes)
{
    (void)user;
    *bytes = sizeof output;
    return output;
}

static uint32_t own_encode(const struct hal_frame *f)
{
    struct jpeg_picture picture = picture_planes(f);
    struct jpeg_options options = {.quality = (uint8_t)quality};
    struct jpeg_sink sink = {.next_block = own_block};
    int status = jpeg_encoder_begin(&own, &picture, &options, &sink) ? -1 : 1;
    while (status == 1)
        status = jpeg_encoder_slice(&own);
    if (status != 0)
        abort();
    return jpeg_encoder_bytes(&own);
}

// ---- TurboJPEG's API ----

#ifdef HAVE_TURBOJPEG
static tjhandle turbo;

static uint32_t turbo_encode(const struct hal_frame *f)
{
    const unsigned char *planes[3] = {f->plane[0].data, f->plane[1].data, f->plane[2].data};
    int strides[3] = {(int)f->plane[0].stride, (int)f->plane[1].stride, (int)f->plane[2].stride};
    unsigned char *out = output;
    unsigned long bytes = sizeof output;
    if (tjCompressFromYUVPlanes(turbo, planes, (int)f->width, strides, (int)f->height,
                                is_grey ? TJSAMP_GRAY : TJSAMP_420, &out, &bytes, quality,
                                TJFLAG_NOREALLOC))
        abort();
    return (uint32_t)bytes;
}
#endif

// ---- the frames as they are, for other programs ----

static void write_rows(const struct hal_plane *plane, uint32_t bytes, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++)
        if (fwrite(plane->data + (size_t)i * plane->stride, 1, bytes, raw_file) != bytes)
            abort();
}

static uint32_t raw_write(const struct hal_frame *f)
{
    if (f->format == HAL_PIXEL_YUYV) {
        write_rows(&f->plane[0], 2 * f->width, f->height);
        return 2 * f->width * f->height;
    }
    write_rows(&f->plane[0], f->width, f->height);
    write_rows(&f->plane[1], f->width / 2, f->height / 2);
    write_rows(&f->plane[2], f->width / 2, f->height / 2);
    return f->width * f->height * 3 / 2;
}

typedef uint32_t encode_fn(const struct hal_frame *frame);

static encode_fn *prepare(const char *name, const char *argument)
{
    is_sent = !strcmp(name, "send");
    if (is_sent && plain_readers_start((unsigned)atoi(argument)) < 0)
        return NULL;
    if (!strcmp(name, "own")) {
        jpeg_encoder_init(&own, NULL);
        return own_encode;
    }
    if (!strcmp(name, "bare") || is_sent) {
        bare_init();
        return bare_encode;
    }
#ifdef HAVE_TURBOJPEG
    if (!strcmp(name, "turbo") && (turbo = tjInitCompress()) != NULL)
        return turbo_encode;
#endif
    if (!strcmp(name, "raw") && (raw_file = fopen(argument, "wb")) != NULL)
        return raw_write;
    return NULL;
}

/** False: the readers have ended. */
static bool batch(const struct hal_camera_ops *camera, encode_fn *encode, unsigned count)
{
    struct pollfd wait = {.fd = camera->fd(), .events = POLLIN};
    uint64_t cpu_ns = 0, bytes = 0;
    struct hal_frame frame;
    // What gathered while this process was stopped or waited for its turn is not paced.
    while (camera->acquire(&frame) == 1)
        camera->release(&frame);
    bool is_good = true;
    for (unsigned done = 0; done < count && is_good;) {
        poll(&wait, 1, 1000);
        while (done < count && camera->acquire(&frame) == 1) {
            uint64_t ready_ns = clock_now_ns(), start_ns = clock_thread_cpu_ns();
            uint32_t frame_bytes = encode(&frame);
            cpu_ns += clock_thread_cpu_ns() - start_ns;
            if (is_sent)
                is_good = plain_readers_send(output, frame_bytes, ready_ns,
                                             clock_now_ns() - ready_ns) == 0;
            bytes += frame_bytes;
            camera->release(&frame);
            done++;
        }
    }
    struct latency *latency = is_sent && is_good ? plain_readers_finish() : NULL;
    if (is_sent && latency == NULL)
        return false;
    printf("{\"frames\": %u, \"cpu_ns\": %llu, \"bytes\": %llu", count, (unsigned long long)cpu_ns,
           (unsigned long long)bytes);
    if (is_sent) {
        printf(", ");
        latency_print(latency);
    }
    printf("}\n");
    fflush(stdout);
    return true;
}

/** Frames per photograph, so that batches of whole rounds see the same pictures; without it the
 * camera's own choice. */
static double frames_each(void)
{
    const char *each = getenv("BENCH_EACH");
    return each != NULL ? atof(each) : 0;
}

static int show_each(const struct hal_camera_ops *camera, double frames)
{
    const struct hal_feature *feature;
    for (unsigned i = 0; frames > 0 && (feature = camera->feature(i)) != NULL; i++)
        if (!strcmp(feature->name, "ReplayFrames"))
            return camera->feature_set(i, frames);
    return frames > 0 ? -ENOENT : 0;
}

static int open_camera(const struct hal_camera_ops *camera, char **argv)
{
    struct hal_camera_config got,
        want = {
            .format = (enum hal_pixel_format)hal_pixel_format_parse(argv[1]),
            .width = (uint32_t)atoi(argv[2]),
            .height = (uint32_t)atoi(argv[3]),
            .framerate = atof(argv[4]),
            .buffers = 4,
            .memory_bytes = UINT64_C(2) << 30,
        };
    if (camera->open(argv[0]) || camera->configure(&want, &got) ||
        show_each(camera, frames_each()) || camera->start()) {
        fprintf(stderr, "%s\n", camera->last_error());
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    bool has_argument = argc > 1 && (!strcmp(argv[1], "raw") || !strcmp(argv[1], "send"));
    if (argc != 8 + has_argument) {
        fprintf(stderr, "usage: bench_encode own|bare|'send N'|turbo|'raw FILE' DIR FORMAT WIDTH "
                        "HEIGHT FRAMERATE QUALITY\n");
        return 2;
    }
    char **settings = argv + 2 + has_argument;
    quality = atoi(settings[5]);
    is_grey = !strcmp(settings[1], "GREY");
    encode_fn *encode = prepare(argv[1], argv[2]);
    if (encode == NULL)
        return 77; // not built in
    if (open_camera(&hal_camera_replay, settings))
        return 1;
    unsigned count;
    while (scanf("%u", &count) == 1 && count)
        if (!batch(&hal_camera_replay, encode, count))
            return 1;
    if (raw_file != NULL && fclose(raw_file))
        return 1;
    hal_camera_replay.close();
    return 0;
}
