// SPDX-License-Identifier: MIT
// The frame store: what is kept, what is evicted, and that every block is accounted for.
#include "net/server/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "app/config/config.h"
#include "net/server/server.h"

#define RECORDS_BYTES ((size_t)(STORE_RECORDS_MAX + STORE_PINNED_MAX) * sizeof(struct store_record))

struct fixture {
    struct store store;
    void *memory;
    size_t bytes;
};

static void open_store(struct fixture *f, uint32_t blocks)
{
    f->bytes = RECORDS_BYTES + (size_t)blocks * (STORE_BLOCK_BYTES + sizeof(uint32_t));
    f->memory = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f->memory != MAP_FAILED);
    assert_int_equal(store_init(&f->store, f->memory, f->bytes), 0);
    assert_int_equal(f->store.block_count, blocks);
}

static void close_store(struct fixture *f)
{
    munmap(f->memory, f->bytes);
}

/** Each block of a frame begins with who it belongs to. */
static uint32_t mark_of(uint64_t frame, uint32_t block)
{
    return (uint32_t)(frame * 1000 + block);
}

static bool add_blocks(struct store *store, struct store_record *record, uint64_t mark,
                       uint32_t blocks)
{
    for (uint32_t i = 0; i < blocks; i++) {
        uint8_t *block = store_add_block(store, record);
        if (block == NULL)
            return false;
        wire_store_u32(block, mark_of(mark, i));
        block[STORE_BLOCK_BYTES - 1] = (uint8_t)mark; // the whole block is ours
    }
    return true;
}

static struct store_record *publish(struct store *store, uint64_t mark, uint32_t blocks)
{
    struct store_record *record = store_begin(store);
    struct wire_frame fields = {.format = 1, .timestamp_ns = mark};
    if (!add_blocks(store, record, mark, blocks)) {
        store_abort(store, record);
        return NULL;
    }
    store_publish_frame(store, record, &fields, blocks * STORE_BLOCK_BYTES);
    assert_int_equal(fields.sequence, record->sequence);
    return record;
}

static void publish_event(struct store *store, const char *text)
{
    struct wire_event event = {.kind = WIRE_EVENT_CAMERA};
    store_publish_event(store, &event, text);
}

static void check_chain(const struct store *store, const struct store_record *record)
{
    uint32_t blocks = record->jpeg_bytes / STORE_BLOCK_BYTES, block = record->first_block;
    for (uint32_t i = 0; i < blocks; i++) {
        assert_int_not_equal(block, STORE_NONE);
        assert_int_equal(wire_load_u32(store_block(store, block)),
                         mark_of(record->timestamp_ns, i));
        assert_int_equal(i + 1 == blocks, block == record->last_block);
        block = store_next_block(store, block);
    }
    assert_int_equal(block, STORE_NONE);
}

static void test_frames_and_events_share_one_sequence(void **state)
{
    (void)state;
    struct fixture f;
    open_store(&f, 8);
    publish_event(&f.store, "one");
    publish(&f.store, 7, 2);
    publish_event(&f.store, "three");
    assert_int_equal(f.store.oldest, 1);
    assert_int_equal(f.store.next_sequence, 4);
    struct store_record *frame = store_at(&f.store, 2);
    assert_true(frame->is_frame);
    assert_int_equal(frame->frame_id, 1);
    // An event knows the frame before it.
    assert_int_equal(store_at(&f.store, 1)->frame_id, 0);
    assert_int_equal(store_at(&f.store, 3)->frame_id, 1);
    assert_null(store_at(&f.store, 0));
    assert_null(store_at(&f.store, 4));
    // The head is the message as it goes out.
    struct wire_header header;
    struct wire_frame fields;
    assert_int_equal(wire_get_header(frame->head, &header), 0);
    assert_int_equal(header.length, WIRE_FRAME_FIXED + 2 * STORE_BLOCK_BYTES);
    assert_int_equal(wire_get_frame(frame->head + WIRE_HEADER_BYTES,
                                    frame->head_bytes - WIRE_HEADER_BYTES, &fields),
                     WIRE_FRAME_FIXED);
    assert_int_equal(fields.sequence, 2);
    assert_int_equal(fields.frame_id, 1);
    close_store(&f);
}

static void test_oldest_is_evicted_first(void **state)
{
    (void)state;
    struct fixture f;
    open_store(&f, 10);
    for (uint64_t i = 1; i <= 5; i++)
        assert_non_null(publish(&f.store, i, 2));
    assert_int_equal(f.store.oldest, 1);
    assert_int_equal(f.store.blocks_free, 0);
    assert_non_null(publish(&f.store, 6, 3)); // needs the blocks of two
    assert_int_equal(f.store.oldest, 3);
    assert_int_equal(f.store.evicted, 2);
    for (uint64_t s = 3; s <= 6; s++)
        check_chain(&f.store, store_at(&f.store, s));
    close_store(&f);
}

static void test_newest_frame_survives_a_flood_of_events(void **state)
{
    (void)state;
    struct fixture f;
    open_store(&f, 4);
    struct store_record *frame = publish(&f.store, 9, 3);
    for (unsigned i = 0; i < 3 * STORE_RECORDS_MAX; i++)
        publish_event(&f.store, "flood");
    assert_null(store_at(&f.store, 1));
    assert_ptr_equal(f.store.newest, frame);
    check_chain(&f.store, frame);
    // The next frame replaces it: its blocks come back only then, so a large one must wait for it.
    assert_null(publish(&f.store, 10, 2));
    check_chain(&f.store, frame);
    assert_non_null(publish(&f.store, 11, 1));
    assert_int_equal(f.store.newest->timestamp_ns, 11);
    assert_int_equal(f.store.blocks_free, 3);
    close_store(&f);
}

static void test_newest_frame_survives_a_frame_that_needs_all(void **state)
{
    (void)state;
    struct fixture f;
    open_store(&f, 6);
    publish(&f.store, 1, 2);
    publish(&f.store, 2, 2);
    struct store_record *greedy = store_begin(&f.store);
    assert_true(add_blocks(&f.store, greedy, 3, 4));
    assert_null(store_add_block(&f.store, greedy));
    assert_ptr_equal(store_at(&f.store, 2), f.store.newest);
    check_chain(&f.store, f.store.newest);
    store_abort(&f.store, greedy);
    assert_int_equal(f.store.blocks_free, 4);
    close_store(&f);
}

static void test_a_record_being_sent_keeps_its_blocks(void **state)
{
    (void)state;
    struct fixture f;
    open_store(&f, 9);
    struct store_record *sent = publish(&f.store, 1, 3);
    store_ref(sent);
    for (uint64_t i = 2; i < 50; i++)
        assert_non_null(publish(&f.store, i, 3));
    assert_null(store_at(&f.store, 1));
    check_chain(&f.store, sent);
    assert_int_equal(f.store.blocks_free, 0);
    store_unref(&f.store, sent);
    assert_int_equal(f.store.blocks_free, 3);
    close_store(&f);
}

static void test_rewind_and_abort_return_blocks(void **state)
{
    (void)state;
    struct fixture f;
    open_store(&f, 5);
    uint32_t records = f.store.free_record_count;
    struct store_record *record = store_begin(&f.store);
    assert_true(add_blocks(&f.store, record, 1, 5));
    assert_null(store_add_block(&f.store, record));
    store_rewind(&f.store, record);
    assert_int_equal(f.store.blocks_free, 5);
    store_rewind(&f.store, record); // of nothing
    assert_int_equal(f.store.blocks_free, 5);
    assert_true(add_blocks(&f.store, record, 2, 4));
    store_abort(&f.store, record);
    assert_int_equal(f.store.blocks_free, 5);
    assert_int_equal(f.store.free_record_count, records);
    assert_int_equal(f.store.blocks_used_max, 5);
    close_store(&f);
}

static void test_text_of_an_event_is_cut_to_its_room(void **state)
{
    (void)state;
    struct fixture f;
    open_store(&f, 1);
    char text[600];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    publish_event(&f.store, text);
    struct store_record *record = store_at(&f.store, 1);
    struct wire_header header;
    assert_int_equal(record->head_bytes, STORE_HEAD_BYTES);
    assert_int_equal(wire_get_header(record->head, &header), 0);
    assert_int_equal(header.length, STORE_HEAD_BYTES - WIRE_HEADER_BYTES);
    close_store(&f);
}

static void test_memory_too_small_is_refused(void **state)
{
    (void)state;
    struct store store;
    assert_int_equal(store_block_count(RECORDS_BYTES), 0);
    assert_int_equal(store_block_count(RECORDS_BYTES + STORE_BLOCK_BYTES), 0);
    assert_int_equal(store_block_count(RECORDS_BYTES + STORE_BLOCK_BYTES + sizeof(uint32_t)), 1);
    assert_int_equal(store_init(&store, NULL, RECORDS_BYTES), -EINVAL);
}

/** All that the node can hold at a time: a full log, every client sending another record that the
 * log has forgotten, frames held for a trigger, the newest frame, one being written. */
static void test_records_never_run_out(void **state)
{
    (void)state;
    struct fixture f;
    open_store(&f, 64);
    struct store_record *senders[SERVER_CLIENTS_LIMIT], *held[CONFIG_PRETRIGGER_LIMIT];
    for (unsigned i = 0; i < SERVER_CLIENTS_LIMIT; i++) {
        senders[i] = publish(&f.store, i, 1);
        store_ref(senders[i]);
    }
    for (unsigned i = 0; i < CONFIG_PRETRIGGER_LIMIT; i++) {
        held[i] = store_begin(&f.store);
        assert_true(add_blocks(&f.store, held[i], i, 1));
    }
    struct store_record *newest = publish(&f.store, 99, 1);
    for (unsigned i = 0; i < 2 * STORE_RECORDS_MAX; i++)
        publish_event(&f.store, "");
    struct store_record *writer = store_begin(&f.store);
    assert_true(add_blocks(&f.store, writer, 100, 1));
    publish_event(&f.store, "");
    assert_int_equal(f.store.next_sequence - f.store.oldest, STORE_RECORDS_MAX);
    assert_true(f.store.free_record_count > 0);
    check_chain(&f.store, newest);
    store_abort(&f.store, writer);
    for (unsigned i = 0; i < CONFIG_PRETRIGGER_LIMIT; i++)
        store_abort(&f.store, held[i]);
    for (unsigned i = 0; i < SERVER_CLIENTS_LIMIT; i++)
        store_unref(&f.store, senders[i]);
    assert_int_equal(f.store.blocks_free, 63);
    close_store(&f);
}

/** What the store should hold, counted in the plainest way. */
struct model {
    struct store_record *pinned[8];
    unsigned pinned_count;
    struct store_record *writer;
    uint32_t writer_blocks;
    uint64_t published;
};

static uint32_t blocks_of(const struct store_record *record)
{
    return record->is_frame ? record->jpeg_bytes / STORE_BLOCK_BYTES : 0;
}

/** Everything alive has its whole chain, and no block is lost or owned twice. */
static void check_against_model(const struct store *store, const struct model *m)
{
    uint32_t used = m->writer_blocks;
    for (uint64_t s = store->oldest; s < store->next_sequence; s++) {
        const struct store_record *record = store_at(store, s);
        assert_int_equal(record->sequence, s);
        if (!record->is_frame)
            continue;
        check_chain(store, record);
        used += blocks_of(record);
    }
    for (unsigned i = 0; i < m->pinned_count; i++) {
        check_chain(store, m->pinned[i]);
        bool is_twice = m->pinned[i]->sequence >= store->oldest;
        for (unsigned k = 0; k < i; k++)
            is_twice |= m->pinned[k] == m->pinned[i];
        used += is_twice ? 0 : blocks_of(m->pinned[i]);
    }
    bool is_newest_counted = store->newest == NULL || store->newest->sequence >= store->oldest;
    for (unsigned i = 0; i < m->pinned_count; i++)
        is_newest_counted |= m->pinned[i] == store->newest;
    if (!is_newest_counted)
        used += blocks_of(store->newest);
    assert_int_equal(store->block_count - store->blocks_free, used);
    uint32_t is_free = 0;
    for (uint32_t b = store->free_block; b != STORE_NONE; b = store_next_block(store, b))
        is_free++;
    assert_int_equal(is_free, store->blocks_free);
}

static void step(struct store *store, struct model *m)
{
    switch (rand() % 8) {
    case 0:
    case 1:
    case 2:
        if (m->writer == NULL) {
            m->writer = store_begin(store);
        } else if (rand() % 4 != 0) {
            uint8_t *block = store_add_block(store, m->writer);
            if (block != NULL)
                wire_store_u32(block, mark_of(m->published + 1, m->writer_blocks++));
        } else {
            struct wire_frame fields = {.timestamp_ns = ++m->published};
            store_publish_frame(store, m->writer, &fields, m->writer_blocks * STORE_BLOCK_BYTES);
            m->writer = NULL;
            m->writer_blocks = 0;
        }
        break;
    case 3:
        if (m->writer != NULL && rand() % 3 == 0) {
            if (rand() % 2 == 0)
                store_rewind(store, m->writer);
            else
                store_abort(store, m->writer), m->writer = NULL;
            m->writer_blocks = 0;
        }
        break;
    case 4: publish_event(store, "x"); break;
    case 5:
        if (m->pinned_count < ARRAY_SIZE(m->pinned) && store->newest != NULL) {
            store_ref(store->newest);
            m->pinned[m->pinned_count++] = store->newest;
        }
        break;
    default:
        if (m->pinned_count > 0) {
            unsigned i = (unsigned)rand() % m->pinned_count;
            store_unref(store, m->pinned[i]);
            m->pinned[i] = m->pinned[--m->pinned_count];
        }
    }
}

static void test_random_operations_keep_every_block(void **state)
{
    (void)state;
    struct fixture f;
    struct model m = {0};
    open_store(&f, 23);
    srand(20261120);
    for (unsigned i = 0; i < 40000; i++) {
        step(&f.store, &m);
        if (i % 7 == 0)
            check_against_model(&f.store, &m);
    }
    assert_true(f.store.evicted > 1000);
    close_store(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_and_events_share_one_sequence),
        cmocka_unit_test(test_oldest_is_evicted_first),
        cmocka_unit_test(test_newest_frame_survives_a_flood_of_events),
        cmocka_unit_test(test_newest_frame_survives_a_frame_that_needs_all),
        cmocka_unit_test(test_a_record_being_sent_keeps_its_blocks),
        cmocka_unit_test(test_rewind_and_abort_return_blocks),
        cmocka_unit_test(test_text_of_an_event_is_cut_to_its_room),
        cmocka_unit_test(test_memory_too_small_is_refused),
        cmocka_unit_test(test_records_never_run_out),
        cmocka_unit_test(test_random_operations_keep_every_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
