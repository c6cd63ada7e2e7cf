// SPDX-License-Identifier: MIT
#include "tools/common/jpeg_shape.h"

#include <string.h>

/** Markers and sizes of ITU-T T.81, annex B. */
enum {
    SOI = 0xD8,
    EOI = 0xD9,
    SOS = 0xDA,
    SOF0 = 0xC0,
    SOF15 = 0xCF,
    DHT = 0xC4,
    JPG = 0xC8,
    DAC = 0xCC
};
enum { FRAME_FIXED_BYTES = 8, COMPONENT_BYTES = 3 };

static bool is_frame_header(uint8_t marker)
{
    return marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG && marker != DAC;
}

static unsigned read_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/** `segment` begins with its length. */
static bool read_frame_header(struct jpeg_shape *out, const uint8_t *segment, size_t length)
{
    if (length < FRAME_FIXED_BYTES)
        return false;
    size_t components = segment[7];
    if (components < 1 || components > sizeof out->sampling ||
        length < FRAME_FIXED_BYTES + components * COMPONENT_BYTES)
        return false;
    out->height = (uint16_t)read_u16(segment + 3);
    out->width = (uint16_t)read_u16(segment + 5);
    out->components = (uint8_t)components;
    for (size_t i = 0; i < components; i++)
        out->sampling[i] = segment[FRAME_FIXED_BYTES + i * COMPONENT_BYTES + 1];
    return true;
}

size_t jpeg_frame_header(const uint8_t *jpeg, size_t bytes)
{
    if (bytes < 2 || jpeg[0] != 0xFF || jpeg[1] != SOI)
        return 0;
    for (size_t at = 2; at + 4 <= bytes && jpeg[at] == 0xFF;) {
        uint8_t marker = jpeg[at + 1];
        if (marker == 0xFF) { // a fill byte
            at++;
            continue;
        }
        size_t length = read_u16(jpeg + at + 2);
        if (marker == EOI || marker == SOS || length < 2 || length > bytes - at - 2)
            return 0;
        if (is_frame_header(marker))
            return at;
        at += 2 + length;
    }
    return 0;
}

bool jpeg_shape_read(struct jpeg_shape *out, const uint8_t *jpeg, size_t bytes)
{
    const size_t at = jpeg_frame_header(jpeg, bytes);
    memset(out, 0, sizeof *out);
    return at != 0 && read_frame_header(out, jpeg + at + 2, read_u16(jpeg + at + 2));
}

bool jpeg_shape_equals(const struct jpeg_shape *a, const struct jpeg_shape *b)
{
    return a->width == b->width && a->height == b->height && a->components == b->components &&
           memcmp(a->sampling, b->sampling, sizeof a->sampling) == 0;
}
