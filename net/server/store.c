// SPDX-License-Identifier: MIT
#include "net/server/store.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define RECORD_COUNT (STORE_RECORDS_MAX + STORE_PINNED_MAX)
#define LOG_MASK     (STORE_RECORDS_MAX - 1)

static_assert((STORE_RECORDS_MAX & LOG_MASK) == 0, "STORE_RECORDS_MAX must be a power of two");
static_assert(RECORD_COUNT <= UINT16_MAX, "record indices are 16 bit: lower STORE_RECORDS_MAX");
static_assert(WIRE_HEADER_BYTES + WIRE_FRAME_FIXED <= STORE_HEAD_BYTES,
              "STORE_HEAD_BYTES must hold a FRAME's header and fixed fields");

uint32_t store_block_count(uint64_t bytes)
{
    uint64_t records_bytes = RECORD_COUNT * sizeof(struct store_record);
    if (bytes <= records_bytes)
        return 0;
    uint64_t count = (bytes - records_bytes) / (STORE_BLOCK_BYTES + sizeof(uint32_t));
    return count < STORE_NONE ? (uint32_t)count : STORE_NONE - 1;
}

int store_init(struct store *store, void *memory, uint64_t bytes)
{
    uint32_t count = store_block_count(bytes);
    if (count == 0)
        return -EINVAL;
    memset(store, 0, sizeof *store);
    // Blocks first: they are what wants the page alignment.
    store->blocks = memory;
    store->records =
        (struct store_record *)(void *)(store->blocks + (size_t)count * STORE_BLOCK_BYTES);
    store->next = (uint32_t *)(void *)(store->records + RECORD_COUNT);
    store->block_count = store->blocks_free = count;
    for (uint32_t i = 0; i < count; i++)
        store->next[i] = i + 1 < count ? i + 1 : STORE_NONE;
    for (uint16_t i = 0; i < RECORD_COUNT; i++)
        store->free_records[i] = i;
    store->free_record_count = RECORD_COUNT;
    store->oldest = store->next_sequence = 1;
    store->next_frame_id = 1;
    return 0;
}

struct store_record *store_at(const struct store *store, uint64_t sequence)
{
    if (sequence < store->oldest || sequence >= store->next_sequence)
        return NULL;
    return &store->records[store->log[sequence & LOG_MASK]];
}

void store_ref(struct store_record *record)
{
    record->references++;
}

static void free_blocks(struct store *store, struct store_record *record)
{
    if (record->first_block == STORE_NONE)
        return;
    uint32_t count = 1;
    for (uint32_t b = record->first_block; b != record->last_block; b = store->next[b])
        count++;
    store->next[record->last_block] = store->free_block;
    store->free_block = record->first_block;
    store->blocks_free += count;
    record->first_block = record->last_block = STORE_NONE;
}

void store_unref(struct store *store, struct store_record *record)
{
    assert(record->references > 0);
    if (--record->references > 0)
        return;
    free_blocks(store, record);
    store->free_records[store->free_record_count++] = (uint16_t)(record - store->records);
}

static void evict_oldest(struct store *store)
{
    struct store_record *record = store_at(store, store->oldest);
    store->oldest++;
    store->evicted++;
    if (!record->is_frame)
        store->evicted_event = record->sequence;
    store_unref(store, record);
}

static struct store_record *take_record(struct store *store)
{
    assert(store->free_record_count > 0);
    uint16_t index = store->free_records[--store->free_record_count];
    struct store_record *record = &store->records[index];
    memset(record, 0, offsetof(struct store_record, head));
    record->first_block = record->last_block = STORE_NONE;
    record->references = 1;
    return record;
}

struct store_record *store_begin(struct store *store)
{
    return take_record(store);
}

uint8_t *store_add_block(struct store *store, struct store_record *record)
{
    // Evicting the newest frame would free nothing: `newest` holds it.
    while (store->free_block == STORE_NONE && store->oldest < store->next_sequence &&
           store_at(store, store->oldest) != store->newest)
        evict_oldest(store);
    uint32_t block = store->free_block;
    if (block == STORE_NONE)
        return NULL;
    store->free_block = store->next[block];
    store->blocks_free--;
    store->next[block] = STORE_NONE;
    if (record->first_block == STORE_NONE)
        record->first_block = block;
    else
        store->next[record->last_block] = block;
    record->last_block = block;
    uint32_t used = store->block_count - store->blocks_free;
    if (used > store->blocks_used_max)
        store->blocks_used_max = used;
    return store_block(store, block);
}

void store_rewind(struct store *store, struct store_record *record)
{
    free_blocks(store, record);
}

void store_abort(struct store *store, struct store_record *record)
{
    store_unref(store, record);
}

static void append(struct store *store, struct store_record *record)
{
    if (store->next_sequence - store->oldest == STORE_RECORDS_MAX)
        evict_oldest(store);
    record->sequence = store->next_sequence;
    store->log[store->next_sequence & LOG_MASK] = (uint16_t)(record - store->records);
    store->next_sequence++;
}

static void put_head(struct store_record *record, enum wire_type type, size_t payload_bytes)
{
    struct wire_header header = {
        .version = WIRE_VERSION, .type = (uint8_t)type, .length = (uint32_t)payload_bytes};
    wire_put_header(record->head, &header);
}

void store_publish_frame(struct store *store, struct store_record *record,
                         struct wire_frame *fields, uint32_t jpeg_bytes)
{
    fields->sequence = store->next_sequence;
    fields->frame_id = store->next_frame_id++;
    size_t fixed = wire_put_frame(record->head + WIRE_HEADER_BYTES, fields);
    put_head(record, WIRE_TYPE_FRAME, fixed + jpeg_bytes);
    record->head_bytes = (uint16_t)(WIRE_HEADER_BYTES + fixed);
    record->jpeg_bytes = jpeg_bytes;
    record->frame_id = fields->frame_id;
    record->timestamp_ns = fields->timestamp_ns;
    record->is_frame = true;
    record->is_triggered = fields->trigger_id != 0;
    append(store, record);
    if (store->newest != NULL)
        store_unref(store, store->newest);
    store->newest = record;
    store_ref(record);
}

void store_publish_event(struct store *store, struct wire_event *fields, const char *text)
{
    struct store_record *record = take_record(store);
    fields->sequence = store->next_sequence;
    uint8_t *payload = record->head + WIRE_HEADER_BYTES;
    size_t fixed = wire_put_event(payload, fields);
    size_t text_bytes = strnlen(text, STORE_EVENT_TEXT_BYTES);
    memcpy(payload + fixed, text, text_bytes);
    put_head(record, WIRE_TYPE_EVENT, fixed + text_bytes);
    record->head_bytes = (uint16_t)(WIRE_HEADER_BYTES + fixed + text_bytes);
    record->frame_id = store->next_frame_id - 1;
    record->timestamp_ns = fields->monotonic_ns;
    append(store, record);
}
