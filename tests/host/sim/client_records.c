// SPDX-License-Identifier: MIT
#include "tests/host/sim/client_records.h"

#include "tests/host/sim/machine.h"
#include "tests/host/sim/truth.h"

static const struct truth_record *known(const struct client *c, uint64_t sequence)
{
    const struct truth_record *record = truth_at(sequence);
    CHECK(record != NULL, "client %u got record %llu, which was never published", c->id,
          (unsigned long long)sequence);
    return record;
}

/** Policy latest: everything between the last record and this one was passed over. */
static void pass_over(struct client *c, uint64_t sequence)
{
    CHECK(sequence > c->last, "client %u got record %llu after %llu", c->id,
          (unsigned long long)sequence, (unsigned long long)c->last);
    for (uint64_t i = c->last + 1; i < sequence; i++) {
        CHECK(known(c, i)->is_frame, "client %u missed event %llu, in no GAP", c->id,
              (unsigned long long)i);
        c->skipped += c->has_baseline;
    }
    c->last = sequence;
}

static void note_record(struct client *c, uint64_t sequence)
{
    c->records++;
    if (c->kind == CLIENT_LATEST) {
        pass_over(c, sequence);
        return;
    }
    CHECK(sequence == c->next, "client %u got record %llu, wanted %llu", c->id,
          (unsigned long long)sequence, (unsigned long long)c->next);
    c->next++;
}

void client_take_frame(struct client *c, const uint8_t *payload, uint32_t bytes)
{
    struct wire_frame frame;
    int head = wire_get_frame(payload, bytes, &frame);
    CHECK(head > 0 && c->is_subscribed && c->role >= WIRE_ROLE_VIEW,
          "client %u got a FRAME that it cannot have", c->id);
    uint32_t jpeg_bytes = bytes - (uint32_t)head;
    const struct truth_record *truth = known(c, frame.sequence);
    note_record(c, frame.sequence);
    CHECK(truth->is_frame && truth->frame_id == frame.frame_id &&
              truth->sensor_sequence == frame.sensor_sequence &&
              truth->trigger_id == frame.trigger_id,
          "client %u: record %llu is another frame than was published", c->id,
          (unsigned long long)frame.sequence);
    CHECK(jpeg_bytes == truth->jpeg_bytes && jpeg_bytes <= c->limits.frame_bytes_max &&
              truth_hash(payload + head, jpeg_bytes) == truth->jpeg_hash,
          "client %u: the picture of record %llu is not the one that was published", c->id,
          (unsigned long long)frame.sequence);
    if (c->kind == CLIENT_LATEST)
        CHECK(frame.skipped == c->skipped, "client %u: frame %llu says %u skipped, not %llu", c->id,
              (unsigned long long)frame.frame_id, frame.skipped, (unsigned long long)c->skipped);
    else
        CHECK(frame.skipped == 0, "client %u of policy every: %u skipped", c->id, frame.skipped);
    c->skipped = 0;
    c->has_baseline = true;
}

static void take_gap(struct client *c, const struct wire_event *gap)
{
    uint64_t from = c->kind == CLIENT_LATEST ? c->last + 1 : c->next;
    CHECK(gap->first == from && gap->last >= gap->first,
          "client %u: GAP %llu-%llu, but it stands before %llu", c->id,
          (unsigned long long)gap->first, (unsigned long long)gap->last, (unsigned long long)from);
    CHECK(gap->last < truth_store()->oldest, "client %u: GAP up to %llu, which is still there",
          c->id, (unsigned long long)gap->last);
    c->next = gap->last + 1;
    c->last = gap->last;
    c->has_baseline = true;
}

void client_take_event(struct client *c, const uint8_t *payload, uint32_t bytes)
{
    struct wire_event event;
    CHECK(wire_get_event(payload, bytes, &event) > 0 && c->is_subscribed &&
              c->role >= WIRE_ROLE_VIEW,
          "client %u got an EVENT that it cannot have", c->id);
    CHECK(event.kind != WIRE_EVENT_BOOT, "client %u got BOOT within one boot", c->id);
    if (event.kind == WIRE_EVENT_GAP) {
        take_gap(c, &event);
        return;
    }
    const struct truth_record *truth = known(c, event.sequence);
    note_record(c, event.sequence);
    c->has_baseline = true;
    CHECK(!truth->is_frame && truth->kind == event.kind,
          "client %u: record %llu is another event than was published", c->id,
          (unsigned long long)event.sequence);
}

void client_start_position(struct client *c, uint64_t position)
{
    c->is_subscribed = true;
    if (c->kind == CLIENT_LATEST) {
        CHECK(position >= c->last + 1, "client %u is at %llu again", c->id,
              (unsigned long long)position);
        c->last = position - 1;
        c->skipped = 0;
        c->has_baseline = false;
        return;
    }
    bool is_resuming = c->wanted != WIRE_FROM_NEWEST && c->wanted != WIRE_FROM_NEXT;
    CHECK(!is_resuming || position == c->wanted, "client %u resumes at %llu, wanted %llu", c->id,
          (unsigned long long)position, (unsigned long long)c->wanted);
    c->next = position;
}
