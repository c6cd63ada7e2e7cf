// SPDX-License-Identifier: MIT
// Rate control: which quality the next frame is encoded at. No frame exceeds its byte cap, quality
// stays in its range, the bit rate meets its target, and a frame takes about one encode.
//
// Pure: time comes in as an argument, nothing is read or written elsewhere.
//
// One frame:
//     quality = rate_begin(r, timestamp);
//     encode at `quality` with jpeg_options.bytes_max = rate_bytes_max(r)
//         after each slice:   q = rate_watch(r, rows_done, rows_total, bytes)
//                             q > 0: start over at q, the rest would be wasted
//         on -EFBIG:          q = rate_overflow(r, rows_done, rows_total)
//                             q > 0: start over at q.  0: does not fit even at quality_min. The
//                             frame has failed and the state is ready for the next begin.
//     when complete:          rate_done(r, bytes)
//     dropped for any other reason:  rate_cancel(r)
// rate_watch() restarts a frame at most once. A second failure goes to quality_min. So a frame is
// begun at most three times.
#ifndef PINHOLE_APP_RATE_H
#define PINHOLE_APP_RATE_H

#include "hal/base.h"

#define RATE_LAGS         8u  /**< how many frames back a repeating scene is looked for */
#define RATE_PROFILE_ROWS 16u /**< resolution of the byte profile from top to bottom */

struct rate_config {
    uint8_t quality_min, quality_max; /**< 1 <= min <= max <= 100 */
    uint32_t frame_bytes_max;         /**< the cap of one frame; 0 for none */
    uint64_t bits_per_second;         /**< target over any 5 s; where the quality range ends,
                                           rate_is_exceeded() asks to leave frames out. 0 for none:
                                           quality_max unless the cap binds */
    double framerate;                 /**< nominal frames per second; 0 when frames are irregular */
};

/** One encoded frame as the model remembers it. */
struct rate_sample {
    double fineness;  /**< the quality it was encoded at, on the model's scale */
    double log_bytes; /**< log of its size without headers */
};

/** All state of rate control. Read the counters; leave the rest to the module. */
struct rate {
    struct rate_config config;
    /** the model: log_bytes rises by gamma per unit of fineness */
    double gamma;
    struct rate_sample sample[RATE_LAGS]; /**< [0] is the previous frame */
    unsigned samples;
    double lag_error[RATE_LAGS];         /**< how far off each lag's predictions were lately
                                              (log) */
    double spread;                       /**< recent underestimates of size (log) */
    double trend;                        /**< mean of recent errors (log): sizes are rising */
    double profile[RATE_PROFILE_ROWS];   /**< share of bytes above each sixteenth's end, last
                                              frame */
    uint32_t drawing[RATE_PROFILE_ROWS]; /**< bytes above each sixteenth's end, frame under way */
    /** the bit rate */
    uint64_t last_ns;
    double interval_s;
    double debt_bytes; /**< sent beyond the target so far (negative: credit) */
    double owed_bytes; /**< the same, but what the quality's floor made is not forgotten; >= 0 */
    /** the frame under way */
    double limit_bytes; /**< what rate_watch() guards: the cap, or a multiple of the bit rate's
                             share */
    unsigned lag;       /**< the sample that predicts it */
    double predicted;   /**< log size by that sample */
    double failed_fineness, failed_log_bytes; /**< the attempt that was given up, with its
                                                   estimate */
    uint8_t quality;
    uint8_t attempts; /**< 0: no frame under way */
    /** counters */
    uint64_t frames, encodes, restarts_early, restarts_overflow, failures;
};

/** Starts with no history. `config` is copied; it must be valid. */
void rate_init(struct rate *rate, const struct rate_config *config);
/** Changes the limits; keeps what was learnt. Between frames. */
void rate_configure(struct rate *rate, const struct rate_config *config);

/** Forgets the scene (size, format or camera changed); limits and bit rate debt stay. */
void rate_reset_scene(struct rate *rate);

/** Whether the bit rate binds though the quality is at its floor: a frame captured at timestamp_ns
 * should be left out. What is sent stays below the bit rate plus one second of it (four frame
 * intervals, where these are longer) and one frame, over any time. */
bool rate_is_exceeded(const struct rate *rate, uint64_t timestamp_ns);

/** A new frame, captured at timestamp_ns. Returns the quality for its first encode. */
unsigned rate_begin(struct rate *rate, uint64_t timestamp_ns);

/** The cap for this frame, as jpeg_options.bytes_max takes it (0: none). */
uint32_t rate_bytes_max(const struct rate *rate);

/** After a slice: 0 to go on, or the lower quality at which to start over because this encode is
 * about to exceed its cap. */
unsigned rate_watch(struct rate *rate, uint32_t rows_done, uint32_t rows_total, uint32_t bytes);

/** The encode hit the cap after rows_done rows: the quality to start over at, or 0 when it was at
 * quality_min already: the frame has failed. */
unsigned rate_overflow(struct rate *rate, uint32_t rows_done, uint32_t rows_total);

/** The frame is complete with so many bytes. */
void rate_done(struct rate *rate, uint32_t bytes);

/** The frame under way is dropped for a reason that is not its size. */
void rate_cancel(struct rate *rate);

/** The quality of the encode under way, or of the last one. */
static inline unsigned rate_quality(const struct rate *rate)
{
    return rate->quality;
}

#endif
