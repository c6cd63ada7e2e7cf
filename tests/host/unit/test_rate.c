// SPDX-License-Identifier: MIT
// Rate control over a hard sequence, encoded for real: caps from tight to loose and bit rates, each
// against the best quality that a search over all of them finds for each frame.
//   PINHOLE_TEST_SLOW=1   leaves out what encodes tens of thousands of pictures
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/jpeg/jpeg.h"
#include "app/rate.h"
#include "tests/host/support/hard_sequence.h"

#define WIDTH     320u
#define HEIGHT    240u
#define SLICES    (HEIGHT / JPEG_SLICE_ROWS)
#define FRAMES    HARD_SEQUENCE_FRAMES
#define FRAMERATE 30u
#define WINDOW    (5u * FRAMERATE)
#define RUNS_MAX  16u
#define BYTES_MAX (1u << 20)
#define FRAME_NS  (NS_PER_S / FRAMERATE)

static struct jpeg_encoder encoder;
static uint8_t jpeg[BYTES_MAX];

static uint8_t *give_all(void *user, uint32_t *bytes)
{
    (void)user;
    *bytes = sizeof jpeg;
    return jpeg;
}

/** The current frame at every quality asked for: bytes after each slice, without any cap. */
struct sizes {
    const struct hal_frame *frame;
    bool is_known[101];
    uint32_t after[101][SLICES];
};

static const uint32_t *sizes_at(struct sizes *sizes, unsigned quality)
{
    if (!sizes->is_known[quality]) {
        struct jpeg_options options = {.quality = (uint8_t)quality};
        struct jpeg_sink sink = {.next_block = give_all};
        struct jpeg_picture picture = picture_planes(sizes->frame);
        assert_int_equal(jpeg_encoder_begin(&encoder, &picture, &options, &sink), 0);
        for (unsigned i = 0; i < SLICES; i++) {
            assert_int_equal(jpeg_encoder_slice(&encoder), i + 1 < SLICES);
            sizes->after[quality][i] = jpeg_encoder_bytes(&encoder);
        }
        sizes->is_known[quality] = true;
    }
    return sizes->after[quality];
}

static uint32_t whole_size(struct sizes *sizes, unsigned quality)
{
    return sizes_at(sizes, quality)[SLICES - 1];
}

/** The highest quality in the range that fits, 0 if none. Size nearly always rises with quality;
 * the few steps where it does not are looked at one by one. */
static unsigned best_quality(struct sizes *sizes, const struct rate_config *config)
{
    uint32_t cap = config->frame_bytes_max;
    unsigned low = config->quality_min, high = config->quality_max;
    if (whole_size(sizes, low) > cap)
        return 0;
    while (low < high) {
        unsigned middle = (low + high + 1) / 2;
        if (whole_size(sizes, middle) <= cap)
            low = middle;
        else
            high = middle - 1;
    }
    for (unsigned next = low + 1; next <= low + 3 && next <= config->quality_max; next++)
        if (whole_size(sizes, next) <= cap)
            low = next;
    return low;
}

/** One rate control at work on the sequence, and what is counted about it. */
struct run {
    struct rate_config config;
    struct rate rate;
    uint64_t encodes_first_second;
    uint32_t bytes[FRAMES];  /**< 0: failed */
    uint8_t quality[FRAMES]; /**< 0: failed */
    double use[FRAMES];      /**< share of the cap, of frames where the cap binds */
    unsigned binding, within_5, attempts_max;
};

static struct run runs[RUNS_MAX];

/** What one encode attempt came to. */
enum outcome { COMPLETE, AGAIN, FAILED };

/** As app/node does it, with the sizes known beforehand. */
static enum outcome attempt(struct run *run, struct sizes *sizes, unsigned *quality)
{
    const uint32_t *after = sizes_at(sizes, *quality);
    uint32_t cap = rate_bytes_max(&run->rate);
    for (unsigned i = 0; i < SLICES; i++) {
        if (cap && after[i] > cap) {
            *quality = rate_overflow(&run->rate, i * JPEG_SLICE_ROWS, HEIGHT);
            return *quality ? AGAIN : FAILED;
        }
        if (i + 1 == SLICES)
            break;
        unsigned lower = rate_watch(&run->rate, (i + 1) * JPEG_SLICE_ROWS, HEIGHT, after[i]);
        if (lower) {
            assert_true(lower < *quality);
            *quality = lower;
            return AGAIN;
        }
    }
    return COMPLETE;
}

static void step(struct run *run, struct sizes *sizes, unsigned index, bool is_compared)
{
    enum outcome outcome;
    unsigned attempts = 0, quality = rate_begin(&run->rate, (index + 1) * FRAME_NS);
    do {
        assert_in_range(quality, run->config.quality_min, run->config.quality_max);
        assert_int_equal(rate_quality(&run->rate), quality);
        attempts++;
        outcome = attempt(run, sizes, &quality);
    } while (outcome == AGAIN);
    if (attempts > run->attempts_max)
        run->attempts_max = attempts;
    run->bytes[index] = outcome == COMPLETE ? whole_size(sizes, quality) : 0;
    run->quality[index] = outcome == COMPLETE ? (uint8_t)quality : 0;
    if (outcome == COMPLETE)
        rate_done(&run->rate, run->bytes[index]);
    if (index + 1 == FRAMERATE)
        run->encodes_first_second = run->rate.encodes;
    if (!is_compared)
        return;
    unsigned best = best_quality(sizes, &run->config);
    if (!best)
        assert_int_equal(outcome, FAILED);
    else
        assert_int_equal(outcome, COMPLETE); // fits at the floor, so it must not have failed
    if (best && best < run->config.quality_max) {
        run->use[run->binding++] = (double)run->bytes[index] / run->config.frame_bytes_max;
        run->within_5 += best <= quality + 5;
    }
}

static void play(unsigned count, bool is_compared)
{
    static struct hard_sequence sequence;
    static struct sizes sizes;
    if (getenv("PINHOLE_TEST_SLOW") != NULL) {
        print_message("skip: too many encodes for this machine (PINHOLE_TEST_SLOW)\n");
        skip();
    }
    hard_sequence_open(&sequence, WIDTH, HEIGHT);
    if (sequence.photographs)
        print_message("%u photographs and drawn scenes\n", sequence.photographs);
    else
        print_message("no photographs here (PINHOLE_PHOTOS): drawn scenes only\n");
    for (unsigned index = 0; index < FRAMES; index++) {
        hard_sequence_draw(&sequence, index);
        memset(sizes.is_known, 0, sizeof sizes.is_known);
        sizes.frame = &sequence.picture.frame;
        for (unsigned i = 0; i < count; i++)
            step(&runs[i], &sizes, index, is_compared);
    }
    hard_sequence_close(&sequence);
}

static void start_runs(const struct rate_config *configs, unsigned count)
{
    memset(runs, 0, sizeof runs);
    for (unsigned i = 0; i < count; i++) {
        runs[i].config = configs[i];
        rate_init(&runs[i].rate, &configs[i]);
    }
}

static double encodes_per_frame(const struct run *run)
{
    return (double)(run->rate.encodes - run->encodes_first_second) / (FRAMES - FRAMERATE);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_caps_from_tight_to_loose(void **state)
{
    (void)state;
    static const struct rate_config configs[] = {
        {10, 95, 4000, 0, FRAMERATE},  {10, 95, 6000, 0, FRAMERATE},  {10, 95, 9000, 0, FRAMERATE},
        {20, 80, 9000, 0, FRAMERATE},  {10, 95, 20000, 0, FRAMERATE}, {10, 95, 40000, 0, FRAMERATE},
        {10, 95, 90000, 0, FRAMERATE},
    };
    start_runs(configs, ARRAY_SIZE(configs));
    play(ARRAY_SIZE(configs), true);
    for (unsigned i = 0; i < ARRAY_SIZE(configs); i++) {
        struct run *run = &runs[i];
        uint32_t cap = run->config.frame_bytes_max;
        unsigned failed = 0;
        for (unsigned f = 0; f < FRAMES; f++) {
            assert_true(run->bytes[f] <= cap);
            failed += run->bytes[f] == 0;
        }
        qsort(run->use, run->binding, sizeof run->use[0], by_value);
        double median = run->binding ? run->use[run->binding / 2] : 1.0;
        double within = run->binding ? (double)run->within_5 / run->binding : 1.0;
        print_message("cap %5u quality %u..%u: %4u frames bound by it, median use %.3f, within 5 "
                      "of the best %.3f, encodes per frame %.4f, %u cannot fit\n",
                      cap, run->config.quality_min, run->config.quality_max, run->binding, median,
                      within, encodes_per_frame(run), failed);
        assert_int_equal(run->rate.failures, failed);
        assert_true(run->attempts_max <= 3);
        assert_true(encodes_per_frame(run) <= 1.02);
        assert_true(median >= 0.90);
        assert_true(within >= 0.90);
    }
}

/** A window counts for the lower bound when quality never met an end of its range there, and for
 * the upper one when it never lay at the floor: at an end there is nothing left to steer with. */
static void check_windows(const struct run *run)
{
    double share = (double)run->config.bits_per_second / 8 / FRAMERATE;
    double lowest = INFINITY, highest = 0;
    unsigned steered = 0;
    for (unsigned first = 0; first + WINDOW <= FRAMES; first++) {
        double sum = 0;
        bool was_at_floor = false, was_at_top = false;
        for (unsigned f = first; f < first + WINDOW; f++) {
            sum += run->bytes[f];
            was_at_floor |= run->quality[f] <= run->config.quality_min;
            was_at_top |= run->quality[f] >= run->config.quality_max;
        }
        double ratio = sum / (share * WINDOW);
        if (!was_at_floor)
            highest = fmax(highest, ratio);
        if (!was_at_floor && !was_at_top) {
            lowest = fmin(lowest, ratio);
            steered++;
        }
    }
    print_message("%.1f Mbit/s, cap %u: %u windows of 5 s, lowest %.3f, highest %.3f, encodes per "
                  "frame %.4f\n",
                  (double)run->config.bits_per_second / 1e6, run->config.frame_bytes_max, steered,
                  lowest, highest, encodes_per_frame(run));
    assert_true(steered >= 200);
    assert_true(lowest >= 0.97);
    assert_true(highest <= 1.03);
    assert_true(encodes_per_frame(run) <= 1.02);
}

static void test_bit_rates(void **state)
{
    (void)state;
    static const struct rate_config configs[] = {
        {5, 98, 0, 1500000, FRAMERATE},
        {5, 98, 0, 3000000, FRAMERATE},
        {5, 98, 0, 6000000, FRAMERATE},
        {5, 98, 30000, 3000000, FRAMERATE},
    };
    start_runs(configs, ARRAY_SIZE(configs));
    play(ARRAY_SIZE(configs), false);
    for (unsigned i = 0; i < ARRAY_SIZE(configs); i++)
        check_windows(&runs[i]);
    for (unsigned f = 0; f < FRAMES; f++)
        assert_true(runs[3].bytes[f] <= 30000);
}

/** The encoder's own cap, end to end: what the simulation above assumes about it holds. */
static void test_with_the_encoders_cap(void **state)
{
    (void)state;
    static struct hard_sequence sequence;
    struct rate rate;
    rate_init(&rate, &(struct rate_config){20, 80, 9000, 0, FRAMERATE});
    hard_sequence_open(&sequence, WIDTH, HEIGHT);
    unsigned complete = 0, failed = 0;
    for (unsigned index = 0; index < FRAMES; index += 3) {
        hard_sequence_draw(&sequence, index);
        struct jpeg_picture picture = picture_planes(&sequence.picture.frame);
        unsigned quality = rate_begin(&rate, (index + 1) * FRAME_NS);
        while (quality) {
            struct jpeg_options options = {.quality = (uint8_t)quality,
                                           .bytes_max = rate_bytes_max(&rate)};
            struct jpeg_sink sink = {.next_block = give_all};
            int status = jpeg_encoder_begin(&encoder, &picture, &options, &sink) ? -1 : 1;
            unsigned lower = 0;
            while (status == 1 && !lower) {
                status = jpeg_encoder_slice(&encoder);
                if (status == 1)
                    lower = rate_watch(&rate, jpeg_encoder_rows_done(&encoder), HEIGHT,
                                       jpeg_encoder_bytes(&encoder));
            }
            if (status == 0) {
                assert_true(jpeg_encoder_bytes(&encoder) <= 9000);
                rate_done(&rate, jpeg_encoder_bytes(&encoder));
                complete++;
                break;
            }
            quality =
                lower ? lower : rate_overflow(&rate, jpeg_encoder_rows_done(&encoder), HEIGHT);
            failed += quality == 0;
        }
    }
    assert_int_equal(complete + failed, FRAMES / 3);
    assert_int_equal(failed, rate.failures);
    assert_true(complete > FRAMES / 6 && failed > 0);
    hard_sequence_close(&sequence);
}

/** Frames of a given size at quality 50, by the model's own law with another gamma. */
static uint32_t still_size(double bytes_at_50, unsigned quality)
{
    double scale = quality < 50 ? 5000.0 / quality : 200.0 - 2.0 * quality;
    return (uint32_t)(623 + bytes_at_50 * pow(103 / (scale + 3), 0.7));
}

static unsigned still_frame(struct rate *rate, unsigned index, double bytes_at_50)
{
    unsigned quality = rate_begin(rate, (index + 1) * FRAME_NS);
    uint32_t bytes = still_size(bytes_at_50, quality), cap = rate_bytes_max(rate);
    while (cap && bytes > cap) {
        quality = rate_overflow(rate, HEIGHT - JPEG_SLICE_ROWS, HEIGHT);
        assert_true(quality > 0);
        bytes = still_size(bytes_at_50, quality);
    }
    rate_done(rate, bytes);
    return quality;
}

static void test_still_scene_does_not_oscillate(void **state)
{
    (void)state;
    for (uint32_t cap = 8000; cap <= 60000; cap += 1000) {
        struct rate rate;
        rate_init(&rate, &(struct rate_config){5, 95, cap, 0, FRAMERATE});
        unsigned settled = 0;
        for (unsigned i = 0; i < 400; i++) {
            unsigned quality = still_frame(&rate, i, 20000);
            if (i == 150)
                settled = quality;
            if (i > 150)
                assert_int_equal(quality, settled);
        }
    }
    for (uint64_t bits = 2000000; bits <= 10000000; bits += 500000) {
        struct rate rate;
        rate_init(&rate, &(struct rate_config){5, 95, 0, bits, FRAMERATE});
        unsigned low = 100, high = 0;
        for (unsigned i = 0; i < 600; i++) {
            unsigned quality = still_frame(&rate, i, 20000);
            if (i >= 150 && quality < low)
                low = quality;
            if (i >= 150 && quality > high)
                high = quality;
        }
        assert_true(high - low <= 1); // two neighbours in turn, to meet the rate
    }
}

static void test_cut_is_answered_in_one_frame(void **state)
{
    (void)state;
    struct rate rate;
    rate_init(&rate, &(struct rate_config){5, 95, 20000, 0, FRAMERATE});
    for (unsigned i = 0; i < 60; i++)
        still_frame(&rate, i, 5000);
    uint64_t encodes = rate.encodes;
    still_frame(&rate, 60, 40000); // the cut itself: one restart
    assert_true(rate.encodes <= encodes + 3);
    encodes = rate.encodes;
    for (unsigned i = 61; i < 120; i++)
        still_frame(&rate, i, 40000);
    assert_int_equal(rate.encodes, encodes + 59);
}

static void test_no_limit_means_best_quality(void **state)
{
    (void)state;
    struct rate rate;
    rate_init(&rate, &(struct rate_config){20, 80, 0, 0, 0});
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(rate_begin(&rate, i * FRAME_NS), 80);
        assert_int_equal(rate_watch(&rate, 16, 240, 1u << 30), 0);
        rate_done(&rate, 1u << 30);
    }
}

static void test_frame_that_cannot_fit(void **state)
{
    (void)state;
    struct rate rate;
    rate_init(&rate, &(struct rate_config){30, 90, 5000, 0, 0});
    unsigned begun = 1, quality = rate_begin(&rate, FRAME_NS);
    while ((quality = rate_overflow(&rate, 16, 240)) != 0) {
        assert_in_range(quality, 30, 90);
        begun++;
    }
    assert_true(begun <= 3);
    assert_int_equal(rate.failures, 1);
    assert_int_equal(rate_begin(&rate, 2 * FRAME_NS), 30); // the next one goes straight there
    rate_done(&rate, 1000);
    assert_true(rate_begin(&rate, 3 * FRAME_NS) > 30); // and the stream recovers
    rate_cancel(&rate);
    assert_true(rate_begin(&rate, 4 * FRAME_NS) > 30);
}

/** Frames of a camera whose size at quality 80 is `bytes`, and hardly depends on quality below 20.
 * Returns how many were left out to keep within the bit rate. */
static unsigned play_sizes(struct rate *rate, uint32_t bytes, unsigned count, uint64_t *sent_bytes)
{
    unsigned left_out = 0;
    *sent_bytes = 0;
    for (unsigned i = 1; i <= count; i++) {
        if (rate_is_exceeded(rate, i * FRAME_NS)) {
            left_out++;
            continue;
        }
        unsigned quality = rate_begin(rate, i * FRAME_NS);
        uint32_t size = bytes / 80 * (quality > 20 ? quality : 20) * (90 + i * 7 % 20) / 100;
        *sent_bytes += size;
        rate_done(rate, size);
    }
    return left_out;
}

static void test_the_bit_rate_bounds_also_at_the_floor(void **state)
{
    (void)state;
    const struct rate_config config = {
        .quality_min = 20, .quality_max = 90, .bits_per_second = 6000000, .framerate = FRAMERATE};
    const double seconds = 60, bytes_per_s = 6000000 / 8.0;
    struct rate rate;
    uint64_t sent;
    rate_init(&rate, &config);
    // 160 KB at quality 80, 40 KB at the floor: 9.6 Mbit/s there at 30 frames/s.
    unsigned left_out = play_sizes(&rate, 160000, (unsigned)seconds * FRAMERATE, &sent);
    assert_true(left_out > 0);
    assert_true((double)sent <= bytes_per_s * (seconds + 1) + 40000 * 1.1);
    assert_true((double)sent >= bytes_per_s * seconds * 0.97);
    // Where the quality has room, no frame is left out.
    rate_init(&rate, &config);
    assert_int_equal(play_sizes(&rate, 60000, (unsigned)seconds * FRAMERATE, &sent), 0);
    // Without a bit rate none is, whatever the sizes.
    const struct rate_config unbound = {.quality_min = 20, .quality_max = 90};
    rate_init(&rate, &unbound);
    assert_int_equal(play_sizes(&rate, 1600000, 100, &sent), 0);
}

static void test_limits_change_under_way(void **state)
{
    (void)state;
    struct rate rate;
    rate_init(&rate, &(struct rate_config){5, 95, 30000, 0, FRAMERATE});
    for (unsigned i = 0; i < 60; i++)
        still_frame(&rate, i, 20000);
    rate_configure(&rate, &(struct rate_config){5, 95, 10000, 0, FRAMERATE});
    uint64_t encodes = rate.encodes;
    assert_true(still_size(20000, still_frame(&rate, 60, 20000)) <= 10000);
    assert_int_equal(rate.encodes, encodes + 1); // known at once, no overflow needed
    rate_configure(&rate, &(struct rate_config){60, 70, 10000000, 0, FRAMERATE});
    assert_in_range(still_frame(&rate, 61, 20000), 60, 70);
    rate_reset_scene(&rate);
    assert_in_range(still_frame(&rate, 62, 20000), 60, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caps_from_tight_to_loose),
        cmocka_unit_test(test_bit_rates),
        cmocka_unit_test(test_with_the_encoders_cap),
        cmocka_unit_test(test_still_scene_does_not_oscillate),
        cmocka_unit_test(test_cut_is_answered_in_one_frame),
        cmocka_unit_test(test_no_limit_means_best_quality),
        cmocka_unit_test(test_frame_that_cannot_fit),
        cmocka_unit_test(test_the_bit_rate_bounds_also_at_the_floor),
        cmocka_unit_test(test_limits_change_under_way),
    };
    jpeg_encoder_init(&encoder, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
