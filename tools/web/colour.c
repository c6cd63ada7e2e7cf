// SPDX-License-Identifier: MIT
// Nothing is decoded. A baseline JPEG may have a scan for each component (ITU-T T.81, 4.8), and the
// luma's is the grey picture's, byte for byte. Only the frame header changes, and two scans follow
// in which all coefficients are 0. Their Huffman tables have one code of one bit, so a block takes
// two bits.
#include "tools/web/colour.h"

#include <stdbool.h>
#include <string.h>

enum {
    SOF0_GREY_BYTES = 13, /**< marker and segment, for one component */
    SOF0_BYTES = 19,      /**< for three */
    SOS_BYTES = 10,
    MARKER_BYTES = 2, /**< EOI */
};

/** DRI: no restarts. DHT: tables 1 for DC and AC with one code, for 0. */
static const uint8_t tables[46] = {[0] = 0xFF, [1] = 0xDD,  [3] = 4,  [6] = 0xFF,  [7] = 0xC4,
                                   [9] = 38,   [10] = 0x01, [11] = 1, [28] = 0x11, [29] = 1};

/** Where the picture ends: at its last EOI. 0: it has none. */
static size_t find_end(const uint8_t *jpeg, size_t bytes)
{
    for (size_t at = bytes; at >= MARKER_BYTES; at--)
        if (jpeg[at - 2] == 0xFF && jpeg[at - 1] == 0xD9)
            return at - MARKER_BYTES;
    return 0;
}

/** Of a chroma plane, which has half the width and height. */
static size_t count_blocks(const struct jpeg_shape *shape)
{
    return ((size_t)shape->width + 15) / 16 * (((size_t)shape->height + 15) / 16);
}

/** Two bits for each block. */
static size_t plane_bytes(const struct jpeg_shape *shape)
{
    return (2 * count_blocks(shape) + 7) / 8;
}

static uint8_t *put(uint8_t *out, const void *from, size_t bytes)
{
    return (uint8_t *)memcpy(out, from, bytes) + bytes;
}

/** Luma is sampled twice as often in both directions; all share its quantiser. */
static uint8_t *put_frame_header(uint8_t *out, const uint8_t *grey)
{
    const uint8_t id = grey[10], quantiser = grey[12];
    const uint8_t second = (uint8_t)(id + 1), third = (uint8_t)(id + 2);
    const uint8_t components[] = {3,    id,        0x22,  quantiser, second,
                                  0x11, quantiser, third, 0x11,      quantiser};
    static const uint8_t start[] = {0xFF, 0xC0, 0, SOF0_BYTES - 2};
    out = put(out, start, sizeof start);
    out = put(out, grey + sizeof start, 5); // precision, height, width
    return put(out, components, sizeof components);
}

static uint8_t *put_scan(uint8_t *out, uint8_t id, const struct jpeg_shape *shape)
{
    const uint8_t head[SOS_BYTES] = {0xFF, 0xDA, 0, SOS_BYTES - 2, 1, id, 0x11, 0, 63, 0};
    const size_t bytes = plane_bytes(shape);
    out = put(out, head, sizeof head);
    memset(out, 0, bytes);
    out[bytes - 1] =
        (uint8_t)((1u << (8 * bytes - 2 * count_blocks(shape))) - 1); // filled up with ones
    return out + bytes;
}

static void convert(struct web_frame *out, const struct web_frame *grey, size_t header, size_t end)
{
    const uint8_t *from = grey->meta.jpeg;
    const uint8_t id = from[header + 10];
    const size_t rest = header + SOF0_GREY_BYTES;
    uint8_t *to = put(out->bytes, from, header);
    to = put_frame_header(to, from + header);
    to = put(to, from + rest, end - rest);
    to = put(to, tables, sizeof tables);
    to = put_scan(to, (uint8_t)(id + 1), &grey->shape);
    to = put_scan(to, (uint8_t)(id + 2), &grey->shape);
    to = put(to, "\xFF\xD9", MARKER_BYTES);
    out->meta.jpeg_bytes = (size_t)(to - out->bytes);
}

/** No real picture has fewer bytes than a plane of nothing. */
static bool is_grey(const struct web_frame *frame, size_t header, size_t end)
{
    const struct jpeg_shape *shape = &frame->shape;
    return shape->width > 0 && shape->height > 0 &&
           memcmp(frame->meta.jpeg + header, "\xFF\xC0\0\x0B", 4) == 0 &&
           end >= header + SOF0_GREY_BYTES && plane_bytes(shape) <= end;
}

struct web_frame *web_frame_in_colour(struct web_frame *frame)
{
    if (frame->colour != NULL)
        return frame->colour;
    if (frame->shape.components != 1)
        return frame;
    const uint8_t *jpeg = frame->meta.jpeg;
    const size_t bytes = frame->meta.jpeg_bytes, header = jpeg_frame_header(jpeg, bytes);
    const size_t end = find_end(jpeg, bytes);
    if (!is_grey(frame, header, end))
        return frame;
    struct web_frame *colour =
        web_frame_new(frame->lender, bytes + SOF0_BYTES + sizeof tables +
                                         2 * (SOS_BYTES + plane_bytes(&frame->shape)));
    if (colour == NULL)
        return NULL;
    frame->colour = colour;
    colour->meta = frame->meta;
    colour->meta.jpeg = colour->bytes;
    colour->serial = frame->serial;
    colour->latency_ns = frame->latency_ns;
    colour->exposed_ns = frame->exposed_ns;
    convert(colour, frame, header, end);
    return colour;
}
