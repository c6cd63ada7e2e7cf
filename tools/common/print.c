// SPDX-License-Identifier: MIT
#include "tools/common/print.h"

#include <inttypes.h>
#include <stdbool.h>

/** Length of the well-formed UTF-8 sequence at text; 0: there is none. */
static int utf8_length(const unsigned char *text)
{
    static const unsigned char firsts[] = {0xc2, 0xe0, 0xf0, 0xf5};
    int more = 0;
    if (*text < 0x80)
        return 1;
    while (more < 4 && *text >= firsts[more])
        more++;
    if (more == 0 || more == 4)
        return 0;
    for (int i = 1; i <= more; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    const unsigned pair = (unsigned)text[0] << 8 | text[1];
    const bool is_odd = (pair >= 0xe080 && pair < 0xe0a0) || (pair >= 0xeda0 && pair < 0xee00) ||
                        (pair >= 0xf080 && pair < 0xf090) || (pair >= 0xf490 && pair < 0xf500);
    return is_odd ? 0 : more + 1;
}

void ctl_json(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    fputc('"', out);
    while (*at != '\0') {
        int length = utf8_length(at);
        if (length == 0)
            fputs("\\ufffd", out);
        else if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at < ' ' || *at == 0x7f)
            fprintf(out, "\\u%04x", *at);
        else
            fwrite(at, 1, (size_t)length, out);
        at += length > 0 ? length : 1;
    }
    fputc('"', out);
}

void ctl_json_frame(FILE *out, const struct pinhole_frame *f)
{
    fprintf(out,
            "\"frame_id\":%" PRIu64 ",\"sequence\":%" PRIu64 ",\"boot_id\":\"%016" PRIx64
            "\",\"sensor_sequence\":%" PRIu32 ",\"width\":%u,\"height\":%u,\"bytes\":%zu"
            ",\"quality\":%u,\"flags\":%" PRIu32 ",\"timestamp_ns\":%" PRIu64
            ",\"realtime_ns\":%" PRIu64 ",\"exposure_us\":%" PRIu32 ",\"gain_milli\":%" PRIu32,
            f->frame_id, f->sequence, f->boot_id, f->sensor_sequence, f->width, f->height,
            f->jpeg_bytes, f->quality, f->flags, f->timestamp_ns, f->realtime_ns, f->exposure_us,
            f->gain_milli);
    fprintf(out,
            ",\"acquired_us\":%" PRIu32 ",\"encode_start_us\":%" PRIu32 ",\"encoded_us\":%" PRIu32
            ",\"queued_us\":%" PRIu32 ",\"skipped\":%" PRIu32,
            f->acquired_us, f->encode_start_us, f->encoded_us, f->queued_us, f->skipped);
    if (f->trigger_id != 0)
        fprintf(out,
                ",\"trigger_id\":%" PRIu64 ",\"source\":\"%s\",\"edge_ns\":%" PRIu64
                ",\"exposure_delta_ns\":%" PRId64 ",\"burst_index\":%d",
                f->trigger_id, pinhole_source_name(f->trigger_source), f->edge_ns,
                f->exposure_delta_ns, f->burst_index);
}
