// SPDX-License-Identifier: MIT
#include "app/jpeg/private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/** What lies in jpeg_encoder.storage. */
struct encoder {
    struct jpeg_scan scan;
    const struct jpeg_scan_variant *variant;
    uint8_t quantiser[2][64];
    uint32_t rows_done;
    uint8_t quality; /**< of the quantisers; 0 before the first picture */
    bool is_running;
    char message[80];
    _Alignas(64) uint8_t scratch[JPEG_SCRATCH_BYTES];
};

static_assert(sizeof(struct encoder) <= JPEG_ENCODER_BYTES,
              "JPEG_ENCODER_BYTES is too small: raise it in app/jpeg/jpeg.h");
static_assert(_Alignof(struct encoder) <= _Alignof(struct jpeg_encoder),
              "struct jpeg_encoder is not aligned enough");

static struct encoder *inside(struct jpeg_encoder *encoder)
{
    return (struct encoder *)(void *)encoder->storage;
}

static const struct encoder *inside_const(const struct jpeg_encoder *encoder)
{
    return (const struct encoder *)(const void *)encoder->storage;
}

void jpeg_encoder_init(struct jpeg_encoder *encoder, const struct jpeg_scan_variant *variant)
{
    struct encoder *e = inside(encoder);
    memset(e, 0, offsetof(struct encoder, scratch));
    e->variant = variant != NULL ? variant : jpeg_scan_best();
    jpeg_scan_init(&e->scan);
}

static int give_up(struct encoder *e, int status)
{
    e->is_running = false;
    if (status == -EFBIG)
        snprintf(e->message, sizeof e->message, "more than %u bytes at quality %u",
                 e->scan.output.bytes, (unsigned)e->quality);
    else
        snprintf(e->message, sizeof e->message, "no room for the picture after %u bytes",
                 e->scan.output.bytes);
    return status;
}

static void set_quality(struct encoder *e, uint8_t quality)
{
    if (e->quality == quality)
        return;
    e->quality = quality;
    jpeg_header_quantisers(e->quantiser[0], e->quantiser[1], quality);
    for (unsigned i = 0; i < 2; i++)
        jpeg_scan_set_divisors(&e->scan.divisors[i], e->quantiser[i], e->variant);
}

static int put_header(struct encoder *e, const struct jpeg_exif *exif)
{
    uint8_t bytes[JPEG_HEADER_BYTES + JPEG_EXIF_BYTES];
    uint32_t count = jpeg_header_start(bytes);
    if (exif != NULL)
        count += jpeg_exif_segment(bytes + count, exif);
    count += jpeg_header_scan(bytes + count, &e->scan.input, e->quantiser[0], e->quantiser[1],
                              e->scan.restart_interval);
    return jpeg_output_put(&e->scan.output, bytes, count);
}

int jpeg_encoder_begin(struct jpeg_encoder *encoder, const struct jpeg_picture *picture,
                       const struct jpeg_options *options, const struct jpeg_sink *sink)
{
    struct encoder *e = inside(encoder);
    e->is_running = false;
    e->rows_done = 0;
    e->message[0] = '\0';
    jpeg_output_init(&e->scan.output, sink, options->bytes_max);
    int bad = jpeg_input_init(&e->scan.input, picture, options->chroma, e->scratch);
    if (bad || options->quality < 1 || options->quality > 100) {
        snprintf(e->message, sizeof e->message, "cannot encode %s %ux%u at quality %u",
                 jpeg_input_format_name(picture->format), picture->width, picture->height,
                 (unsigned)options->quality);
        return -EINVAL;
    }
    set_quality(e, options->quality);
    jpeg_scan_begin(&e->scan, options->restart_rows);
    int status = put_header(e, options->exif);
    if (status)
        return give_up(e, status);
    e->is_running = true;
    return 0;
}

static int encode_row(struct encoder *e)
{
    struct jpeg_scan *scan = &e->scan;
    uint32_t left = scan->input.picture.height - e->rows_done;
    scan->luma_rows = base_min_u32(left, scan->input.mcu_rows);
    scan->is_last_row = scan->luma_rows == left;
    jpeg_input_fill(&scan->input, e->rows_done);
    int status = e->variant->row(scan);
    if (status == 0)
        e->rows_done += scan->luma_rows;
    return status;
}

int jpeg_encoder_slice(struct jpeg_encoder *encoder)
{
    static const uint8_t end_of_image[] = {0xff, 0xd9};
    struct encoder *e = inside(encoder);
    if (!e->is_running)
        return -EINVAL;
    uint32_t end = base_min_u32(e->rows_done + JPEG_SLICE_ROWS, e->scan.input.picture.height);
    int status = 0;
    while (status == 0 && e->rows_done < end)
        status = encode_row(e);
    if (status == 0 && end < e->scan.input.picture.height)
        return 1;
    if (status == 0)
        status = jpeg_output_put(&e->scan.output, end_of_image, sizeof end_of_image);
    if (status)
        return give_up(e, status);
    e->is_running = false;
    return 0;
}

void jpeg_encoder_abort(struct jpeg_encoder *encoder)
{
    inside(encoder)->is_running = false;
}

uint32_t jpeg_encoder_bytes(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->scan.output.bytes;
}

uint32_t jpeg_encoder_rows_done(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->rows_done;
}

uint32_t jpeg_encoder_rows_total(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->scan.input.picture.height;
}

const char *jpeg_encoder_error(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->message;
}

const char *jpeg_encoder_variant(void)
{
    return jpeg_scan_best()->name;
}

const uint8_t *jpeg_encoder_tables(void)
{
    return jpeg_header_tables;
}
