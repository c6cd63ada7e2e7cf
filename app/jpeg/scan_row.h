// SPDX-License-Identifier: MIT
// One MCU row: forward DCT, quantisation, Huffman coding. Written over the operations that the
// including file has defined (scan_common.h). Defines code_row().

// ---- transform: libjpeg's accurate integer DCT (Loeffler, Ligtenberg, Moschytz) ----

enum {
    CONSTANT_BITS = 13,
    FIRST_PASS_BITS = 2, /**< kept by the first pass for the second */
};

INLINE void transform_pass(const struct halves *h, vec x[8], bool is_first)
{
    const int shift = is_first ? CONSTANT_BITS - FIRST_PASS_BITS : CONSTANT_BITS + FIRST_PASS_BITS;
    vec a = h->sum[0] + h->sum[3], b = h->sum[1] + h->sum[2];
    // Samples count from -128, which concerns the sum of all eight alone.
    x[0] = is_first ? (a + b - 8 * 128) << FIRST_PASS_BITS : v_quarter(a + b);
    x[4] = is_first ? (a - b) << FIRST_PASS_BITS : v_quarter(a - b);
    v_even(h->sum[0] - h->sum[3], h->sum[1] - h->sum[2], x, shift);
    v_odd(h->difference, x, shift);
}

/** Takes the first butterfly of the columns, so that the first pass is over the rows. */
INLINE void transform(struct halves *h, const struct jpeg_divisors *d, struct block *blocks)
{
    vec x[8];
    transform_pass(h, x, true);
    v_transpose(x);
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        h->sum[i] = x[i] + x[7 - i];
        h->difference[i] = x[i] - x[7 - i];
    }
    transform_pass(h, x, false);
    const int16_t *factor = d->factor;
    UNROLL
    for (unsigned i = 0; i < 8; i++)
        x[i] = v_divide(x[i], &factor);
    v_store(x, blocks);
}

// Two functions with BLOCKS of 2, each of which keeps its vectors in registers.
#if BLOCKS == 2
static __attribute__((noinline)) void transform_both(struct place a, const struct jpeg_divisors *d,
                                                     struct block blocks[2])
{
    struct halves h;
    v_load_both(a, &h);
    transform(&h, d, blocks);
}

static __attribute__((noinline)) void
transform_two(struct place a, struct place b, const struct jpeg_divisors *d, struct block blocks[2])
{
    struct halves h;
    v_load_two(a, b, &h);
    transform(&h, d, blocks);
}
#else
static __attribute__((noinline)) void
transform_two(struct place a, struct place b, const struct jpeg_divisors *d, struct block blocks[2])
{
    for (unsigned i = 0; i < 2; i++, a = b) {
        struct halves h;
        v_load(a, &h);
        transform(&h, d, &blocks[i]);
    }
}

INLINE void transform_both(struct place a, const struct jpeg_divisors *d, struct block blocks[2])
{
    transform_two(a, (struct place){a.rows, a.at + 8}, d, blocks);
}
#endif

// ---- entropy coding ----

/** The bit buffer, in registers while a row is coded: no function that is not inlined gets at it.
 */
struct bits {
    jpeg_word buffer;
    int32_t free;
    uint8_t *at;
};

static __attribute__((noinline)) uint8_t *put_stuffed(uint8_t *at, jpeg_word word)
{
    for (int32_t shift = JPEG_WORD_BITS - 8; shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(word >> shift);
        *at++ = byte;
        if (byte == 0xff)
            *at++ = 0;
    }
    return at;
}

INLINE uint8_t *put_word(uint8_t *at, jpeg_word word)
{
    // A byte of 0xff carries into its neighbour when one is added to it.
    const jpeg_word ones = (jpeg_word)-1 / 255, high = ones << 7;
    if (__builtin_expect((word & high & ~(word + ones)) != 0, false))
        return put_stuffed(at, word);
    jpeg_word big_endian = JPEG_WORD_BITS == 64 ? htobe64(word) : htobe32((uint32_t)word);
    memcpy(at, &big_endian, sizeof big_endian);
    return at + sizeof big_endian;
}

/** A code of which `free` already counts the length: part of it goes into the next word. */
INLINE void put_overflowing(struct bits *b, uint32_t code, int32_t length)
{
    b->at = put_word(b->at, b->buffer << (length + b->free) | code >> -b->free);
    b->buffer = code;
    b->free += JPEG_WORD_BITS;
}

INLINE void put_bits(struct bits *b, uint32_t code, int32_t length)
{
    b->free -= length;
    if (b->free < 0)
        put_overflowing(b, code, length);
    else
        b->buffer = b->buffer << length | code;
}

/** Any value, by its size's code. */
static __attribute__((noinline)) struct bits put_far(struct bits b, const uint32_t *codes,
                                                     uint32_t run, int32_t value)
{
    for (; run > 15; run -= 16)
        put_bits(&b, codes[15 << 4] >> 5, codes[15 << 4] & 31);
    struct jpeg_value v = jpeg_value_of(value);
    uint32_t code = codes[run << 4 | v.size];
    put_bits(&b, code >> 5 | v.bits, code & 31);
    return b;
}

/** An entry of near_ac or near_dc. False when it is JPEG_FAR: nothing has been put. */
INLINE bool put_near(struct bits *b, jpeg_word entry)
{
    b->free -= (int32_t)(entry & 0xff);
    if (__builtin_expect(b->free >= 0, true)) {
        // A shift takes the low six bits of its count on 64-bit machines, the low byte on ARM.
        b->buffer = b->buffer << (entry & (JPEG_WORD_BITS == 64 ? 63 : 255)) | entry >> 8;
        return true;
    }
    FORGET_BEFORE(b->free);
    int32_t length = entry & 0xff;
    if (length == JPEG_FAR) {
        b->free += length;
        return false;
    }
    put_overflowing(b, (uint32_t)(entry >> 8), length);
    return true;
}

INLINE void put_dc(struct bits *b, const struct jpeg_codes *codes, int32_t value)
{
    if (__builtin_expect((uint32_t)(value + JPEG_NEAR_DC) < 2 * JPEG_NEAR_DC, true))
        put_near(b, codes->near_dc[value + JPEG_NEAR_DC]);
    else
        *b = put_far(*b, codes->dc, 0, value);
}

INLINE void put_block(struct bits *b, const struct jpeg_codes *codes, const struct block *block,
                      int32_t *last_dc)
{
    put_dc(b, codes, block->value[0] - *last_dc);
    *last_dc = block->value[0];
    const uint32_t *near = &codes->near_ac[0][-JPEG_NEAR_MIN];
    size_t done = 1; // coefficients coded
    UNROLL
    for (size_t i = 0; i < JPEG_WORDS; i++) {
        jpeg_word mask = block->nonzero[i];
        if (i == 0)
            mask &= ~nonzero_bit(0);
        while (mask != 0) {
            size_t in_word = first_nonzero(mask);
            mask = clear_first(mask, in_word);
            size_t place = JPEG_WORD_BITS * i + in_word;
            ptrdiff_t at = (ptrdiff_t)((place - done) * JPEG_NEAR_VALUES) + block->near[place];
            FORGET_BEFORE(at);
            done = place + 1;
            if (__builtin_expect(!put_near(b, near[at]), false)) {
                *b = put_far(*b, codes->ac, (uint32_t)(at - JPEG_NEAR_MIN) / JPEG_NEAR_VALUES,
                             block->value[jpeg_header_zigzag[done - 1]]);
            }
        }
    }
    if (done != 64)
        put_near(b, near[0]);
}

/** Pads with ones to a whole byte, then writes the bytes that remain. */
static struct bits flush_bits(struct bits b)
{
    put_bits(&b, 0x7f, 7);
    for (int32_t shift = JPEG_WORD_BITS - b.free - 8; shift >= 0; shift -= 8) {
        *b.at = (uint8_t)(b.buffer >> shift);
        if (*b.at++ == 0xff)
            *b.at++ = 0;
    }
    b.free = JPEG_WORD_BITS;
    return b;
}

static struct bits put_restart(struct jpeg_scan *scan, struct bits b)
{
    b = flush_bits(b);
    *b.at++ = 0xff;
    *b.at++ = (uint8_t)(0xd0 | scan->restart_next);
    scan->restart_next = (scan->restart_next + 1) % 8;
    scan->restart_countdown = scan->restart_interval;
    memset(scan->last_dc, 0, sizeof scan->last_dc);
    return b;
}

// ---- the row ----

/** Blocks beside and below the picture repeat the DC value before them and have nothing else. */
INLINE void pad(struct block *block)
{
    block->value[0] = block[-1].value[0];
    memset(block->nonzero, 0, sizeof block->nonzero);
}

INLINE void transform_luma(const struct jpeg_scan *scan, uint32_t row, uint32_t at,
                           struct block blocks[2])
{
    struct place place = {scan->input.luma + row, 8 * (size_t)at};
    if (at + 1 < scan->luma_blocks) {
        transform_both(place, &scan->divisors[0], blocks);
    } else {
        transform_two(place, place, &scan->divisors[0], blocks);
        pad(&blocks[1]);
    }
}

/** Transforms one MCU, of GREY two. Returns the number of blocks of luma. */
INLINE uint32_t transform_mcu(const struct jpeg_scan *scan, uint32_t mcu, struct block blocks[6])
{
    uint32_t count = 2;
    transform_luma(scan, 0, 2 * mcu, blocks);
    if (scan->input.mcu_rows == 16) {
        if (scan->luma_rows > 8) {
            transform_luma(scan, 8, 2 * mcu, blocks + 2);
        } else {
            pad(&blocks[2]);
            pad(&blocks[3]);
        }
        count = 4;
    }
    if (scan->input.chroma_rows > 0)
        transform_two((struct place){scan->input.u, 8 * (size_t)mcu},
                      (struct place){scan->input.v, 8 * (size_t)mcu}, &scan->divisors[1],
                      blocks + count);
    return count;
}

INLINE void check_restart(struct jpeg_scan *scan, struct bits *b)
{
    if (scan->restart_interval == 0)
        return;
    if (scan->restart_countdown == 0)
        *b = put_restart(scan, *b);
    scan->restart_countdown--;
}

/** See jpeg_ahead. */
INLINE void look_ahead(const struct jpeg_input *input, uint32_t mcu)
{
    for (uint32_t i = 0; i < input->ahead_count; i++) {
        const struct jpeg_ahead *a = &input->ahead[i];
        uint32_t row = (mcu & ((1u << a->line_shift) - 1)) * a->lines_per_mcu;
        const uint8_t *line =
            a->first + (size_t)row * a->stride + ((size_t)(mcu >> a->line_shift) << 6);
        for (uint32_t j = 0; j < a->lines_per_mcu; j++, line += a->stride)
            __builtin_prefetch(line, 0, 2);
    }
}

INLINE void code_mcu(struct jpeg_scan *scan, struct bits *b, uint32_t mcu)
{
    struct block blocks[6], *block = blocks;
    uint32_t count = transform_mcu(scan, mcu, blocks);
    if (scan->input.chroma_rows == 0) {
        // An MCU of one component is one block; the second of the last two may be padding.
        count = base_min_u32(2, scan->luma_blocks - 2 * mcu);
        for (; block < blocks + count; block++) {
            check_restart(scan, b);
            put_block(b, &scan->codes[0], block, &scan->last_dc[0]);
        }
        return;
    }
    check_restart(scan, b);
    for (; block < blocks + count; block++)
        put_block(b, &scan->codes[0], block, &scan->last_dc[0]);
    for (uint32_t i = 1; i <= 2; i++, block++)
        put_block(b, &scan->codes[1], block, &scan->last_dc[i]);
}

static int code_row(struct jpeg_scan *scan)
{
    struct jpeg_output *out = &scan->output;
    struct bits b = {.buffer = scan->bits, .free = scan->bits_free, .at = out->at};
    for (uint32_t mcu = 0; mcu < scan->mcus; mcu++) {
        if (b.at > out->limit) {
            out->at = b.at;
            int status = jpeg_output_turn(out);
            if (status)
                return status;
            b.at = out->at;
        }
        look_ahead(&scan->input, mcu);
        code_mcu(scan, &b, mcu);
    }
    if (scan->is_last_row)
        b = flush_bits(b);
    scan->bits = b.buffer;
    scan->bits_free = b.free;
    out->at = b.at;
    return jpeg_output_turn(out);
}
