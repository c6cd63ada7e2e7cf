// SPDX-License-Identifier: MIT
#include "app/jpeg/mjpeg.h"

enum { SOF0 = 0xC0, DHT = 0xC4, RST0 = 0xD0, EOI = 0xD9, SOS = 0xDA, FILL = 0xFF };

/** Markers without a length, and what is no marker: none of them stands between SOI and SOS. */
static bool is_out_of_place(uint8_t marker)
{
    return marker < SOF0 || (marker >= RST0 && marker <= EOI);
}

uint32_t mjpeg_find_missing_tables(const uint8_t *jpeg, uint32_t bytes)
{
    bool is_baseline = false;
    uint32_t at = 2; // behind SOI
    while (at < bytes && bytes - at >= 4 && jpeg[at] == 0xFF) {
        uint8_t marker = jpeg[at + 1];
        if (marker == FILL) {
            at++;
            continue;
        }
        if (marker == DHT || is_out_of_place(marker))
            return 0;
        if (marker == SOS)
            return is_baseline ? at : 0;
        is_baseline |= marker == SOF0;
        uint32_t length = (uint32_t)jpeg[at + 2] << 8 | jpeg[at + 3];
        if (length < 2 || length > bytes - at - 2)
            return 0;
        at += 2 + length;
    }
    return 0;
}
