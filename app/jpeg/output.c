// SPDX-License-Identifier: MIT
#include "app/jpeg/private.h"

#include <errno.h>
#include <string.h>

static void set_limit(struct jpeg_output *out)
{
    bool has_room = (size_t)(out->area_end - out->area) >= JPEG_MCU_BYTES;
    out->at = has_room ? out->area : out->bounce;
    out->limit = has_room ? out->area_end - JPEG_MCU_BYTES : out->bounce;
}

void jpeg_output_init(struct jpeg_output *out, const struct jpeg_sink *sink, uint32_t bytes_max)
{
    out->sink = *sink;
    out->area = out->area_end = out->bounce;
    out->bytes = 0;
    out->bytes_left = bytes_max ? bytes_max : UINT32_MAX;
    set_limit(out);
}

static int next_area(struct jpeg_output *out)
{
    if (out->bytes_left == 0)
        return -EFBIG;
    uint32_t bytes = 0;
    uint8_t *area = out->sink.next_block(out->sink.user, &bytes);
    if (area == NULL || bytes == 0)
        return -ENOBUFS;
    bytes = base_min_u32(bytes, out->bytes_left);
    out->bytes_left -= bytes;
    out->area = area;
    out->area_end = area + bytes;
    return 0;
}

/** `area` is where the next byte goes; the area's beginning is of no interest. */
int jpeg_output_put(struct jpeg_output *out, const uint8_t *bytes, uint32_t count)
{
    while (count > 0) {
        uint32_t room = (uint32_t)(out->area_end - out->area);
        uint32_t part = base_min_u32(count, room);
        memcpy(out->area, bytes, part);
        out->area += part;
        out->bytes += part;
        bytes += part;
        count -= part;
        int status = count > 0 ? next_area(out) : 0;
        if (status)
            return status;
    }
    set_limit(out);
    return 0;
}

int jpeg_output_turn(struct jpeg_output *out)
{
    if (out->limit == out->bounce)
        return jpeg_output_put(out, out->bounce, (uint32_t)(out->at - out->bounce));
    out->bytes += (uint32_t)(out->at - out->area);
    out->area = out->at;
    set_limit(out);
    return 0;
}
