// SPDX-License-Identifier: MIT
// Reaches: app/jpeg/header.c app/jpeg/exif.c tools/common/jpeg_shape.c tools/web/colour.c
// The headers of a camera's own JPEG: what the node adds to them, and what the tools read from
// them.
#include <stdlib.h>
#include <string.h>

#include "app/jpeg/jpeg.h"
#include "tools/common/jpeg_shape.h"
#include "tools/web/colour.h"

#define INPUT_MAX (64u * 1024u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require(bool is_right)
{
    if (!is_right)
        abort();
}

/** As the node sends it: SOI, the segment, the rest. Exactly as long as it is. */
static uint8_t *insert(const uint8_t *jpeg, uint32_t bytes, uint32_t at, const uint8_t *segment,
                       uint32_t segment_bytes)
{
    uint8_t *out = malloc((size_t)bytes + segment_bytes);
    require(out != NULL);
    memcpy(out, jpeg, at);
    memcpy(out + at, segment, segment_bytes);
    memcpy(out + at + segment_bytes, jpeg + at, bytes - at);
    return out;
}

static void check_tables(const uint8_t *jpeg, uint32_t bytes, const struct jpeg_survey *survey)
{
    uint32_t at = jpeg_find_missing_tables(survey);
    if (at == 0)
        return;
    require(at == survey->scan && at < bytes && !survey->has_huffman_tables);
    uint8_t *whole = insert(jpeg, bytes, at, jpeg_encoder_tables(), JPEG_TABLES_BYTES);
    struct jpeg_survey after = jpeg_survey_headers(whole, bytes + JPEG_TABLES_BYTES);
    require(after.has_huffman_tables && after.scan == survey->scan + JPEG_TABLES_BYTES);
    require(jpeg_find_missing_tables(&after) == 0);
    free(whole);
}

static void check_exif(const uint8_t *jpeg, uint32_t bytes, const struct jpeg_survey *survey,
                       uint64_t seed)
{
    uint8_t segment[JPEG_EXIF_SEGMENT_BYTES];
    const struct jpeg_exif exif = {.realtime_ns = seed * 0x9E3779B97F4A7C15u,
                                   .exposure_us = (uint32_t)seed,
                                   .gain_milli = (uint32_t)(seed >> 16),
                                   .frame_id = seed,
                                   .boot_id = ~seed,
                                   .model = seed & 1 ? "a model of a camera" : NULL};
    uint32_t length = jpeg_exif_segment(segment, &exif);
    require(length > 4 && length <= sizeof segment);
    uint8_t *whole = insert(jpeg, bytes, 2, segment, length);
    struct jpeg_survey after = jpeg_survey_headers(whole, bytes + length);
    require(after.frame == survey->frame);
    require(survey->scan == 0 || (after.has_exif && after.scan == survey->scan + length));
    free(whole);
}

/** What the gateway makes of a grey picture. */
static void check_colour(const uint8_t *jpeg, size_t bytes)
{
    struct web_frame_pool pool;
    struct jpeg_shape shape;
    web_frame_pool_init(&pool);
    struct web_lender *lender = web_lender_open(&pool, NULL);
    require(lender != NULL);
    struct web_frame *frame = web_frame_new(lender, 0);
    require(frame != NULL);
    frame->meta.jpeg = jpeg;
    frame->meta.jpeg_bytes = bytes;
    frame->serial = 1;
    (void)jpeg_shape_read(&frame->shape, jpeg, bytes);
    const struct web_frame *colour = web_frame_in_colour(frame);
    require(colour == frame ||
            (jpeg_shape_read(&shape, colour->meta.jpeg, colour->meta.jpeg_bytes) &&
             shape.components == 3 && shape.width == frame->shape.width &&
             shape.height == frame->shape.height));
    web_frame_unref(frame);
    web_lender_close(lender);
    web_frame_pool_destroy(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct jpeg_shape shape;
    uint64_t seed = 0;
    (void)jpeg_shape_read(&shape, data, bytes);
    require(jpeg_shape_equals(&shape, &shape));
    // The survey's promise is for what begins with SOI.
    if (bytes < 4 || bytes > INPUT_MAX || data[0] != 0xFF || data[1] != 0xD8)
        return 0;
    struct jpeg_survey survey = jpeg_survey_headers(data, (uint32_t)bytes);
    require(survey.scan < bytes);
    require(jpeg_process_name(survey.frame)[0] != '\0');
    memcpy(&seed, data + bytes - 4, 4);
    check_tables(data, (uint32_t)bytes, &survey);
    check_exif(data, (uint32_t)bytes, &survey, seed);
    check_colour(data, bytes);
    return 0;
}
