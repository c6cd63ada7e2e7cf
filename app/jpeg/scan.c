// SPDX-License-Identifier: MIT
#include "app/jpeg/private.h"

#include <string.h>

// T.81 Annex C: codes of one length count up, a longer one begins at twice what follows them.
static void build_codes(uint32_t *codes, unsigned index)
{
    uint32_t bytes;
    const uint8_t *count = jpeg_header_table(index, &bytes) + 1, *value = count + 16;
    uint32_t code = 0;
    for (uint32_t length = 1; length <= 16; length++, code <<= 1)
        for (uint8_t i = 0; i < count[length - 1]; i++, code++, value++) {
            uint32_t size = *value & 0x0f; // of the bits that follow
            codes[*value] = code << size << 5 | (length + size);
        }
}

void jpeg_scan_init(struct jpeg_scan *scan)
{
    for (unsigned i = 0; i < 2; i++) {
        build_codes(scan->codes[i].dc, 2 * i);
        build_codes(scan->codes[i].ac, 2 * i + 1);
    }
    for (int value = -JPEG_VALUE_MAX; value <= JPEG_VALUE_MAX; value++) {
        uint32_t magnitude = (uint32_t)(value < 0 ? -value : value);
        uint32_t size = magnitude ? 32 - (uint32_t)__builtin_clz(magnitude) : 0;
        uint32_t bits = (uint32_t)(value < 0 ? value - 1 : value) & ((1u << size) - 1);
        scan->values[value + JPEG_VALUE_MAX] =
            (struct jpeg_value){.bits = (uint16_t)bits, .size = (uint16_t)size};
    }
}

void jpeg_scan_set_divisors(struct jpeg_divisors *divisors, const uint8_t quantiser[64])
{
    for (unsigned i = 0; i < 64; i++) {
        uint32_t divisor = 8u * quantiser[i];
        // 2^shift < divisor <= 2^(shift + 1), so that the reciprocal has all of 16 bits.
        uint32_t shift = 31 - (uint32_t)__builtin_clz(divisor - 1);
        divisors->half[i] = (uint16_t)(divisor / 2);
        divisors->reciprocal[i] = (uint16_t)((((uint64_t)65536 << shift) + divisor - 1) / divisor);
        divisors->power[i] = (uint16_t)(65536u >> shift);
    }
}

void jpeg_scan_begin(struct jpeg_scan *scan, uint32_t restart_rows)
{
    const struct jpeg_input *in = &scan->input;
    bool is_grey = in->chroma_rows == 0;
    scan->luma_blocks = (in->picture.width + 7) / 8;
    scan->mcus = (scan->luma_blocks + 1) / 2;
    // DRI has 16 bits.
    scan->restart_interval =
        base_min_u32(restart_rows * (is_grey ? scan->luma_blocks : scan->mcus), 65535);
    scan->restart_countdown = scan->restart_interval;
    scan->restart_next = 0;
    scan->bits = 0;
    scan->bits_free = 64;
    memset(scan->last_dc, 0, sizeof scan->last_dc);
}

const struct jpeg_scan_variant *jpeg_scan_best(void)
{
    static const struct jpeg_scan_variant *const variants[] = {&jpeg_scan_avx2, &jpeg_scan_neon};
    for (unsigned i = 0; i < ARRAY_SIZE(variants); i++)
        if (variants[i]->row != NULL && variants[i]->is_supported())
            return variants[i];
    return &jpeg_scan_portable;
}
