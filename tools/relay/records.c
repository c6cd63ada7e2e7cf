// SPDX-License-Identifier: MIT
#include "tools/relay/records.h"

#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/say.h"
#include "tools/relay/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    OPEN_TIMEOUT_MS = 2000,
    RETRY_MS = 1000,       /**< between two attempts to open a node */
    PAUSE_AFTER_MS = 1000, /**< a window full for this long pauses the node's flow */
    TAKES_A_STEP = 16,     /**< records taken before answers have their turn */
    RECORDS_SPARE = 4,     /**< borrowed beside those of the window */
};

// --- the node -----------------------------------------------------------------------------------

static void say_node(struct relay *relay, const char *text)
{
    struct relay_node *node = &relay->node;
    if (strcmp(node->said, text) == 0)
        return;
    snprintf(node->said, sizeof node->said, "%s", text);
    if (*text != '\0')
        say("%s: the node is away: %s", relay->settings->name, text);
    else
        say("%s: connected to the node", relay->settings->name);
}

static bool open_node(struct relay *relay)
{
    struct relay_node *node = &relay->node;
    const struct pinhole_options options = {
        .size = sizeof options,
        .connect_timeout_ms = OPEN_TIMEOUT_MS,
        .records_max = (unsigned)relay->settings->window + RECORDS_SPARE,
        .key_file = *relay->settings->node_key_file != '\0' ? relay->settings->node_key_file : NULL,
    };
    if (node->handle != NULL)
        return true;
    if (clock_now_ns() < node->retry_ns)
        return false;
    if (pinhole_open(&node->handle, relay->settings->address, &options) == 0) {
        snprintf(node->said, sizeof node->said, "-");
        say_node(relay, "");
        return true;
    }
    char why[sizeof node->said];
    snprintf(why, sizeof why, "%s", pinhole_error(node->handle));
    say_node(relay, why);
    pinhole_close(node->handle);
    node->handle = NULL;
    node->retry_ns = clock_now_ns() + RETRY_MS * NS_PER_MS;
    return false;
}

/** From the first record that the stream has not; without a position from the first of all, so that
 * a GAP tells what the node has no longer. */
static void subscribe(struct relay *relay)
{
    struct relay_node *node = &relay->node;
    const struct relay_position *position = &relay->position;
    const struct pinhole_subscription wish = {
        .size = sizeof wish,
        .policy = PINHOLE_EVERY,
        .strategy = PINHOLE_ONE_BY_ONE,
        .boot_id = position->boot_id,
        .from_sequence = base_max_u64(position->next, 1),
    };
    node->is_paused = false;
    node->full_since_ns = 0;
    node->is_subscribed = pinhole_subscribe(node->handle, &wish) == 0;
    if (!node->is_subscribed)
        node->retry_ns = clock_now_ns() + RETRY_MS * NS_PER_MS;
}

bool relay_records_have_room(const struct relay *relay)
{
    const struct relay_window *window = &relay->window;
    return relay->is_up && window->count < window->limit &&
           window->bytes < relay->settings->window_bytes;
}

/** Holds the node's flow while the window stays full, so that the node need not drop us as slow. */
static void pause_if_full(struct relay *relay)
{
    struct relay_node *node = &relay->node;
    const uint64_t now_ns = clock_now_ns();
    const bool is_full = !relay_records_have_room(relay);
    if (!is_full)
        node->full_since_ns = 0;
    else if (node->full_since_ns == 0)
        node->full_since_ns = now_ns;
    const bool is_long =
        node->full_since_ns != 0 && now_ns - node->full_since_ns > PAUSE_AFTER_MS * NS_PER_MS;
    const bool wants_pause = is_full && (node->is_paused || is_long);
    if (wants_pause != node->is_paused && pinhole_pause(node->handle, wants_pause) == 0)
        node->is_paused = wants_pause;
}

static void note_clock(struct relay *relay, const struct pinhole_frame *frame)
{
    const bool is_unsynchronized = (frame->flags & PINHOLE_FRAME_CLOCK_SYNCHRONIZED) == 0;
    if (is_unsynchronized == relay->node.is_unsynchronized)
        return;
    relay->node.is_unsynchronized = is_unsynchronized;
    say(is_unsynchronized ? "%s: the node's clock is not synchronised: capture times in the stream "
                            "may jump, and do not compare with those of other nodes"
                          : "%s: the node's clock is synchronised",
        relay->settings->name);
}

// --- to the server ------------------------------------------------------------------------------

/** In the place of a picture that the server does not take: the event that it is lost. */
static void make_too_large(struct relay *relay, struct relay_entry *entry, const char *who)
{
    const struct pinhole_frame *frame = &entry->record->frame;
    snprintf(entry->text, sizeof entry->text,
             "frame %" PRIu64 " is left out: its %zu bytes are more than the %s takes",
             frame->frame_id, frame->jpeg_bytes, who);
    entry->event = (struct pinhole_event){
        .kind = PINHOLE_EVENT_FRAME_LOST,
        .boot_id = entry->boot_id,
        .sequence = entry->sequence,
        .monotonic_ns = frame->timestamp_ns,
        .realtime_ns = frame->realtime_ns,
        .first = frame->trigger_id,
        .last = frame->trigger_id,
        .sensor_sequence = frame->sensor_sequence,
        .text = entry->text,
    };
    say("%s: %s", relay->settings->name, entry->text);
    pinhole_release(relay->node.handle, entry->record);
    entry->record = NULL;
    relay->window.bytes -= entry->bytes;
    entry->bytes = 0;
}

static bool publish(struct relay *relay, uint64_t serial, char why[RELAY_WHY_BYTES])
{
    struct relay_server *server = &relay->server;
    struct relay_entry *entry = relay_window_entry(&relay->window, serial);
    const struct relay_entry *settled = relay_window_entry(&relay->window, relay->window.serial);
    char subject[RELAY_SUBJECT_BYTES], reply[RELAY_SUBJECT_BYTES];
    natsMsg *message = NULL;
    if (entry->record != NULL && entry->record->kind == PINHOLE_FRAME &&
        entry->record->frame.message_bytes + RELAY_OVERHEAD_BYTES > server->payload_max)
        make_too_large(relay, entry, "server");
    snprintf(subject, sizeof subject, RELAY_PREFIX ".%s.%s", relay->settings->level,
             relay_message_kind(entry));
    relay_server_reply(server, serial, reply, sizeof reply);
    entry->sent_ns = clock_now_ns();
    natsStatus result = relay_message_make(&message, subject, reply, entry, settled);
    if (result == NATS_OK)
        result = natsConnection_PublishMsg(server->nc, message);
    natsMsg_Destroy(message);
    return result == NATS_OK || relay_server_fail(server, why, "cannot send a record", result, 0);
}

// --- from the node ------------------------------------------------------------------------------

enum taken { TAKEN, WAITS, FAILED };

static enum taken add(struct relay *relay, const struct relay_entry *wanted,
                      char why[RELAY_WHY_BYTES])
{
    struct relay_entry *entry = relay_window_add(&relay->window);
    if (entry == NULL)
        return WAITS;
    const uint64_t behind = entry->behind;
    *entry = *wanted;
    entry->behind = behind;
    relay->window.bytes += entry->bytes;
    relay->boot_id = entry->boot_id;
    return publish(relay, relay->window.serial + relay->window.count - 1, why) ? TAKEN : FAILED;
}

/** The first records of first..last that the stream has not. False: it has all. */
static bool find_hole(const struct relay *relay, uint64_t boot_id, uint64_t first, uint64_t last,
                      uint64_t *from, uint64_t *until)
{
    const struct relay_position *position = &relay->position;
    *from = first;
    *until = last;
    if (!position->is_known || position->boot_id != boot_id)
        return first <= last;
    return relay_ranges_hole(&position->stored, base_max_u64(first, position->next), last, from,
                             until);
}

/** A GAP without what the stream has all the same. */
static enum taken take_gap(struct relay *relay, struct pinhole_record *record,
                           char why[RELAY_WHY_BYTES])
{
    uint64_t from, until;
    uint64_t *at = &relay->node.gap_from;
    *at = base_max_u64(*at, record->event.first);
    while (find_hole(relay, record->event.boot_id, *at, record->event.last, &from, &until)) {
        struct relay_entry entry = {.event = record->event,
                                    .boot_id = record->event.boot_id,
                                    .first = from,
                                    .sequence = until};
        if (!relay_records_have_room(relay))
            return WAITS;
        entry.event.first = from;
        entry.event.last = entry.event.sequence = until;
        entry.event.text = "the node had these records no longer";
        const enum taken result = add(relay, &entry, why);
        if (result != TAKEN)
            return result;
        *at = until + 1;
    }
    *at = 0;
    pinhole_release(relay->node.handle, record);
    return TAKEN;
}

/** The link's own events are no records. */
static bool take_link_event(struct relay *relay, struct pinhole_record *record)
{
    const struct pinhole_event *event = &record->event;
    if (record->kind != PINHOLE_EVENT ||
        (event->kind != PINHOLE_EVENT_DISCONNECTED && event->kind != PINHOLE_EVENT_RECONNECTED))
        return false;
    say_node(relay, event->kind == PINHOLE_EVENT_DISCONNECTED ? event->text : "");
    pinhole_release(relay->node.handle, record);
    return true;
}

static enum taken take(struct relay *relay, struct pinhole_record *record,
                       char why[RELAY_WHY_BYTES])
{
    const bool is_frame = record->kind == PINHOLE_FRAME;
    struct relay_entry entry = {
        .record = record,
        .boot_id = is_frame ? record->frame.boot_id : record->event.boot_id,
        .sequence = is_frame ? record->frame.sequence : record->event.sequence,
        .bytes = is_frame ? record->frame.jpeg_bytes : 0,
    };
    uint64_t from, until;
    if (take_link_event(relay, record))
        return TAKEN;
    // So all of a boot is stored before the first of the next: the newest message names the boot.
    if (relay->window.count > 0 && entry.boot_id != relay->boot_id)
        return WAITS;
    if (!is_frame && record->event.kind == PINHOLE_EVENT_GAP)
        return take_gap(relay, record, why);
    if (!find_hole(relay, entry.boot_id, entry.sequence, entry.sequence, &from, &until)) {
        pinhole_release(relay->node.handle, record);
        return TAKEN;
    }
    entry.first = entry.sequence;
    if (is_frame)
        note_clock(relay, &record->frame);
    return add(relay, &entry, why);
}

static bool take_records(struct relay *relay, char why[RELAY_WHY_BYTES])
{
    struct relay_node *node = &relay->node;
    node->has_more = false;
    for (unsigned i = 0; i < TAKES_A_STEP && relay_records_have_room(relay); i++) {
        struct pinhole_record *record = node->waiting;
        if (record == NULL && pinhole_next(node->handle, 0, &record) <= 0)
            return true;
        node->waiting = NULL;
        const enum taken result = take(relay, record, why);
        if (result == FAILED)
            return false;
        if (result == WAITS) {
            node->waiting = record;
            return true;
        }
    }
    node->has_more = relay_records_have_room(relay);
    return true;
}

bool relay_records_step(struct relay *relay, char why[RELAY_WHY_BYTES])
{
    struct relay_node *node = &relay->node;
    if (!open_node(relay))
        return true;
    if (!node->is_subscribed && clock_now_ns() >= node->retry_ns)
        subscribe(relay);
    if (!node->is_subscribed)
        return true;
    pause_if_full(relay);
    return take_records(relay, why);
}

// --- answers ------------------------------------------------------------------------------------

/** Answers of a server: stored, too large for the stream, or no. */
static bool take_answer(struct relay *relay, const struct relay_ack *ack, char why[RELAY_WHY_BYTES])
{
    struct relay_entry *entry = relay_window_entry(&relay->window, ack->serial);
    if (ack->sequence != 0) {
        relay_window_store(&relay->window, ack->serial, ack->sequence);
        return true;
    }
    if (entry != NULL && ack->code == JSStreamMessageExceedsMaximumErr && entry->bytes > 0) {
        make_too_large(relay, entry, "stream");
        return publish(relay, ack->serial, why);
    }
    snprintf(why, RELAY_WHY_BYTES, "stream %s: %s%s", relay->settings->stream,
             ack->code == JSStreamStoreFailedErr || ack->code == JSStorageResourcesExceededErr ||
                     ack->code == JSInsufficientResourcesErr
                 ? "its limits are reached, and records wait in the node: "
                 : "",
             ack->text);
    return false;
}

bool relay_records_settle(struct relay *relay, char why[RELAY_WHY_BYTES])
{
    struct relay_ack ack;
    struct relay_entry stored;
    while (relay_server_take(&relay->server, &ack))
        if (!take_answer(relay, &ack, why))
            return false;
    while (relay_window_take(&relay->window, &stored)) {
        relay->attempts = 0;
        relay_window_widen(&relay->window, (unsigned)relay->settings->window);
        if (stored.record != NULL)
            pinhole_release(relay->node.handle, stored.record);
    }
    const struct relay_entry *oldest = relay_window_entry(&relay->window, relay->window.serial);
    if (oldest == NULL || clock_now_ns() - oldest->sent_ns < RELAY_ANSWER_MS * NS_PER_MS)
        return true;
    relay_window_narrow(&relay->window);
    snprintf(why, RELAY_WHY_BYTES, "stream %s: no acknowledgement for %d s",
             relay->settings->stream, RELAY_ANSWER_MS / 1000);
    return false;
}

void relay_records_drop(struct relay *relay)
{
    struct relay_node *node = &relay->node;
    struct relay_window *window = &relay->window;
    for (uint64_t i = 0; i < window->count; i++) {
        struct pinhole_record *record = relay_window_entry(window, window->serial + i)->record;
        if (record != NULL)
            pinhole_release(node->handle, record);
    }
    if (node->waiting != NULL)
        pinhole_release(node->handle, node->waiting);
    node->waiting = NULL;
    node->gap_from = 0;
    node->has_more = false;
    window->serial += window->count;
    window->count = 0;
    window->bytes = 0;
    if (node->is_subscribed)
        pinhole_unsubscribe(node->handle); // when it fails the link is broken: nothing flows either
    node->is_subscribed = false;
}
