// SPDX-License-Identifier: MIT
// The gateway's frames: borrowed from libpinhole, given back in any order, longer-lived than their
// connection.
#include "tests/host/support/peer.h"
#include "tools/web/frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BOOT = 77, PATIENCE_MS = 20000, FRAMES = 3 };

static void send_frames(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        peer_frame(peer, BOOT, sequence);
    assert_true(peer_sees_end(peer));
}

struct bed {
    struct peer peer;
    struct web_frame_pool pool;
    struct web_lender *lender;
    struct web_frame *frames[FRAMES];
    unsigned live, live_max;
};

static struct web_frame *take_frame(struct web_lender *lender)
{
    struct pinhole_record *record;
    assert_int_equal(pinhole_next(lender->node, PATIENCE_MS, &record), 1);
    assert_int_equal(record->kind, PINHOLE_FRAME);
    struct web_frame *frame = web_frame_borrow(lender, record);
    assert_non_null(frame);
    assert_ptr_equal(frame->meta.jpeg, record->frame.jpeg);
    return frame;
}

static void set_up(struct bed *bed)
{
    const struct pinhole_options options = {.size = sizeof options,
                                            .reconnect = -1,
                                            .request_timeout_ms = PATIENCE_MS,
                                            .records_max = FRAMES};
    const struct pinhole_subscription every = {.size = sizeof every, .policy = PINHOLE_EVERY};
    struct pinhole *node;
    memset(bed, 0, sizeof *bed);
    web_frame_pool_init(&bed->pool);
    peer_start(&bed->peer, send_frames);
    assert_int_equal(pinhole_open(&node, bed->peer.address, &options), 0);
    assert_int_equal(pinhole_subscribe(node, &every), 0);
    bed->lender = web_lender_open(&bed->pool, node);
    assert_non_null(bed->lender);
    for (int i = 0; i < FRAMES; i++)
        bed->frames[i] = take_frame(bed->lender);
}

static void expect_live(struct bed *bed, unsigned live)
{
    web_frame_pool_count(&bed->pool, &bed->live, &bed->live_max);
    assert_int_equal(bed->live, live);
    assert_int_equal(bed->live_max, FRAMES);
}

static void test_frames_go_back_in_the_receivers_turn(void **state)
{
    (void)state;
    struct bed bed;
    struct pinhole_record *record;
    set_up(&bed);
    assert_int_equal(pinhole_next(bed.lender->node, 0, &record), -ENOBUFS);
    web_frame_ref(bed.frames[1]);
    for (int i = 0; i < FRAMES; i++)
        web_frame_unref(bed.frames[i]);
    expect_live(&bed, FRAMES);
    web_lender_settle(bed.lender);
    expect_live(&bed, 1);
    assert_int_equal(pinhole_next(bed.lender->node, 0, &record), 0);
    assert_int_equal(bed.frames[1]->meta.sequence, 2);
    web_frame_unref(bed.frames[1]);
    web_lender_close(bed.lender);
    expect_live(&bed, 0);
    peer_join(&bed.peer);
}

static void test_the_last_frame_closes_a_connection_that_was_left(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    web_frame_unref(bed.frames[0]);
    web_lender_close(bed.lender);
    expect_live(&bed, 2);
    web_frame_unref(bed.frames[2]);
    expect_live(&bed, 1);
    assert_int_equal(bed.frames[1]->meta.sequence, 2);
    assert_int_equal(bed.frames[1]->meta.jpeg[0], 2); // as the peer made it
    web_frame_unref(bed.frames[1]);
    expect_live(&bed, 0);
    peer_join(&bed.peer); // it has seen the end
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_go_back_in_the_receivers_turn),
        cmocka_unit_test(test_the_last_frame_closes_a_connection_that_was_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
