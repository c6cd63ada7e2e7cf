// SPDX-License-Identifier: MIT
// Pulls frames: opens, sets the camera up, decodes into rows of a chosen pitch, prints frame info.
//
//   cc pull.c $(pkg-config --cflags --libs pinhole) -o pull && ./pull [ADDRESS [FRAMES]]
#include <pinhole.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void check(struct pinhole *camera, int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s\n", pinhole_error(camera));
    exit(1);
}

static void set_up(struct pinhole *camera)
{
    int64_t width, height, width_min, width_max, step;
    double exposure_min, exposure_max, gain_min, gain_max;

    // Resolution.
    check(camera, pinhole_range_int(camera, "Width", &width_min, &width_max, &step));
    check(camera, pinhole_set_lines(camera, "Width=320\nHeight=240\n"));
    check(camera, pinhole_get_int(camera, "Width", &width));
    check(camera, pinhole_get_int(camera, "Height", &height));
    printf("size %" PRId64 "x%" PRId64 ", width %" PRId64 " to %" PRId64 " by %" PRId64 "\n", width,
           height, width_min, width_max, step);

    // Auto exposure: off, once, continuous.
    check(camera, pinhole_set_enum(camera, "ExposureAuto", "Continuous"));
    check(camera, pinhole_set_float(camera, "AutoExposureTimeUpperLimit", 20000));
    check(camera, pinhole_set_enum(camera, "ExposureAuto", "Off"));

    // Exposure and gain, and their ranges.
    check(camera, pinhole_range_float(camera, "ExposureTime", &exposure_min, &exposure_max, NULL));
    check(camera, pinhole_set_float(camera, "ExposureTime", 8000));
    check(camera, pinhole_range_float(camera, "Gain", &gain_min, &gain_max, NULL));
    check(camera, pinhole_set_enum(camera, "GainAuto", "Off"));
    check(camera, pinhole_set_float(camera, "Gain", 1.5));
    printf("exposure %g to %g us, gain %g to %g\n", exposure_min, exposure_max, gain_min, gain_max);
    check(camera, pinhole_set_float(camera, "AcquisitionFrameRate", 50));

    // The picture: mirrored, and the JPEG's quality.
    int is_mirrored;
    int64_t quality;
    check(camera, pinhole_set_bool(camera, "ReverseX", 1));
    check(camera, pinhole_set_int(camera, "ImageCompressionQuality", 75));
    check(camera, pinhole_get_bool(camera, "ReverseX", &is_mirrored));
    check(camera, pinhole_get_int(camera, "ImageCompressionQuality", &quality));
    printf("mirrored %d, quality %" PRId64 "\n", is_mirrored, quality);
}

/** Decodes with 16 bytes of room at each row's end; the caller frees. */
static unsigned char *decode(const struct pinhole_frame *frame, struct pinhole_picture *picture)
{
    *picture = (struct pinhole_picture){.size = sizeof *picture, .pixels = PINHOLE_BGR};
    int64_t bytes = pinhole_decode_size(frame->jpeg, frame->jpeg_bytes, picture);
    if (bytes == -ENOTSUP) {
        fprintf(stderr, "this libpinhole was built without TurboJPEG\n");
        return NULL;
    }
    if (bytes < 0)
        return NULL;
    picture->row_bytes = picture->width * 3 + 16;
    size_t room = picture->row_bytes * picture->height;
    unsigned char *pixels = malloc(room);
    if (pixels == NULL ||
        pinhole_decode(frame->jpeg, frame->jpeg_bytes, picture, pixels, room) < 0) {
        free(pixels);
        return NULL;
    }
    return pixels;
}

static void print_frame(const struct pinhole_frame *frame)
{
    printf("frame %" PRIu64 " sequence %" PRIu64 " sensor %" PRIu32 " at %" PRIu64
           " ns, exposure %" PRIu32 " us, gain %.3f, trigger %" PRIu64 ", skipped %" PRIu32
           ", lost %" PRIu64 "..%" PRIu64 "\n",
           frame->frame_id, frame->sequence, frame->sensor_sequence, frame->timestamp_ns,
           frame->exposure_us, frame->gain_milli / 1000.0, frame->trigger_id, frame->skipped,
           frame->lost_first, frame->lost_last);
}

int main(int argc, char **argv)
{
    struct pinhole *camera;
    struct pinhole_record *record;
    int left = argc > 2 ? atoi(argv[2]) : 5;

    int result = pinhole_open(&camera, argc > 1 ? argv[1] : NULL, NULL);
    check(camera, result);
    set_up(camera);

    const struct pinhole_subscription wish = {.size = sizeof wish, .strategy = PINHOLE_LATEST_ONLY};
    check(camera, pinhole_subscribe(camera, &wish));
    while (left > 0) {
        result = pinhole_next(camera, 1000, &record);
        check(camera, result);
        if (result == 0)
            continue; // nothing within a second
        if (record->kind == PINHOLE_FRAME && record->frame.width == 320) {
            struct pinhole_picture picture;
            unsigned char *pixels = decode(&record->frame, &picture);
            if (pixels == NULL)
                return 1;
            print_frame(&record->frame);
            printf("first pixel B %u G %u R %u, %zu bytes a row\n", pixels[0], pixels[1], pixels[2],
                   picture.row_bytes);
            free(pixels);
            left--;
        } else if (record->kind == PINHOLE_EVENT) {
            printf("event %s %s\n", pinhole_event_name(record->event.kind), record->event.text);
        }
        pinhole_release(camera, record);
    }
    pinhole_unsubscribe(camera);
    pinhole_close(camera);
    return 0;
}
