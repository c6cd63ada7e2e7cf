// SPDX-License-Identifier: MIT
// What the node itself counts, and the Prometheus text exposition (format 0.0.4) of numbers.
// metrics.def lists all that is exported; app/node_stats.c prints it.
#ifndef PINHOLE_APP_METRICS_H
#define PINHOLE_APP_METRICS_H

#include "app/reply.h"
#include "hal/base.h"

#define METRICS_BUCKETS 16

/** Counts of observations by size. Bucket i holds those up to the i-th bound, the last one those
 * above all bounds. */
struct metrics_histogram {
    uint64_t buckets[METRICS_BUCKETS + 1];
    uint64_t sum_ns;
};

/** Counters and values that no other module has. metrics.def says what each means. */
struct metrics {
    uint64_t frames_acquired, frames_captured, frames_torn;
    uint64_t dropped_sensor, dropped_busy, dropped_paced, dropped_untriggered, dropped_bit_rate;
    uint64_t dropped_size, dropped_invalid, dropped_error;
    uint64_t encodes, jpeg_bytes;
    uint64_t camera_restarts, camera_reopens, camera_reconfigured;
    double quality, frame_bytes; /**< of the newest frame */
    struct metrics_histogram acquire_latency, encode_time, edge_to_exposure, edge_to_published;
};

/** Counts one observation. */
void metrics_observe(struct metrics_histogram *histogram, uint64_t value_ns);

/** Prints samples one after the other. HELP and TYPE stand once, before all samples of a name. */
struct metrics_printer {
    struct reply *out;
    const char *previous; /**< name of the last sample; NULL at the beginning */
};

/** One sample of a counter, a gauge, a histogram. `labels` may be "". */
void metrics_print_counter(struct metrics_printer *printer, const char *name, const char *labels,
                           const char *help, uint64_t value);
void metrics_print_gauge(struct metrics_printer *printer, const char *name, const char *labels,
                         const char *help, double value);
void metrics_print_histogram(struct metrics_printer *printer, const char *name, const char *help,
                             const struct metrics_histogram *histogram);

#endif
