// SPDX-License-Identifier: MIT
// The JPEG encoder: a resumable job over mapped planes, in memory that never grows.
//
// One encoder makes one picture at a time: begin -> slice until it returns 0 or an error. A slice
// is 16 luma rows, so that the loop's turn stays short. YUV420 and GREY are read in place. Chroma
// of NV12 and all of YUYV are first split into planes, in a scratch of one slice. The JPEG bytes
// are written into areas that the sink hands out.
//
// The output is baseline JPEG with the JFIF marker and the standard tables, scaled by quality as
// libjpeg does. It is byte for byte libjpeg's plain encode of the same planes.
// No function allocates, prints or exits. Not thread-safe; encoders are independent of each other.
#ifndef PINHOLE_APP_JPEG_JPEG_H
#define PINHOLE_APP_JPEG_JPEG_H

#include "hal/base.h"

#define JPEG_PLANES_MAX 3u
/** Widest and tallest picture that can be encoded. */
#define JPEG_DIMENSION_MAX 8192u

/** Everything an encoder needs: its tables and the scratch of one slice. */
#define JPEG_ENCODER_BYTES (240u * 1024u)

/** Luma rows per call of jpeg_encoder_slice(). */
#define JPEG_SLICE_ROWS 16u

/** A DHT segment with two tables of 12 and two of 162 values: marker, length, then for each table
 * its class and id, 16 counts and the values. */
#define JPEG_TABLES_BYTES (4u + 4u * 17u + 2u * (12u + 162u))

/** Storage for an encoder, to be placed in static memory. Its content is the module's own. Pages
 * that a picture's width does not need are never touched. */
struct jpeg_encoder {
    _Alignas(64) uint8_t storage[JPEG_ENCODER_BYTES];
};

/** How the samples of a picture are laid out. All 8 bits, full range, BT.601. Chroma of YUV420 and
 * NV12 is subsampled 2x2, of YUYV 2x1. */
enum jpeg_format {
    JPEG_FORMAT_YUV420, /**< planes Y, U, V */
    JPEG_FORMAT_NV12,   /**< planes Y, UV interleaved */
    JPEG_FORMAT_YUYV,   /**< one plane Y0 U Y1 V */
    JPEG_FORMAT_GREY,   /**< one plane Y */
    JPEG_FORMATS
};

/** Where the rows of one plane are. */
struct jpeg_plane {
    const uint8_t *data;
    uint32_t stride; /**< bytes from row to row, at least the row's own bytes */
    uint32_t rows;
};

/** The samples of one picture. Planes that the format does not have are ignored. */
struct jpeg_picture {
    enum jpeg_format format;
    uint32_t width, height; /**< even, 2..JPEG_DIMENSION_MAX */
    struct jpeg_plane plane[JPEG_PLANES_MAX];
};

/** Chroma subsampling of the output. Only YUYV has the choice; YUV420 and NV12 give 4:2:0. */
enum jpeg_chroma { JPEG_CHROMA_420, JPEG_CHROMA_422 };

/** What the EXIF block (APP1, about 500 bytes) says. Fields that are 0 are left out. */
struct jpeg_exif {
    uint64_t realtime_ns; /**< capture time, nanoseconds since 1970-01-01 UTC */
    uint32_t exposure_us;
    uint32_t gain_milli; /**< total gain x 1000; written as ISO speed, 1.0 being ISO 100 */
    uint64_t frame_id;   /**< written as ImageUniqueID, together with boot_id */
    uint64_t boot_id;
    const char *model; /**< at most 63 bytes are written; NULL for none */
};

/** How to encode one picture. */
struct jpeg_options {
    uint8_t quality; /**< 1..100, libjpeg's scale */
    enum jpeg_chroma chroma;
    uint16_t restart_rows; /**< a restart marker after each N MCU rows, so that a receiver can show
                                early rows and survive damage; 0 for none */
    uint32_t bytes_max;    /**< not one byte more is written; 0 for no cap */
    const struct jpeg_exif *exif; /**< NULL for none; read during begin only */
};

/** Where the JPEG goes. `next_block` returns the next area to fill and its length (> 0) in *bytes,
 * or NULL to refuse. Areas are filled in order, each to its end except the last. */
struct jpeg_sink {
    uint8_t *(*next_block)(void *user, uint32_t *bytes);
    void *user;
};

/** One of the instruction sets that the encoder knows (app/jpeg/private.h). */
struct jpeg_scan_variant;

/** Prepares the encoder. Once. `variant` is NULL for the machine's best; tests choose. */
void jpeg_encoder_init(struct jpeg_encoder *encoder, const struct jpeg_scan_variant *variant);

/** Starts a picture and writes its headers. A picture under way is abandoned first, so calling this
 * again for the same picture with a lower quality is how one restarts. `picture` and what `options`
 * and `sink` point at may go after the call, but the planes must stay valid, and sink->user usable,
 * until slice() has returned something other than 1 or the job is abandoned.
 * 0; -EINVAL (format, size or options nobody can encode); -EFBIG, -ENOBUFS as for slice(). */
int jpeg_encoder_begin(struct jpeg_encoder *encoder, const struct jpeg_picture *picture,
                       const struct jpeg_options *options, const struct jpeg_sink *sink);

/** Encodes the next 16 luma rows. 1: more to do. 0: the picture is complete, jpeg_encoder_bytes()
 * long, and the planes are no longer needed. -EFBIG: the picture would exceed bytes_max. -ENOBUFS:
 * the sink refused. -EINVAL: no picture under way. After any of these the job is over and the
 * encoder is ready for begin(). */
int jpeg_encoder_slice(struct jpeg_encoder *encoder);

/** Abandons a picture under way. Harmless otherwise. */
void jpeg_encoder_abort(struct jpeg_encoder *encoder);

/** Bytes written so far for the current picture, or those of the last one once it is over. */
uint32_t jpeg_encoder_bytes(const struct jpeg_encoder *encoder);
/** Luma rows encoded so far, and those of the whole picture. */
uint32_t jpeg_encoder_rows_done(const struct jpeg_encoder *encoder);
uint32_t jpeg_encoder_rows_total(const struct jpeg_encoder *encoder);

/** A sentence about the last failure; "" if none. Lives in the encoder. */
const char *jpeg_encoder_error(const struct jpeg_encoder *encoder);

/** The standard Huffman tables (ITU T.81 Annex K.3) as one DHT segment of JPEG_TABLES_BYTES, for
 * JPEGs of others that lack it. */
const uint8_t *jpeg_encoder_tables(void);

/** The second byte of a baseline JPEG's SOF marker. */
#define JPEG_SOF_BASELINE 0xC0

/** What stands before the scan of a JPEG from a camera. */
struct jpeg_survey {
    uint32_t scan; /**< offset of the first SOS marker; 0 when the markers cannot be followed */
    uint8_t frame; /**< the second byte of its SOF marker; 0 = none */
    bool has_huffman_tables; /**< many cameras leave them out of motion JPEG */
    bool has_exif;
};
/** Reads the headers of a JPEG that begins with SOI. A pure function. */
struct jpeg_survey jpeg_survey_headers(const uint8_t *jpeg, uint32_t bytes);
/** Where jpeg_encoder_tables() belong: the offset of the first SOS marker of a baseline JPEG with
 * no DHT before it. Returns 0 when nothing is missing, the JPEG is not baseline, or its markers
 * cannot be followed from SOI to SOS. */
uint32_t jpeg_find_missing_tables(const struct jpeg_survey *survey);

/** "baseline", "progressive", ... for the second byte of an SOF marker. Static storage. */
const char *jpeg_process_name(uint8_t frame);

/** Room for jpeg_exif_segment(). */
#define JPEG_EXIF_SEGMENT_BYTES 516u
/** Writes an APP1 segment with the EXIF block, for behind the SOI of a camera's JPEG. Returns its
 * length. A pure function. */
uint32_t jpeg_exif_segment(uint8_t out[JPEG_EXIF_SEGMENT_BYTES], const struct jpeg_exif *exif);

/** The vector instructions in use, for --version: "AVX2", "NEON" or "portable". */
const char *jpeg_encoder_variant(void);

#endif
