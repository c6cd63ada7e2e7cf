// SPDX-License-Identifier: MIT
// One MCU row: forward DCT, quantisation, Huffman coding. Written over the operations that the
// including file has defined (scan_common.h). Defines code_row().

// ---- transform: libjpeg's accurate integer DCT (Loeffler, Ligtenberg, Moschytz) ----

enum {
    CONSTANT_BITS = 13,
    FIRST_PASS_BITS = 2, // kept by the first pass for the second
};

INLINE vec dot4(pair ab, pair cd, int at, int shift)
{
    return v_narrow(v_sum(v_dot(ab, at), v_dot(cd, at + 2)), shift);
}

INLINE void transform_pass(vec x[8], bool is_first)
{
    const int shift = is_first ? CONSTANT_BITS - FIRST_PASS_BITS : CONSTANT_BITS + FIRST_PASS_BITS;
    vec sum07 = x[0] + x[7], sum16 = x[1] + x[6], sum25 = x[2] + x[5], sum34 = x[3] + x[4];
    vec a = sum07 + sum34, b = sum16 + sum25;
    pair odd_a = v_pair(x[3] - x[4], x[2] - x[5]), odd_b = v_pair(x[1] - x[6], x[0] - x[7]);
    pair even = v_pair(sum07 - sum34, sum16 - sum25);
    // Samples count from -128, which concerns the sum of all eight alone.
    x[0] = is_first ? (a + b - 8 * 128) << FIRST_PASS_BITS : (a + b + 2) >> FIRST_PASS_BITS;
    x[4] = is_first ? (a - b) << FIRST_PASS_BITS : (a - b + 2) >> FIRST_PASS_BITS;
    x[2] = v_narrow(v_dot(even, 16), shift);
    x[6] = v_narrow(v_dot(even, 18), shift);
    x[1] = dot4(odd_a, odd_b, 0, shift);
    x[3] = dot4(odd_a, odd_b, 4, shift);
    x[5] = dot4(odd_a, odd_b, 8, shift);
    x[7] = dot4(odd_a, odd_b, 12, shift);
}

INLINE void interleave(const vec in[8], vec out[8])
{
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
        out[2 * i] = v_low(in[i], in[i + 4]);
        out[2 * i + 1] = v_high(in[i], in[i + 4]);
    }
}

// Each turn moves one bit of a value's row number to its column number.
INLINE void transpose(vec x[8])
{
    vec once[8], twice[8];
    interleave(x, once);
    interleave(once, twice);
    interleave(twice, x);
}

INLINE void transform(vec x[8], const struct jpeg_divisors *d, struct block *blocks)
{
    transpose(x);
    transform_pass(x, true);
    transpose(x);
    transform_pass(x, false);
    UNROLL
    for (unsigned i = 0; i < 8; i++)
        x[i] = v_divide(x[i], d->half + 8 * i, d->reciprocal + 8 * i, d->power + 8 * i);
    v_store(x, blocks);
}

/** Where the rows of a block begin: rows[i] + at. */
struct place {
    const uint8_t *const *rows;
    size_t at;
};

#if BLOCKS == 2
static __attribute__((noinline)) void
transform_two(struct place a, struct place b, const struct jpeg_divisors *d, struct block blocks[2])
{
    vec x[8];
    if (a.rows == b.rows && b.at == a.at + 8) {
        UNROLL
        for (unsigned i = 0; i < 8; i++)
            x[i] = v_load_both(a.rows[i] + a.at);
    } else {
        UNROLL
        for (unsigned i = 0; i < 8; i++)
            x[i] = v_load(a.rows[i] + a.at, b.rows[i] + b.at);
    }
    transform(x, d, blocks);
}
#else
static __attribute__((noinline)) void transform_one(struct place a, const struct jpeg_divisors *d,
                                                    struct block *block)
{
    vec x[8];
    UNROLL
    for (unsigned i = 0; i < 8; i++)
        x[i] = v_load(a.rows[i] + a.at);
    transform(x, d, block);
}

INLINE void transform_two(struct place a, struct place b, const struct jpeg_divisors *d,
                          struct block blocks[2])
{
    transform_one(a, d, &blocks[0]);
    transform_one(b, d, &blocks[1]);
}
#endif

// ---- entropy coding ----

/** The bit buffer, in registers while a row is coded. */
struct bits {
    uint64_t buffer;
    int32_t free;
    uint8_t *at;
};

static __attribute__((noinline)) uint8_t *put_stuffed(uint8_t *at, uint64_t word)
{
    for (int shift = 56; shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(word >> shift);
        *at++ = byte;
        if (byte == 0xff)
            *at++ = 0;
    }
    return at;
}

INLINE uint8_t *put_word(uint8_t *at, uint64_t word)
{
    // A byte of 0xff carries into its neighbour when one is added to it.
    const uint64_t high = UINT64_C(0x8080808080808080);
    if (__builtin_expect((word & high & ~(word + UINT64_C(0x0101010101010101))) != 0, false))
        return put_stuffed(at, word);
    uint64_t big_endian = htobe64(word);
    memcpy(at, &big_endian, sizeof big_endian);
    return at + sizeof big_endian;
}

INLINE void put_bits(struct bits *b, uint32_t value, int32_t count)
{
    b->free -= count;
    if (__builtin_expect(b->free < 0, false)) {
        b->at = put_word(b->at, b->buffer << (count + b->free) | value >> -b->free);
        b->buffer = value;
        b->free += 64;
    } else {
        b->buffer = b->buffer << count | value;
    }
}

INLINE void put_value(struct bits *b, const uint32_t *codes, uint32_t run,
                      const struct jpeg_value *value)
{
    uint32_t code = codes[run << 4 | value->size];
    put_bits(b, code >> 5 | value->bits, code & 31);
}

INLINE void put_block(struct bits *bits, const struct jpeg_codes *codes,
                      const struct jpeg_value *values, const struct block *block, int32_t *last_dc)
{
    struct bits copy = *bits, *b = &copy; // nobody else's, hence in registers
    const struct jpeg_value *zero = values + JPEG_VALUE_MAX;
    put_value(b, codes->dc, 0, zero + (block->coefficient[0] - *last_dc));
    *last_dc = block->coefficient[0];
    uint32_t done = 1;
    for (uint64_t left = block->nonzero & ~UINT64_C(1); left; left &= left - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(left), run = at - done;
        for (; __builtin_expect(run > 15, false); run -= 16)
            put_value(b, codes->ac, 15, zero);
        put_value(b, codes->ac, run, zero + block->coefficient[at]);
        done = at + 1;
    }
    if (done != 64)
        put_value(b, codes->ac, 0, zero);
    *bits = copy;
}

// Pads with ones to a whole byte, then writes the bytes that remain.
static void flush_bits(struct bits *b)
{
    put_bits(b, 0x7f, 7);
    for (int32_t shift = 64 - b->free - 8; shift >= 0; shift -= 8) {
        *b->at = (uint8_t)(b->buffer >> shift);
        if (*b->at++ == 0xff)
            *b->at++ = 0;
    }
    b->free = 64;
}

static void put_restart(struct jpeg_scan *scan, struct bits *b)
{
    flush_bits(b);
    *b->at++ = 0xff;
    *b->at++ = (uint8_t)(0xd0 | scan->restart_next);
    scan->restart_next = (scan->restart_next + 1) % 8;
    scan->restart_countdown = scan->restart_interval;
    memset(scan->last_dc, 0, sizeof scan->last_dc);
}

// ---- the row ----

// Blocks beside and below the picture repeat the DC value before them and have nothing else.
INLINE void pad(struct block *block)
{
    block->coefficient[0] = block[-1].coefficient[0];
    block->nonzero = 0;
}

INLINE void luma_two(const struct jpeg_scan *scan, uint32_t row, uint32_t at, struct block *blocks)
{
    const uint8_t *const *rows = scan->input.luma + row;
    size_t has_second = at + 1 < scan->luma_blocks;
    transform_two((struct place){rows, 8 * (size_t)at}, (struct place){rows, 8 * (at + has_second)},
                  &scan->divisors[0], blocks);
    if (!has_second)
        pad(&blocks[1]);
}

/** Transforms one MCU, of GREY two. Returns the number of blocks. */
INLINE uint32_t transform_mcu(const struct jpeg_scan *scan, uint32_t mcu, struct block blocks[6])
{
    uint32_t count = 2;
    luma_two(scan, 0, 2 * mcu, blocks);
    if (scan->input.mcu_rows == 16) {
        if (scan->luma_rows > 8) {
            luma_two(scan, 8, 2 * mcu, blocks + 2);
        } else {
            pad(&blocks[2]);
            pad(&blocks[3]);
        }
        count = 4;
    }
    if (scan->input.chroma_rows) {
        transform_two((struct place){scan->input.u, 8 * (size_t)mcu},
                      (struct place){scan->input.v, 8 * (size_t)mcu}, &scan->divisors[1],
                      blocks + count);
        count += 2;
    }
    return count;
}

static inline void check_restart(struct jpeg_scan *scan, struct bits *b)
{
    if (scan->restart_interval == 0)
        return;
    if (scan->restart_countdown == 0)
        put_restart(scan, b);
    scan->restart_countdown--;
}

// See jpeg_ahead.
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
    struct block blocks[6];
    uint32_t count = transform_mcu(scan, mcu, blocks);
    if (scan->input.chroma_rows == 0) {
        // An MCU of one component is one block; the second of the last two may be padding.
        uint32_t real = base_min_u32(2, scan->luma_blocks - 2 * mcu);
        for (uint32_t i = 0; i < real; i++) {
            check_restart(scan, b);
            put_block(b, &scan->codes[0], scan->values, &blocks[i], &scan->last_dc[0]);
        }
        return;
    }
    check_restart(scan, b);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t component = i + 2 < count ? 0 : i + 3 - count;
        put_block(b, &scan->codes[component > 0], scan->values, &blocks[i],
                  &scan->last_dc[component]);
    }
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
        flush_bits(&b);
    scan->bits = b.buffer;
    scan->bits_free = b.free;
    out->at = b.at;
    return jpeg_output_turn(out);
}
