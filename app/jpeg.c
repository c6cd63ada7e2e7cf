// SPDX-License-Identifier: MIT
#include "app/jpeg_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <jerror.h>

#define SPILL_BYTES 16u

/** Which parameters libjpeg holds, so that only what changed is set again. */
struct layout {
    bool is_set, is_grey, is_422;
    uint8_t quality;
};

/** What lies in jpeg_encoder.storage. */
struct encoder {
    struct jpeg_compress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    struct jpeg_memory_mgr *stock_memory; // libjpeg's own; kept, for newer releases use it
    struct jpeg_arena arena;
    struct jpeg_input input;
    struct layout layout;
    jmp_buf escape;
    struct jpeg_sink sink;
    uint32_t bytes_max, bytes_before; // bytes_before: in areas already full
    uint32_t area_bytes;
    uint32_t bytes, rows_done;
    uint32_t warnings;
    int failure;
    bool is_running, is_spilling;
    uint8_t spill[SPILL_BYTES]; // stands in for an area once the cap is reached
    char message[JMSG_LENGTH_MAX];
    uint8_t exif[JPEG_EXIF_BYTES];
    uint8_t tables[JPEG_TABLES_BYTES];
    _Alignas(64) uint8_t arena_memory[JPEG_ARENA_BYTES];
    _Alignas(64) uint8_t scratch[JPEG_SCRATCH_BYTES];
};

static_assert(sizeof(struct encoder) <= JPEG_ENCODER_BYTES,
              "JPEG_ENCODER_BYTES is too small for this libjpeg: raise it in app/jpeg.h");
static_assert(_Alignof(struct encoder) <= _Alignof(struct jpeg_encoder),
              "struct jpeg_encoder is not aligned enough");

static struct encoder *inside(struct jpeg_encoder *encoder)
{
    return (struct encoder *)(void *)encoder->storage;
}

static const struct encoder *inside_const(const struct jpeg_encoder *encoder)
{
    return (const struct encoder *)(const void *)encoder->storage;
}

// ---- libjpeg's error manager: back to the entry point, nothing printed ----

_Noreturn static void fail(struct encoder *e, int failure)
{
    e->failure = failure;
    longjmp(e->escape, 1);
}

_Noreturn static void on_error(j_common_ptr cinfo)
{
    struct encoder *e = cinfo->client_data;
    (*cinfo->err->format_message)(cinfo, e->message);
    fail(e, -EIO);
}

static void on_message(j_common_ptr cinfo, int level)
{
    struct encoder *e = cinfo->client_data;
    if (level < 0)
        e->warnings++;
}

static void on_output(j_common_ptr cinfo)
{
    (void)cinfo;
}

// ---- libjpeg's destination: areas from the sink, cut at the cap ----

static void set_area(struct encoder *e, uint8_t *area, uint32_t bytes)
{
    e->area_bytes = bytes;
    e->destination.next_output_byte = area;
    e->destination.free_in_buffer = bytes;
}

static void next_area(struct encoder *e)
{
    uint32_t left = e->bytes_max - e->bytes_before;
    if (left == 0) {
        // A picture of exactly bytes_max ends here; one byte more is an overflow.
        e->is_spilling = true;
        set_area(e, e->spill, SPILL_BYTES);
        return;
    }
    uint32_t bytes = 0;
    uint8_t *area = e->sink.next_block(e->sink.user, &bytes);
    if (!area || bytes == 0) {
        set_area(e, e->spill, 0);
        snprintf(e->message, sizeof(e->message), "no room for the picture after %u bytes",
                 e->bytes_before);
        fail(e, -ENOBUFS);
    }
    set_area(e, area, base_min_u32(bytes, left));
}

static void check_spill(struct encoder *e)
{
    if (!e->is_spilling || e->destination.free_in_buffer == e->area_bytes)
        return;
    snprintf(e->message, sizeof(e->message), "more than %u bytes at quality %u", e->bytes_max,
             (unsigned)e->layout.quality);
    fail(e, -EFBIG);
}

static void on_begin_output(j_compress_ptr cinfo)
{
    next_area(cinfo->client_data);
}

static boolean on_area_full(j_compress_ptr cinfo)
{
    struct encoder *e = cinfo->client_data;
    cinfo->dest->free_in_buffer = 0; // libjpeg leaves that to us
    check_spill(e);
    e->bytes_before += e->area_bytes;
    next_area(e);
    return TRUE;
}

static void on_end_output(j_compress_ptr cinfo)
{
    check_spill(cinfo->client_data);
}

static uint32_t bytes_written(const struct encoder *e)
{
    uint32_t in_area = e->area_bytes - (uint32_t)e->destination.free_in_buffer;
    return e->bytes_before + (e->is_spilling ? 0 : in_area);
}

// ---- the job ----

static int give_up(struct encoder *e)
{
    e->bytes = bytes_written(e);
    e->is_running = false;
    jpeg_abort_compress(&e->cinfo);
    return e->failure;
}

/** libjpeg sets the standard's tables as its defaults. */
static void note_tables(struct encoder *e)
{
    struct jpeg_compress_struct *c = &e->cinfo;
    c->in_color_space = JCS_YCbCr;
    c->input_components = 3;
    jpeg_set_defaults(c);
    const JHUFF_TBL *const table[] = {c->dc_huff_tbl_ptrs[0], c->ac_huff_tbl_ptrs[0],
                                      c->dc_huff_tbl_ptrs[1], c->ac_huff_tbl_ptrs[1]};
    const uint32_t length = JPEG_TABLES_BYTES - 2; // the marker does not count
    const uint8_t head[] = {0xFF, 0xC4, (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(e->tables, head, sizeof(head));
    uint8_t *out = e->tables + sizeof(head);
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        bool is_ac = i % 2 != 0;
        size_t values = is_ac ? 162 : 12;
        *out = (uint8_t)((is_ac ? 0x10 : 0) | i / 2);
        memcpy(out + 1, table[i]->bits + 1, 16);
        memcpy(out + 17, table[i]->huffval, values);
        out += 17 + values;
    }
}

int jpeg_encoder_init(struct jpeg_encoder *encoder)
{
    struct encoder *e = inside(encoder);
    memset(e, 0, offsetof(struct encoder, arena_memory));
    e->cinfo.err = jpeg_std_error(&e->errors);
    e->cinfo.client_data = e;
    e->errors.error_exit = on_error;
    e->errors.emit_message = on_message;
    e->errors.output_message = on_output;
    if (setjmp(e->escape))
        return e->errors.msg_code == JERR_OUT_OF_MEMORY ? -ENOMEM : -EIO;
    jpeg_create_compress(&e->cinfo);
    jpeg_arena_init(&e->arena, e->arena_memory, JPEG_ARENA_BYTES);
    e->stock_memory = e->cinfo.mem;
    e->cinfo.mem = &e->arena.manager;
    e->destination.init_destination = on_begin_output;
    e->destination.empty_output_buffer = on_area_full;
    e->destination.term_destination = on_end_output;
    e->cinfo.dest = &e->destination;
    note_tables(e);
    return 0;
}

void jpeg_encoder_close(struct jpeg_encoder *encoder)
{
    struct encoder *e = inside(encoder);
    if (!e->stock_memory)
        return;
    e->cinfo.mem = e->stock_memory;
    e->stock_memory = NULL;
    jpeg_destroy_compress(&e->cinfo);
}

static void set_layout(struct encoder *e, const struct jpeg_options *options)
{
    struct jpeg_compress_struct *c = &e->cinfo;
    bool is_grey = e->input.chroma_rows == 0;
    bool is_422 = !is_grey && e->input.mcu_rows == 8;
    if (!e->layout.is_set || e->layout.is_grey != is_grey) {
        e->layout.is_set = false;
        c->in_color_space = is_grey ? JCS_GRAYSCALE : JCS_YCbCr;
        c->input_components = is_grey ? 1 : 3;
        jpeg_set_defaults(c);
        c->raw_data_in = TRUE;
        e->layout.quality = 0;
    }
    if (!is_grey) {
        c->comp_info[0].h_samp_factor = 2;
        c->comp_info[0].v_samp_factor = is_422 ? 1 : 2;
    }
    if (e->layout.quality != options->quality)
        jpeg_set_quality(c, options->quality, TRUE);
    e->layout = (struct layout){
        .is_set = true, .is_grey = is_grey, .is_422 = is_422, .quality = options->quality};
    c->image_width = e->input.width;
    c->image_height = e->input.height;
    c->restart_in_rows = options->restart_rows;
    c->restart_interval = 0;
}

int jpeg_encoder_begin(struct jpeg_encoder *encoder, const struct hal_frame *frame,
                       const struct jpeg_options *options, const struct jpeg_sink *sink)
{
    struct encoder *e = inside(encoder);
    jpeg_encoder_abort(encoder);
    e->bytes = e->bytes_before = e->rows_done = 0;
    e->message[0] = '\0';
    int bad = jpeg_input_init(&e->input, frame, options->chroma, e->scratch);
    if (bad || options->quality < 1 || options->quality > 100) {
        snprintf(e->message, sizeof(e->message), "cannot encode %s %ux%u at quality %u",
                 hal_pixel_format_name(frame->format), frame->width, frame->height,
                 (unsigned)options->quality);
        return -EINVAL;
    }
    e->sink = *sink;
    e->bytes_max = options->bytes_max ? options->bytes_max : UINT32_MAX;
    e->is_spilling = false;
    set_area(e, e->spill, 0);
    if (setjmp(e->escape))
        return give_up(e);
    set_layout(e, options);
    jpeg_start_compress(&e->cinfo, TRUE);
    if (options->exif)
        jpeg_write_marker(&e->cinfo, JPEG_APP0 + 1, e->exif,
                          jpeg_exif_build(e->exif, options->exif));
    e->is_running = true;
    return 0;
}

static void encode_slice(struct encoder *e)
{
    struct jpeg_input *in = &e->input;
    JSAMPARRAY planes[3] = {in->luma, in->u, in->v};
    uint32_t end = base_min_u32(e->rows_done + JPEG_SLICE_ROWS, in->height);
    while (e->rows_done < end) {
        jpeg_input_fill(in, e->rows_done);
        jpeg_write_raw_data(&e->cinfo, planes, in->mcu_rows);
        check_spill(e);
        e->rows_done = base_min_u32(e->rows_done + in->mcu_rows, in->height);
    }
}

int jpeg_encoder_slice(struct jpeg_encoder *encoder)
{
    struct encoder *e = inside(encoder);
    if (!e->is_running)
        return -EINVAL;
    if (setjmp(e->escape))
        return give_up(e);
    encode_slice(e);
    if (e->rows_done < e->input.height)
        return 1;
    jpeg_finish_compress(&e->cinfo);
    e->bytes = bytes_written(e);
    e->is_running = false;
    return 0;
}

void jpeg_encoder_abort(struct jpeg_encoder *encoder)
{
    struct encoder *e = inside(encoder);
    if (!e->is_running)
        return;
    e->failure = 0;
    give_up(e);
}

uint32_t jpeg_encoder_bytes(const struct jpeg_encoder *encoder)
{
    const struct encoder *e = inside_const(encoder);
    return e->is_running ? bytes_written(e) : e->bytes;
}

uint32_t jpeg_encoder_rows_done(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->rows_done;
}

uint32_t jpeg_encoder_rows_total(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->input.height;
}

const char *jpeg_encoder_error(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->message;
}

uint32_t jpeg_encoder_warnings(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->warnings;
}

uint32_t jpeg_encoder_arena_used_max(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->arena.used_max;
}

uint32_t jpeg_encoder_arena_bytes(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->arena.bytes;
}

const uint8_t *jpeg_encoder_tables(const struct jpeg_encoder *encoder)
{
    return inside_const(encoder)->tables;
}

#define TEXT_OF(number)      #number
#define VERSION_TEXT(number) TEXT_OF(number)

const char *jpeg_encoder_version(void)
{
#ifdef LIBJPEG_TURBO_VERSION
    return "libjpeg-turbo " VERSION_TEXT(LIBJPEG_TURBO_VERSION);
#else
    return "libjpeg " VERSION_TEXT(JPEG_LIB_VERSION);
#endif
}
