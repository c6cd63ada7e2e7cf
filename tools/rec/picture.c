// SPDX-License-Identifier: MIT
#include "tools/rec/picture.h"

#include <stdio.h>
#include <string.h>

enum { SOI = 0xD8, SOS = 0xDA, EOI = 0xD9, DHT = 0xC4, JPG = 0xC8, DAC = 0xCC };

static unsigned big_endian16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static bool is_frame_header(uint8_t marker)
{
    return marker >= 0xC0 && marker <= 0xCF && marker != DHT && marker != JPG && marker != DAC;
}

static bool read_header(const uint8_t *segment, unsigned bytes, uint8_t marker,
                        struct rec_shape *out)
{
    if (bytes < 8)
        return false;
    const unsigned components = segment[7];
    if (components == 0 || components > REC_COMPONENTS_MAX || bytes < 8 + 3 * components)
        return false;
    *out = (struct rec_shape){.width = (uint16_t)big_endian16(segment + 5),
                              .height = (uint16_t)big_endian16(segment + 3),
                              .process = marker,
                              .components = (uint8_t)components};
    for (unsigned i = 0; i < components; i++)
        out->sampling[i] = segment[9 + 3 * i];
    return true;
}

bool rec_shape_read(const uint8_t *jpeg, size_t bytes, struct rec_shape *out)
{
    memset(out, 0, sizeof *out);
    if (bytes < 2 || jpeg[0] != 0xFF || jpeg[1] != SOI)
        return false;
    for (size_t at = 2; at + 4 <= bytes;) {
        if (jpeg[at] != 0xFF)
            return false;
        const uint8_t marker = jpeg[at + 1];
        if (marker == 0xFF) { // fill byte
            at++;
            continue;
        }
        if (marker == SOS || marker == EOI)
            return false;
        const unsigned length = big_endian16(jpeg + at + 2);
        if (length < 2 || at + 2 + length > bytes)
            return false;
        if (is_frame_header(marker))
            return read_header(jpeg + at + 2, length, marker, out);
        at += 2 + length;
    }
    return false;
}

bool rec_shape_equals(const struct rec_shape *a, const struct rec_shape *b)
{
    return a->width == b->width && a->height == b->height && a->process == b->process &&
           a->components == b->components &&
           memcmp(a->sampling, b->sampling, sizeof a->sampling) == 0;
}

/** The usual name, or NULL. */
static const char *usual_name(const struct rec_shape *shape)
{
    const uint8_t *s = shape->sampling;
    if (shape->components == 1)
        return "grey";
    if (shape->components != 3 || s[1] != 0x11 || s[2] != 0x11)
        return NULL;
    switch (s[0]) {
    case 0x22: return "4:2:0";
    case 0x21: return "4:2:2";
    case 0x11: return "4:4:4";
    default: return NULL;
    }
}

const char *rec_sampling_name(const struct rec_shape *shape, char *out, size_t size)
{
    const char *name = usual_name(shape);
    size_t length = (size_t)snprintf(out, size, "%s", name != NULL ? name : "");
    for (unsigned i = 0; name == NULL && i < shape->components && length < size; i++)
        length += (size_t)snprintf(out + length, size - length, "%s%ux%u", i > 0 ? "," : "",
                                   (unsigned)shape->sampling[i] >> 4, shape->sampling[i] & 15u);
    return out;
}
