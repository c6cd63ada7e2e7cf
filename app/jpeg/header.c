// SPDX-License-Identifier: MIT
// Everything of a JPEG that is not entropy-coded, marker by marker as libjpeg writes it.
#include "app/jpeg/private.h"

#include <string.h>

const uint8_t jpeg_header_zigzag[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};

/** T.81 Annex K.1, natural order. */
static const uint8_t luma_quantiser[64] = {
    16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,
    14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,
    18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
};

static const uint8_t chroma_quantiser[64] = {
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99,
    99, 99, 47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
};

// clang-format off
#define DC_VALUES 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b

const uint8_t jpeg_header_tables[JPEG_TABLES_BYTES] = {
    0xff, 0xc4, (JPEG_TABLES_BYTES - 2) >> 8, (JPEG_TABLES_BYTES - 2) & 0xff,
    // DC, luma
    0x00, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, DC_VALUES,
    // AC, luma
    0x10, 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d,
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
    // DC, chroma
    0x01, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, DC_VALUES,
    // AC, chroma
    0x11, 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77,
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
};
// clang-format on

const uint8_t *jpeg_header_table(unsigned index, uint32_t *bytes)
{
    for (const uint8_t *table = jpeg_header_tables + 4;; table += *bytes, index--) {
        *bytes = 1 + 16;
        for (unsigned i = 1; i <= 16; i++)
            *bytes += table[i];
        if (index == 0)
            return table;
    }
}

static void scale(uint8_t out[64], const uint8_t table[64], unsigned quality)
{
    uint32_t percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    for (unsigned i = 0; i < 64; i++) {
        uint32_t value = (table[i] * percent + 50) / 100;
        out[i] = (uint8_t)(value < 1 ? 1 : base_min_u32(value, 255));
    }
}

void jpeg_header_quantisers(uint8_t luma[64], uint8_t chroma[64], unsigned quality)
{
    scale(luma, luma_quantiser, quality);
    scale(chroma, chroma_quantiser, quality);
}

static uint8_t *put(uint8_t *out, const void *bytes, size_t count)
{
    memcpy(out, bytes, count);
    return out + count;
}

static uint8_t *put16(uint8_t *out, uint32_t value)
{
    *out++ = (uint8_t)(value >> 8);
    *out++ = (uint8_t)value;
    return out;
}

/** A marker and the length of its segment, which counts itself. */
static uint8_t *put_marker(uint8_t *out, uint8_t marker, uint32_t payload)
{
    *out++ = 0xff;
    *out++ = marker;
    return put16(out, payload + 2);
}

uint32_t jpeg_header_start(uint8_t *out)
{
    // JFIF 1.1, no density, no thumbnail
    static const uint8_t bytes[] = {0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F',
                                    0,    1,    1,    0,    0, 1,  0,   1,   0,   0};
    put(out, bytes, sizeof bytes);
    return sizeof bytes;
}

uint32_t jpeg_exif_segment(uint8_t out[JPEG_EXIF_SEGMENT_BYTES], const struct jpeg_exif *exif)
{
    uint32_t bytes = jpeg_exif_build(out + 4, exif);
    put_marker(out, 0xe1, bytes);
    return bytes + 4;
}

static uint8_t *put_quantiser(uint8_t *out, uint8_t id, const uint8_t table[64])
{
    out = put_marker(out, 0xdb, 65);
    *out++ = id;
    for (unsigned i = 0; i < 64; i++)
        *out++ = table[jpeg_header_zigzag[i]];
    return out;
}

static uint8_t *put_frame(uint8_t *out, const struct jpeg_input *input)
{
    uint8_t count = input->chroma_rows ? 3 : 1;
    uint8_t sampling = count == 1 ? 0x11 : input->mcu_rows == 16 ? 0x22 : 0x21;
    out = put_marker(out, 0xc0, 6 + 3u * count);
    *out++ = 8;
    out = put16(put16(out, input->picture.height), input->picture.width);
    *out++ = count;
    for (uint8_t i = 0; i < count; i++) {
        const uint8_t component[] = {(uint8_t)(i + 1), i ? 0x11 : sampling, i > 0};
        out = put(out, component, sizeof component);
    }
    return out;
}

/** Each table in a segment of its own. */
static uint8_t *put_codes(uint8_t *out, uint8_t count)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t bytes;
        const uint8_t *table = jpeg_header_table(i, &bytes);
        out = put(put_marker(out, 0xc4, bytes), table, bytes);
    }
    return out;
}

uint32_t jpeg_header_scan(uint8_t *out, const struct jpeg_input *input, const uint8_t luma[64],
                          const uint8_t chroma[64], uint32_t restart_interval)
{
    uint8_t *at = put_quantiser(out, 0, luma);
    uint8_t count = input->chroma_rows ? 3 : 1;
    if (count == 3)
        at = put_quantiser(at, 1, chroma);
    at = put_codes(put_frame(at, input), count == 3 ? 4 : 2);
    if (restart_interval)
        at = put16(put_marker(at, 0xdd, 2), restart_interval);
    at = put_marker(at, 0xda, 4 + 2u * count);
    *at++ = count;
    for (uint8_t i = 0; i < count; i++) {
        *at++ = (uint8_t)(i + 1);
        *at++ = i ? 0x11 : 0x00;
    }
    const uint8_t spectrum[] = {0, 63, 0};
    return (uint32_t)(put(at, spectrum, sizeof spectrum) - out);
}

// ---- motion JPEG as cameras send it ----

enum { SOF0 = 0xC0, DHT = 0xC4, JPG = 0xC8, DAC = 0xCC, RST0 = 0xD0, EOI = 0xD9, SOS = 0xDA };
enum { APP1 = 0xE1, FILL = 0xFF };

/** Neither markers without a length nor other bytes may occur between SOI and SOS. */
static bool is_out_of_place(uint8_t marker)
{
    return marker < SOF0 || (marker >= RST0 && marker <= EOI);
}

static bool is_frame(uint8_t marker)
{
    return marker >= SOF0 && marker < RST0 && marker != DHT && marker != JPG && marker != DAC;
}

/** Notes what one segment says; `payload` has `bytes` bytes. */
static void note_segment(struct jpeg_survey *survey, uint8_t marker, const uint8_t *payload,
                         uint32_t bytes)
{
    if (is_frame(marker))
        survey->frame = marker;
    survey->has_huffman_tables |= marker == DHT;
    survey->has_exif |= marker == APP1 && bytes >= 6 && memcmp(payload, "Exif\0", 6) == 0;
}

struct jpeg_survey jpeg_survey_headers(const uint8_t *jpeg, uint32_t bytes)
{
    struct jpeg_survey survey = {.scan = 0};
    uint32_t at = 2; // behind SOI
    while (at < bytes && bytes - at >= 4 && jpeg[at] == 0xFF) {
        uint8_t marker = jpeg[at + 1];
        if (marker == FILL) {
            at++;
            continue;
        }
        if (is_out_of_place(marker))
            break;
        if (marker == SOS) {
            survey.scan = at;
            break;
        }
        uint32_t length = (uint32_t)jpeg[at + 2] << 8 | jpeg[at + 3];
        if (length < 2 || length > bytes - at - 2)
            break;
        note_segment(&survey, marker, jpeg + at + 4, length - 2);
        at += 2 + length;
    }
    return survey;
}

uint32_t jpeg_find_missing_tables(const struct jpeg_survey *survey)
{
    return survey->frame == SOF0 && !survey->has_huffman_tables ? survey->scan : 0;
}

const char *jpeg_process_name(uint8_t frame)
{
    switch (frame) {
    case SOF0: return "baseline";
    case SOF0 + 1: return "extended sequential";
    case SOF0 + 2: return "progressive";
    case SOF0 + 3: return "lossless";
    default: return frame > JPG ? "arithmetic-coded" : "hierarchical";
    }
}
