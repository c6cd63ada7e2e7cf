// SPDX-License-Identifier: MIT
#include "app/jpeg/private.h"

#include <string.h>

/** T.81 Annex C: codes of one length count up, a longer one begins at twice what follows them. */
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

static uint32_t near_code(const uint32_t *codes, uint32_t run, int32_t value)
{
    struct jpeg_value v = jpeg_value_of(value);
    uint32_t code = codes[run << 4 | v.size];
    return (code >> 5 | v.bits) << 8 | (code & 31);
}

static void build_near_codes(struct jpeg_codes *codes)
{
    for (int32_t i = 0; i < 2 * JPEG_NEAR_DC; i++)
        codes->near_dc[i] = near_code(codes->dc, 0, i - JPEG_NEAR_DC);
    for (uint32_t run = 0; run < JPEG_NEAR_RUNS; run++)
        for (int32_t value = JPEG_NEAR_MIN; value <= JPEG_NEAR_MAX; value++) {
            bool is_near = run <= 15 && value > JPEG_NEAR_MIN && value < JPEG_NEAR_MAX;
            codes->near_ac[run][value - JPEG_NEAR_MIN] =
                is_near ? near_code(codes->ac, run, value) : JPEG_FAR;
        }
}

void jpeg_scan_init(struct jpeg_scan *scan)
{
    for (unsigned i = 0; i < 2; i++) {
        build_codes(scan->codes[i].dc, 2 * i);
        build_codes(scan->codes[i].ac, 2 * i + 1);
        build_near_codes(&scan->codes[i]);
    }
}

/** The product is x / divisor << shift, moved away from zero by less than a half, then rounded
 * down. So a quotient on a half rounds away from zero, and one beside a half stays on its side.
 * That needs 0 < multiplier * divisor - (1 << (14 + ceiling)) <= divisor <= 1 << ceiling, and x < 1
 * << 14. */
void jpeg_scan_set_divisors(struct jpeg_divisors *divisors, const uint8_t quantiser[64],
                            const struct jpeg_scan_variant *variant)
{
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t divisor = 8u * quantiser[i];
        // The multiplier has all of 15 bits: 2^14 <= 2^(product_shift + shift) / divisor < 2^15.
        uint32_t ceiling = 32 - (uint32_t)__builtin_clz(divisor - 1); // divisor <= 2^ceiling
        uint32_t shift = 14 + ceiling - variant->product_shift;
        int16_t multiplier = (int16_t)((1u << (14 + ceiling)) / divisor + 1);
        int16_t power = (int16_t)(1u << (15 - shift));
        for (uint32_t block = 0; block < variant->blocks; block++) {
            uint32_t at = (i / 8 * 2 * variant->blocks + block) * 8 + i % 8;
            divisors->factor[at] = multiplier;
            divisors->factor[at + 8u * variant->blocks] = power;
        }
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
    scan->bits_free = JPEG_WORD_BITS;
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
