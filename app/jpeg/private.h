// SPDX-License-Identifier: MIT
// Shared by the encoder's own files and its tests.
//
// The path of a picture: jpeg_header writes the headers. jpeg_input gives pointers to the rows of
// one MCU row. jpeg_scan transforms, quantises and codes these rows in one pass over the pixels.
// Between MCU rows it keeps 64 bits and three DC values. The bytes go into jpeg_output's current
// area.
#ifndef PINHOLE_APP_JPEG_PRIVATE_H
#define PINHOLE_APP_JPEG_PRIVATE_H

#include "app/jpeg/jpeg.h"

#define JPEG_EXIF_BYTES (JPEG_EXIF_SEGMENT_BYTES - 4u)
/** The header of a picture with three components, EXIF apart. */
#define JPEG_HEADER_BYTES 640u
/** 16 rows of luma and twice 8 of chroma, at the greatest width. */
#define JPEG_SCRATCH_BYTES (JPEG_DIMENSION_MAX * 24u)
/** The most bytes of one MCU: six blocks of 64 coefficients of 16 + 10 bits, each byte 0xff and
 * followed by a stuffed zero, a restart marker and what was left in the bit buffer. */
#define JPEG_MCU_BYTES 2560u

// ---- input ----

/** Prefetching of one plane's part of the next MCU row: which cache lines each MCU of the current
 * row asks for. MCU m asks for lines_per_mcu lines, one below the other. */
struct jpeg_ahead {
    const uint8_t *first;
    uint32_t stride;
    uint32_t line_shift; /**< 1 << line_shift MCUs lie beside each other in one line */
    uint32_t lines_per_mcu;
};

/** The picture's planes and the scratch for rows that cannot be read where they are. */
struct jpeg_input {
    struct jpeg_picture picture;
    uint32_t mcu_rows;                     /**< luma rows per MCU row: 16 for 4:2:0, else 8 */
    uint32_t chroma_rows;                  /**< chroma rows per MCU row; 0 for GREY */
    uint32_t luma_stride;                  /**< of the scratch */
    uint32_t chroma_stride;                /**< of the scratch */
    uint8_t *scratch;                      /**< JPEG_SCRATCH_BYTES */
    const uint8_t *luma[16], *u[8], *v[8]; /**< readable up to the next multiple of 8 samples */
    struct jpeg_ahead ahead[JPEG_PLANES_MAX];
    uint32_t ahead_count;
};

/** "YUV420", "NV12", ...; "?" for a value outside the enum. Static storage. */
const char *jpeg_input_format_name(enum jpeg_format format);
/** Takes over the picture. -EINVAL when format, size, strides or planes cannot be encoded. */
int jpeg_input_init(struct jpeg_input *input, const struct jpeg_picture *picture,
                    enum jpeg_chroma chroma, uint8_t *scratch);
/** Points luma, u and v at the MCU row that begins at luma row `row`. */
void jpeg_input_fill(struct jpeg_input *input, uint32_t row);

// ---- unpacking ----
//
// Parting interleaved rows into planes: pure functions over bytes. Each exists twice, for the
// machine's vector unit (SSE2, NEON) and portable; both give the same bytes.

/** One row of `pairs` interleaved U V bytes into two rows of `pairs` bytes. */
void jpeg_unpack_uv(const uint8_t *uv, uint8_t *u, uint8_t *v, uint32_t pairs);
void jpeg_unpack_uv_portable(const uint8_t *uv, uint8_t *u, uint8_t *v, uint32_t pairs);

/** One row of `pairs` groups Y0 U Y1 V into 2 x pairs luma and pairs of each chroma. */
void jpeg_unpack_yuyv(const uint8_t *yuyv, uint8_t *y, uint8_t *u, uint8_t *v, uint32_t pairs);
void jpeg_unpack_yuyv_portable(const uint8_t *yuyv, uint8_t *y, uint8_t *u, uint8_t *v,
                               uint32_t pairs);

/** Two rows of YUYV into two rows of luma and one of each chroma, averaged over the two. The halves
 * round down in even columns and up in odd ones, as libjpeg's own downsampling does, so that no
 * colour drifts. */
void jpeg_unpack_yuyv2(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u, uint8_t *v,
                       uint32_t pairs);
void jpeg_unpack_yuyv2_portable(const uint8_t *const yuyv[2], uint8_t *const y[2], uint8_t *u,
                                uint8_t *v, uint32_t pairs);

/** The mean of two samples as jpeg_unpack_yuyv2() takes it. */
static inline uint8_t jpeg_unpack_mean(uint8_t a, uint8_t b, uint32_t column)
{
    return (uint8_t)((a + b + (column & 1)) >> 1);
}

/** "SSE2", "NEON" or "portable": what the first of each pair uses. */
const char *jpeg_unpack_variant(void);

// ---- output ----

/** The sink's areas, cut at the cap. The writer starts at `at` and moves it behind its last byte.
 * While `at` is not beyond `limit` there is room for JPEG_MCU_BYTES. Near the end of an area both
 * point into `bounce`. The next jpeg_output_turn() then copies these bytes into the areas. */
struct jpeg_output {
    struct jpeg_sink sink;
    uint8_t *at, *limit;
    uint8_t *area, *area_end; /**< the free part of the current area */
    uint32_t bytes;           /**< in areas; exact after a turn */
    uint32_t bytes_left;      /**< of the cap, beyond the current area */
    uint8_t bounce[JPEG_MCU_BYTES];
};

void jpeg_output_init(struct jpeg_output *output, const struct jpeg_sink *sink, uint32_t bytes_max);
/** Makes room for JPEG_MCU_BYTES at `at`. -EFBIG: beyond the cap. -ENOBUFS: the sink refused. After
 * either, the output takes no more, and counts what it took. */
int jpeg_output_turn(struct jpeg_output *output);
/** Copies bytes in, right after a turn. Errors as of turn(). */
int jpeg_output_put(struct jpeg_output *output, const uint8_t *bytes, uint32_t count);

// ---- header ----

/** One component class's quantisation table: libjpeg's standard one (T.81 Annex K.1), scaled. */
void jpeg_header_quantisers(uint8_t luma[64], uint8_t chroma[64], unsigned quality);
/** T.81 Annex K.3 as one DHT segment: DC and AC for luma, then both for chroma. */
extern const uint8_t jpeg_header_tables[JPEG_TABLES_BYTES];
/** One of the four in it: class and id in one byte, 16 counts, the values. Sets their bytes. */
const uint8_t *jpeg_header_table(unsigned index, uint32_t *bytes);
/** Natural index of the coefficient at each place of the zigzag. */
extern const uint8_t jpeg_header_zigzag[64];
/** SOI and the JFIF marker. Returns the bytes written to `out`. */
uint32_t jpeg_header_start(uint8_t *out);
/** DQT, SOF0, DHT, DRI unless restart_interval is 0, SOS; at most JPEG_HEADER_BYTES. The quantiser
 * tables are in natural order. */
uint32_t jpeg_header_scan(uint8_t *out, const struct jpeg_input *input, const uint8_t luma[64],
                          const uint8_t chroma[64], uint32_t restart_interval);

/** Writes the payload of an APP1 marker into `out` (JPEG_EXIF_BYTES). Returns its length. */
uint32_t jpeg_exif_build(uint8_t *out, const struct jpeg_exif *exif);

// ---- scan ----

/** Division by 8 x the quantiser (the transform's output is scaled by 8), rounded to nearest,
 * halves away from zero: (x * multiplier >> PRODUCT_SHIFT) * power >> 15, the second shift rounded,
 * both arithmetic. Exact for -16384 < x < 16384. In natural order; each row of eight comes as often
 * as a vector of the variant holds blocks. */
struct jpeg_divisors {
    _Alignas(32) int16_t factor[2 * 2 * 64]; /**< multipliers of a row, then powers, then the
                                                  next row */
};

/** The bit buffer and the masks of coefficients are as wide as a register. */
#if UINTPTR_MAX > UINT32_MAX
typedef uint64_t jpeg_word;
#define JPEG_WORD_BITS 64
#else
typedef uint32_t jpeg_word;
#define JPEG_WORD_BITS 32
#endif
#define JPEG_WORDS (64 / JPEG_WORD_BITS)

/** The bits that follow a code for a value: its low bits, those of value - 1 when it is negative.
 */
struct jpeg_value {
    uint32_t bits, size;
};

static inline struct jpeg_value jpeg_value_of(int32_t value)
{
    uint32_t magnitude = (uint32_t)(value < 0 ? -value : value);
    uint32_t size = magnitude > 0 ? 32 - (uint32_t)__builtin_clz(magnitude) : 0;
    uint32_t bits = (uint32_t)(value < 0 ? value - 1 : value) & ((1u << size) - 1);
    return (struct jpeg_value){.bits = bits, .size = size};
}

/** AC values within these limits, limits excluded, have their whole code in near_ac. */
#define JPEG_NEAR_RUNS   63
#define JPEG_NEAR_MIN    (-32)
#define JPEG_NEAR_MAX    31
#define JPEG_NEAR_VALUES (JPEG_NEAR_MAX - JPEG_NEAR_MIN + 1)
/** Differences of DC values from -JPEG_NEAR_DC on and below JPEG_NEAR_DC have theirs in near_dc. */
#define JPEG_NEAR_DC 128
/** In place of an entry of near_ac: a longer run or a larger value. Longer than any bit buffer. */
#define JPEG_FAR 127u

/** Huffman codes of one component class. `near_...` are code << 8 | length, the bits of the value
 * included. The others leave room for these bits: (code << size) << 5 | length with them. */
struct jpeg_codes {
    uint32_t dc[16];  /**< by size */
    uint32_t ac[256]; /**< by run << 4 | size */
    uint32_t near_dc[2 * JPEG_NEAR_DC];
    uint32_t near_ac[JPEG_NEAR_RUNS]
                    [JPEG_NEAR_VALUES]; /**< by run; of no run and 0: end of block */
};

/** The entropy-coded segment under way. Component class 0 is luma, 1 is chroma. */
struct jpeg_scan {
    struct jpeg_input input;
    struct jpeg_output output;
    struct jpeg_divisors divisors[2];
    struct jpeg_codes codes[2];
    uint32_t luma_blocks; /**< per row of blocks */
    uint32_t mcus;        /**< per MCU row */
    uint32_t luma_rows;   /**< of the MCU row at hand that belong to the picture */
    bool is_last_row;
    uint32_t restart_interval;  /**< in MCUs; 0 for none */
    uint32_t restart_countdown; /**< MCUs until the next marker */
    uint32_t restart_next;      /**< 0..7 */
    int32_t last_dc[3];
    jpeg_word bits;    /**< the newest bits are the lowest */
    int32_t bits_free; /**< of JPEG_WORD_BITS */
};

/** Codes the MCU row that `input` points at. 0, or jpeg_output_turn()'s errors. */
typedef int jpeg_scan_row(struct jpeg_scan *scan);

/** One per instruction set; all give the same bytes. */
struct jpeg_scan_variant {
    const char *name;
    jpeg_scan_row *row; /**< NULL where the compiler has it not */
    bool (*is_supported)(void);
    uint8_t blocks, product_shift; /**< of its divisors */
};

extern const struct jpeg_scan_variant jpeg_scan_avx2, jpeg_scan_neon, jpeg_scan_portable;

/** Builds the code tables. Once. */
void jpeg_scan_init(struct jpeg_scan *scan);
void jpeg_scan_set_divisors(struct jpeg_divisors *divisors, const uint8_t quantiser[64],
                            const struct jpeg_scan_variant *variant);
/** Before the first row; `input` and `output` are set. */
void jpeg_scan_begin(struct jpeg_scan *scan, uint32_t restart_rows);
/** The machine's best variant. */
const struct jpeg_scan_variant *jpeg_scan_best(void);

#endif
