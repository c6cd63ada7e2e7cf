// SPDX-License-Identifier: MIT
#include "tests/host/sim/truth.h"

#include <string.h>

#include "app/frame_queue.h"
#include "app/trigger/trigger.h"
#include "tests/host/sim/camera.h"
#include "tests/host/sim/machine.h"

#define DECODE_ONE_IN 16u /**< frames whose picture is read back */

static struct {
    struct truth_record record[TRUTH_MAX];
    uint64_t count; /**< the last sequence */
    uint64_t frames, last_frame_ns, cap;
    uint64_t triggers; /**< the last id given */
    uint64_t last_outcome;
    bool is_matched[TRUTH_MAX], has_event[TRUTH_MAX]; /**< by trigger id */
    uint64_t came_ns[TRUTH_MAX];                      /**< likewise */
    uint64_t first_open;                              /**< no trigger before it waits */
    struct store *store;
} truth;

int __real_store_init(struct store *store, void *memory, uint64_t bytes);
void __real_store_publish_frame(struct store *store, struct store_record *record,
                                struct wire_frame *fields, uint32_t jpeg_bytes);
void __real_store_publish_event(struct store *store, struct wire_event *fields, const char *text);
bool __real_frame_queue_offer(struct frame_queue *queue, const struct queued_frame *offered,
                              unsigned buffers, bool is_encoding, struct queued_frame *lost);
uint64_t __real_trigger_edge(struct trigger *t, uint64_t edge_ns, uint32_t line_sequence,
                             uint64_t now_ns);
uint64_t __real_trigger_ring_add(struct trigger *t, enum wire_trigger_source source,
                                 uint64_t edge_ns);

void truth_init(uint64_t frame_bytes_max)
{
    truth.cap = frame_bytes_max;
}

const struct truth_record *truth_at(uint64_t sequence)
{
    return sequence >= 1 && sequence <= truth.count ? &truth.record[sequence] : NULL;
}

const struct store *truth_store(void)
{
    return truth.store;
}

uint64_t truth_frames(void)
{
    return truth.frames;
}

uint64_t truth_triggers(void)
{
    return truth.triggers;
}

uint64_t truth_last_frame_ns(void)
{
    return truth.last_frame_ns;
}

uint64_t truth_oldest_open_ns(void)
{
    uint64_t *id = &truth.first_open;
    while (*id <= truth.triggers && (*id == 0 || truth.is_matched[*id] || truth.has_event[*id]))
        ++*id;
    return *id <= truth.triggers ? truth.came_ns[*id] : 0;
}

uint64_t truth_hash(const uint8_t *bytes, size_t count)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t part; count > 0; bytes += part, count -= part) {
        uint64_t word = 0;
        part = count < sizeof word ? count : sizeof word;
        memcpy(&word, bytes, part);
        hash = (hash ^ word) * UINT64_C(1099511628211);
        hash ^= hash >> 32;
    }
    return hash;
}

int __wrap_store_init(struct store *store, void *memory, uint64_t bytes)
{
    truth.store = store;
    return __real_store_init(store, memory, bytes);
}

static struct truth_record *append(uint64_t sequence)
{
    CHECK(sequence == truth.count + 1, "record %llu follows record %llu",
          (unsigned long long)sequence, (unsigned long long)truth.count);
    CHECK(sequence < TRUTH_MAX, "the run has too many records");
    truth.count = sequence;
    struct truth_record *record = &truth.record[sequence];
    record->published_ns = machine_now();
    return record;
}

/** The whole JPEG of a record, in one piece. */
static const uint8_t *collect(const struct store *store, const struct store_record *record)
{
    static uint8_t jpeg[1u << 20];
    uint32_t block = record->first_block, left = record->jpeg_bytes;
    for (uint8_t *at = jpeg; left > 0; block = store_next_block(store, block)) {
        uint32_t part = left < STORE_BLOCK_BYTES ? left : STORE_BLOCK_BYTES;
        memcpy(at, store_block(store, block), part);
        at += part;
        left -= part;
    }
    return jpeg;
}

void __wrap_store_publish_frame(struct store *store, struct store_record *record,
                                struct wire_frame *fields, uint32_t jpeg_bytes)
{
    __real_store_publish_frame(store, record, fields, jpeg_bytes);
    struct truth_record *entry = append(fields->sequence);
    truth.frames++;
    truth.last_frame_ns = machine_now();
    CHECK(fields->frame_id == truth.frames, "frame %llu has the number %llu",
          (unsigned long long)truth.frames, (unsigned long long)fields->frame_id);
    CHECK(jpeg_bytes <= truth.cap, "a frame of %u bytes exceeds the cap", jpeg_bytes);
    entry->is_frame = true;
    entry->frame_id = fields->frame_id;
    entry->trigger_id = fields->trigger_id;
    entry->sensor_sequence = fields->sensor_sequence;
    entry->jpeg_bytes = jpeg_bytes;
    const uint8_t *jpeg = collect(store, record);
    entry->jpeg_hash = truth_hash(jpeg, jpeg_bytes);
    if (truth.frames % DECODE_ONE_IN == 1)
        CHECK(camera_read_drawing(jpeg, jpeg_bytes) == fields->sensor_sequence,
              "frame %llu says sensor sequence %u, its picture %lld",
              (unsigned long long)fields->frame_id, fields->sensor_sequence,
              (long long)camera_read_drawing(jpeg, jpeg_bytes));
    uint64_t id = fields->trigger_id;
    CHECK(id <= truth.triggers, "a frame answers trigger %llu, which was never given",
          (unsigned long long)id);
    CHECK(id == 0 || !truth.has_event[id], "trigger %llu had another outcome before its frame",
          (unsigned long long)id);
    truth.is_matched[id] = true;
    machine_trace("publish %llu: frame %llu of %u, trigger %llu, %u bytes",
                  (unsigned long long)fields->sequence, (unsigned long long)fields->frame_id,
                  fields->sensor_sequence, (unsigned long long)id, jpeg_bytes);
}

void __wrap_store_publish_event(struct store *store, struct wire_event *fields, const char *text)
{
    __real_store_publish_event(store, fields, text);
    struct truth_record *entry = append(fields->sequence);
    entry->kind = fields->kind;
    machine_trace("publish %llu: event %u %llu-%llu %s", (unsigned long long)fields->sequence,
                  fields->kind, (unsigned long long)fields->first, (unsigned long long)fields->last,
                  text);
    if (fields->kind != WIRE_EVENT_TRIGGER)
        return;
    CHECK(fields->first > truth.last_outcome && fields->last >= fields->first &&
              fields->last <= truth.triggers,
          "outcomes of triggers %llu-%llu after %llu", (unsigned long long)fields->first,
          (unsigned long long)fields->last, (unsigned long long)truth.last_outcome);
    truth.last_outcome = fields->last;
    for (uint64_t id = fields->first; id <= fields->last; id++) {
        CHECK(!truth.is_matched[id], "trigger %llu has a frame and an event",
              (unsigned long long)id);
        truth.has_event[id] = true;
    }
}

/** The engine refuses an edge of the future; this machine has one clock, so none comes. */
uint64_t __wrap_trigger_edge(struct trigger *t, uint64_t edge_ns, uint32_t line_sequence,
                             uint64_t now_ns)
{
    CHECK(edge_ns <= now_ns, "an edge is %llu ns younger than the time it is taken at",
          (unsigned long long)(edge_ns - now_ns));
    return __real_trigger_edge(t, edge_ns, line_sequence, now_ns);
}

uint64_t __wrap_trigger_ring_add(struct trigger *t, enum wire_trigger_source source,
                                 uint64_t edge_ns)
{
    uint64_t id = __real_trigger_ring_add(t, source, edge_ns);
    if (id == 0)
        return 0;
    CHECK(id == truth.triggers + 1 && id < TRUTH_MAX, "trigger %llu follows trigger %llu",
          (unsigned long long)id, (unsigned long long)truth.triggers);
    truth.triggers = id;
    truth.came_ns[id] = machine_now();
    return id;
}

/** A trigger never loses its frame while one that answers nothing waits. */
bool __wrap_frame_queue_offer(struct frame_queue *queue, const struct queued_frame *offered,
                              unsigned buffers, bool is_encoding, struct queued_frame *lost)
{
    bool can_spare = offered->decision.verdict != TRIGGER_ANSWER;
    for (unsigned i = 0; i < queue->count; i++)
        can_spare = can_spare || queue->waiting[i].decision.verdict != TRIGGER_ANSWER;
    const bool has_lost = __real_frame_queue_offer(queue, offered, buffers, is_encoding, lost);
    CHECK(!has_lost || !can_spare || lost->decision.verdict != TRIGGER_ANSWER,
          "trigger %llu loses its frame, another one could be spared",
          (unsigned long long)lost->decision.trigger_id);
    return has_lost;
}

/** Blocks in the chains of all records that the log still has. */
static uint32_t count_blocks(const struct store *store)
{
    uint32_t blocks = 0;
    const struct store_record *newest = store->newest;
    for (uint64_t i = store->oldest; i < store->next_sequence; i++) {
        const struct store_record *record = store_at(store, i);
        CHECK(record != NULL, "record %llu is missing from the log", (unsigned long long)i);
        uint32_t references = 1 + (record == newest);
        CHECK(record->references == references, "record %llu has %u references, not %u",
              (unsigned long long)i, record->references, references);
        if (record == newest)
            newest = NULL;
        for (uint32_t b = record->first_block; record->is_frame && b != STORE_NONE;
             b = store_next_block(store, b))
            blocks++;
    }
    for (uint32_t b = newest != NULL ? newest->first_block : STORE_NONE; b != STORE_NONE;
         b = store_next_block(store, b))
        blocks++;
    return blocks;
}

void truth_check_end(void)
{
    for (uint64_t id = 1; id <= truth.triggers; id++)
        CHECK(truth.is_matched[id] != truth.has_event[id], "trigger %llu has %s outcome",
              (unsigned long long)id, truth.is_matched[id] ? "more than one" : "no");
    const struct store *store = truth.store;
    uint32_t used = store->block_count - store->blocks_free, counted = count_blocks(store);
    CHECK(used == counted, "%u blocks are in use, the log has %u", used, counted);
}
