// SPDX-License-Identifier: MIT
// One camera of a stream while this recorder is its owner.
#ifndef PINHOLE_TOOLS_REC_SHARE_H
#define PINHOLE_TOOLS_REC_SHARE_H

#include "tools/rec/camera.h"
#include "tools/rec/claim.h"
#include "tools/rec/order.h"

struct rec_share {
    struct rec_camera camera; /**< first member */
    struct rec_claim claim;
    const struct rec_stream_options *options;
    struct rec_stream *stream; /**< NULL: not connected */
    bool is_subscribed;
    uint64_t fetched;  /**< newest message of the stream that was looked at */
    uint64_t delivery; /**< its number from the consumer */
    struct rec_order order;
    bool has_news;                /**< since the last acknowledgement */
    uint64_t news_ns, written_ns; /**< since when; when the entry was written last */
    char reply[256];              /**< of message `replied` */
    uint64_t replied;
    char said[REC_WHY_BYTES];
    bool was_foreign_said;
    pthread_t thread;
    bool is_lost;          /**< another recorder is the owner now */
    atomic_bool has_ended; /**< the thread is about to end */
};

enum { REC_WRITES_A_LEASE = 5 }; /**< an owner writes its entry so often */

/** Thread of a rec_share whose camera is claimed: records until it is lost, cannot be written, or
 * the program ends; then gives it away. */
void *rec_share_thread(void *share);

#endif
