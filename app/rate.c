// SPDX-License-Identifier: MIT
// The model. For photographs the size of a JPEG without its headers follows
//     log(bytes) = complexity + gamma * fineness,   fineness = log(103) - log(scale + 3)
// `scale` is libjpeg's percentage for the quality (50 -> 100, 80 -> 40). The "+ 3" stands for the
// quantiser's own steps, which never go below one. Over qualities 5 to 99 of the 24 Kodak
// photographs the mean gamma is 0.645 +- 0.01. Single pictures lie between 0.55 and 0.95, so gamma
// is learnt.
#include "app/rate.h"

#include <math.h>
#include <string.h>

#define HEADER_BYTES                                                                               \
    623.0 /**< SOI to SOS of a three-component baseline JPEG with standard                         \
               tables */

#define GAMMA_START 0.645
#define GAMMA_MIN   0.5
#define GAMMA_MAX   1.0
#define GAMMA_DOUBT                                                                                \
    0.08 /**< size is assumed to rise this much faster, and fall this much                         \
              slower */
#define GAMMA_LEARN  0.15
#define MARGIN       0.012 /**< kept from the cap even in a still scene (log) */
#define HOLD_MARGIN  0.004 /**< as close as a quality once chosen may come */
#define HOLD_SPREAD  0.6
#define SPREAD_MAX   0.06
#define SPREAD_DECAY 0.94
#define TREND_LEARN  0.15
#define CLIMB_MAX    1.5 /**< of fineness in one frame: bytes times 2.6 */
#define ERROR_DECAY  0.6
#define ERROR_MAX    1.0
#define LAG_ERROR    0.02 /**< scenes that predict worse than this are searched for a period */

#define RATE_FIX_S      0.4 /**< debt is paid back over this time */
#define RATE_DEBT_MAX   3.0 /**< in frames */
#define RATE_CREDIT_MAX 1.0
#define RATE_FRAME_MAX                                                                             \
    2.5 /**< a frame on its way to more than this many shares is started                           \
             over */
#define RATE_INTERVAL_MAX_S 5.0
#define RATE_OWED_MAX_S     1.0 /**< what may be owed before frames are left out, in time ... */
#define RATE_OWED_FRAMES    4.0 /**< ... but at least so many frames' shares */

#define WATCH_FROM    0.1  /**< of the rows: earlier estimates are guesses */
#define WATCH_SLACK   0.45 /**< doubt in the estimate at the top of the picture; 0 at its bottom */
#define RESTART_ROOM  0.05 /**< kept from the limit by a restarted frame (log) */
#define RESTART_DOUBT 0.20 /**< and this much more when the estimate was made at the top */
#define FAILED_LEAST  1.02 /**< of the limit: what failed would have had at least this size */
#define FAILED_BETTER 0.6  /**< below this share of the limit the failed attempt is remembered */
#define SAME_SCENE    0.15 /**< a frame this near to its prediction (log) is no cut */
#define OVERFLOW_ROWS 8u

static double scale_of(unsigned quality)
{
    return quality < 50 ? 5000.0 / quality : 200.0 - 2.0 * quality;
}

static double fineness_of(unsigned quality)
{
    return log(103.0) - log(scale_of(quality) + 3.0);
}

/** The quality of that fineness, not rounded. */
static double quality_of(double fineness)
{
    double scale = 103.0 * exp(-fineness) - 3.0;
    if (scale <= 0)
        return 100.0;
    return scale > 100.0 ? 5000.0 / scale : 100.0 - scale / 2.0;
}

static double log_size(double bytes)
{
    return log(fmax(bytes - HEADER_BYTES, 16.0));
}

static unsigned clamp_quality(const struct rate *r, double quality)
{
    if (quality < r->config.quality_min)
        return r->config.quality_min;
    return quality > r->config.quality_max ? r->config.quality_max : (unsigned)quality;
}

void rate_init(struct rate *r, const struct rate_config *config)
{
    memset(r, 0, sizeof *r);
    rate_reset_scene(r);
    rate_configure(r, config);
}

void rate_configure(struct rate *r, const struct rate_config *config)
{
    if (config->bits_per_second != r->config.bits_per_second)
        r->debt_bytes = r->owed_bytes = 0;
    if (config->framerate > 0)
        r->interval_s = 1.0 / config->framerate;
    r->config = *config;
}

void rate_reset_scene(struct rate *r)
{
    r->gamma = GAMMA_START;
    r->samples = 0;
    r->spread = SPREAD_MAX;
    r->trend = 0;
    for (unsigned i = 0; i < RATE_LAGS; i++)
        r->lag_error[i] = ERROR_MAX;
    for (unsigned i = 0; i < RATE_PROFILE_ROWS; i++)
        r->profile[i] = (i + 1.0) / RATE_PROFILE_ROWS;
}

// ---- the bit rate ----

/** Bytes per second to aim at; 0 for no aim. */
static double byte_rate(const struct rate *r)
{
    return (double)r->config.bits_per_second / 8.0;
}

/** What time brought is taken off the debt. Credit beyond a frame or so is forgotten: a dark night
 * must not be followed by a flood. So is debt that the quality's floor made. */
static void account_time(struct rate *r, uint64_t now_ns)
{
    double elapsed = r->last_ns && now_ns > r->last_ns ? (double)(now_ns - r->last_ns) / 1e9 : 0;
    elapsed = fmin(elapsed, RATE_INTERVAL_MAX_S);
    r->last_ns = now_ns;
    if (elapsed > 0)
        r->interval_s = r->interval_s > 0 ? 0.875 * r->interval_s + 0.125 * elapsed : elapsed;
    double share = byte_rate(r) * r->interval_s;
    r->owed_bytes = fmax(r->owed_bytes - byte_rate(r) * elapsed, 0);
    r->debt_bytes -= byte_rate(r) * elapsed;
    r->debt_bytes = fmax(r->debt_bytes, -RATE_CREDIT_MAX * share);
    r->debt_bytes = fmin(r->debt_bytes, RATE_DEBT_MAX * share);
}

bool rate_is_exceeded(const struct rate *r, uint64_t timestamp_ns)
{
    double elapsed =
        r->last_ns && timestamp_ns > r->last_ns ? (double)(timestamp_ns - r->last_ns) / 1e9 : 0;
    double owed_s = fmax(RATE_OWED_MAX_S, RATE_OWED_FRAMES * r->interval_s);
    return byte_rate(r) > 0 && r->owed_bytes - byte_rate(r) * elapsed > byte_rate(r) * owed_s;
}

/** The size that the next frame should have; 0 for no aim. Called after account_time(): the debt
 * then holds this frame's share already as credit. */
static double rate_target(const struct rate *r)
{
    double share = byte_rate(r) * r->interval_s;
    if (share <= 0)
        return 0;
    double frames = fmax(RATE_FIX_S / r->interval_s, 2.0);
    return fmax(share - (r->debt_bytes + share) / frames, share / 4.0);
}

// ---- prediction ----

/** The sample whose lag has predicted best: the previous frame, unless the scene repeats with a
 * period (lamps that flicker against the frame rate). */
static unsigned best_lag(const struct rate *r)
{
    unsigned best = 0;
    if (r->lag_error[0] < LAG_ERROR)
        return 0;
    for (unsigned i = 1; i < r->samples; i++)
        if (r->lag_error[i] < 0.6 * r->lag_error[best])
            best = i;
    return best;
}

static double predict(const struct rate *r, const struct rate_sample *from, double fineness)
{
    return from->log_bytes + r->gamma * (fineness - from->fineness);
}

/** The finest fineness at which a frame like `from` has log size `aim`, doubting the model. */
static double fineness_for(const struct rate *r, const struct rate_sample *from, double aim)
{
    double change = aim - from->log_bytes;
    double gamma = r->gamma + (change > 0 ? GAMMA_DOUBT : -GAMMA_DOUBT);
    return from->fineness + fmin(change / gamma, CLIMB_MAX);
}

static unsigned quality_within(const struct rate *r, const struct rate_sample *from, double cap)
{
    double aim = log_size(cap) - fmax(r->trend, 0);
    unsigned last = r->quality;
    if (last >= r->config.quality_min && last <= r->config.quality_max && r->lag == 0 &&
        predict(r, from, fineness_of(last)) > aim - HOLD_MARGIN - HOLD_SPREAD * r->spread)
        last = 0;
    // Tiny errors of rounding must not cost a step of quality.
    unsigned quality =
        clamp_quality(r, quality_of(fineness_for(r, from, aim - MARGIN - r->spread)) + 1e-6);
    return last > quality && last <= r->config.quality_max && r->lag == 0 ? last : quality;
}

static unsigned first_quality(struct rate *r)
{
    unsigned quality = r->config.quality_max;
    double target = rate_target(r);
    r->limit_bytes = r->config.frame_bytes_max;
    if (target > 0) {
        double limit = RATE_FRAME_MAX * byte_rate(r) * r->interval_s;
        r->limit_bytes = r->limit_bytes > 0 ? fmin(limit, r->limit_bytes) : limit;
    }
    if (r->limit_bytes <= 0)
        return quality;
    if (r->samples == 0)
        return clamp_quality(r, (r->config.quality_min + r->config.quality_max) / 2.0);
    r->lag = best_lag(r);
    const struct rate_sample *from = &r->sample[r->lag];
    if (r->config.frame_bytes_max)
        quality = quality_within(r, from, r->config.frame_bytes_max);
    if (target > 0) {
        double change = log_size(target) - from->log_bytes;
        double nearest = quality_of(from->fineness + change / r->gamma) + 0.5;
        unsigned wanted = clamp_quality(r, nearest);
        quality = wanted < quality ? wanted : quality;
    }
    return quality;
}

static void start_attempt(struct rate *r, unsigned quality)
{
    r->quality = (uint8_t)quality;
    r->attempts++;
    r->encodes++;
    r->predicted = predict(r, &r->sample[r->lag], fineness_of(quality));
    memset(r->drawing, 0, sizeof r->drawing);
}

unsigned rate_begin(struct rate *r, uint64_t timestamp_ns)
{
    account_time(r, timestamp_ns);
    r->attempts = 0;
    r->frames++;
    start_attempt(r, first_quality(r));
    return r->quality;
}

uint32_t rate_bytes_max(const struct rate *r)
{
    return r->config.frame_bytes_max;
}

// ---- a frame under way ----

static unsigned profile_index(uint32_t rows_done, uint32_t rows_total)
{
    unsigned i = (unsigned)((uint64_t)rows_done * RATE_PROFILE_ROWS / rows_total);
    return i ? i - 1 : 0;
}

/** Three opinions on how large the whole frame will be. */
struct estimate {
    double as_last, evenly, as_lately;
};

static struct estimate estimate_whole(const struct rate *r, uint32_t rows_done, uint32_t rows_total,
                                      double bytes)
{
    double done = (double)rows_done / rows_total;
    unsigned i = profile_index(rows_done, rows_total), back = i > 2 ? i - 2 : 0;
    double share = fmin(fmax(r->profile[i], 0.02), 1.0);
    double recent = (double)(i - back) / RATE_PROFILE_ROWS;
    double density = recent > 0 ? (bytes - r->drawing[back]) / recent : 0;
    return (struct estimate){bytes / share, bytes / done, bytes + (1.0 - done) * density};
}

/** The frame's whole size for choosing a lower quality. When bytes came as they came in the last
 * frame, its profile says best; after a cut, the worst opinion counts. */
static double expect_whole(const struct rate *r, uint32_t rows_done, uint32_t rows_total,
                           double bytes)
{
    struct estimate whole = estimate_whole(r, rows_done, rows_total, bytes);
    if (r->samples && fabs(log(whole.as_last) - r->predicted) < SAME_SCENE)
        return whole.as_last;
    return fmax(whole.as_last, fmax(whole.evenly, whole.as_lately));
}

/** Down from the quality under way so that `whole` bytes become the limit's. The later the estimate
 * was made the better it is. */
static unsigned lower_quality(const struct rate *r, double whole, double done)
{
    struct rate_sample now = {.fineness = fineness_of(r->quality), .log_bytes = log_size(whole)};
    double room = RESTART_ROOM + RESTART_DOUBT * (1.0 - done);
    double fineness = fineness_for(r, &now, log_size(r->limit_bytes) - room);
    unsigned quality = clamp_quality(r, quality_of(fineness));
    return quality < r->quality ? quality : r->quality - 1u;
}

/** How far off each lag was for the frame that is complete now. */
static void judge_lags(struct rate *r, double log_bytes)
{
    double fineness = fineness_of(r->quality);
    for (unsigned i = 0; i < r->samples; i++) {
        double error = fabs(log_bytes - predict(r, &r->sample[i], fineness));
        r->lag_error[i] =
            ERROR_DECAY * r->lag_error[i] + (1.0 - ERROR_DECAY) * fmin(error, ERROR_MAX);
    }
}

static void remember(struct rate *r, double fineness, double log_bytes)
{
    memmove(&r->sample[1], &r->sample[0], sizeof r->sample - sizeof r->sample[0]);
    r->sample[0] = (struct rate_sample){.fineness = fineness, .log_bytes = log_bytes};
    if (r->samples < RATE_LAGS)
        r->samples++;
}

static void start_over(struct rate *r, double whole, unsigned quality)
{
    r->failed_fineness = fineness_of(r->quality);
    r->failed_log_bytes = log_size(fmax(whole, FAILED_LEAST * r->limit_bytes));
    start_attempt(r, quality);
}

unsigned rate_watch(struct rate *r, uint32_t rows_done, uint32_t rows_total, uint32_t bytes)
{
    if (r->limit_bytes <= 0)
        return 0;
    r->drawing[profile_index(rows_done, rows_total)] = bytes;
    double done = (double)rows_done / rows_total;
    if (r->attempts != 1 || r->quality <= r->config.quality_min || done < WATCH_FROM)
        return 0;
    double allowed = r->limit_bytes * (1.0 + WATCH_SLACK * (1.0 - done));
    if (bytes < allowed * done) // evenly spread it would fit
        return 0;
    struct estimate whole = estimate_whole(r, rows_done, rows_total, bytes);
    if (fmin(whole.as_last, whole.evenly) < allowed)
        return 0;
    r->restarts_early++;
    double expected = expect_whole(r, rows_done, rows_total, bytes);
    start_over(r, expected, lower_quality(r, expected, done));
    return r->quality;
}

unsigned rate_overflow(struct rate *r, uint32_t rows_done, uint32_t rows_total)
{
    // The slice that overflowed is not in rows_done; half of it is the best guess.
    rows_done = base_min_u32(rows_done + OVERFLOW_ROWS, rows_total);
    double whole = expect_whole(r, rows_done, rows_total, r->config.frame_bytes_max);
    if (r->quality <= r->config.quality_min) {
        judge_lags(r, log_size(whole));
        remember(r, fineness_of(r->quality), log_size(whole));
        r->failures++;
        r->attempts = 0;
        return 0;
    }
    r->restarts_overflow++;
    r->limit_bytes = r->config.frame_bytes_max;
    unsigned quality = lower_quality(r, whole, (double)rows_done / rows_total);
    start_over(r, whole, r->attempts == 1 ? quality : r->config.quality_min);
    return r->quality;
}

// ---- learning ----

static void learn_gamma(struct rate *r, double step, double error)
{
    if (fabs(step) < 0.1 || fabs(error) > 0.5 * fabs(step))
        return;
    r->gamma += GAMMA_LEARN * error / step;
    r->gamma = fmin(fmax(r->gamma, GAMMA_MIN), GAMMA_MAX);
}

static void learn(struct rate *r, double log_bytes)
{
    const struct rate_sample *from = &r->sample[r->lag];
    double fineness = fineness_of(r->quality), error = log_bytes - predict(r, from, fineness);
    if (r->attempts == 1) {
        learn_gamma(r, fineness - from->fineness, error);
    } else { // two qualities of one frame, though the first is an estimate
        double step = r->failed_fineness - fineness;
        learn_gamma(r, step, r->failed_log_bytes - log_bytes - r->gamma * step);
    }
    error = fmin(fmax(error, -SPREAD_MAX), SPREAD_MAX);
    r->trend += TREND_LEARN * (error - r->trend);
    r->spread = fmax(SPREAD_DECAY * r->spread, error);
}

static void keep_profile(struct rate *r, double bytes)
{
    double share = 0;
    for (unsigned i = 0; i < RATE_PROFILE_ROWS; i++) {
        if (r->drawing[i]) // not every sixteenth of a low picture ends a slice
            share = r->drawing[i] / bytes;
        r->profile[i] = share;
    }
    r->profile[RATE_PROFILE_ROWS - 1] = 1.0;
}

void rate_done(struct rate *r, uint32_t bytes)
{
    if (!r->attempts)
        return;
    r->debt_bytes += bytes;
    r->owed_bytes += bytes;
    if (r->limit_bytes > 0) {
        double log_bytes = log_size(bytes);
        if (r->samples) {
            judge_lags(r, log_bytes);
            learn(r, log_bytes);
        }
        // From far below the limit the way up is a guess; the attempt that failed was nearer.
        if (r->attempts > 1 && bytes < FAILED_BETTER * r->limit_bytes)
            remember(r, r->failed_fineness, r->failed_log_bytes);
        else
            remember(r, fineness_of(r->quality), log_bytes);
        keep_profile(r, bytes);
    }
    r->attempts = 0;
}

void rate_cancel(struct rate *r)
{
    r->attempts = 0;
}
