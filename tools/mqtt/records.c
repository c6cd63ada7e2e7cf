// SPDX-License-Identifier: MIT
// From the node to the broker, as the policy says.
#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/say.h"
#include "tools/mqtt/camera.h"
#include "tools/mqtt/message.h"

#include <stdio.h>
#include <string.h>

enum {
    OPEN_TIMEOUT_MS = 2000,
    RETRY_MS = 1000,       /**< between two attempts to open a node */
    WINDOW_EVERY = 8,      /**< default window of policy `every` */
    MESSAGES_A_RECORD = 3, /**< picture, meta, trigger */
    TAKES_A_STEP = 16,     /**< records taken before the broker has its turn */
    REMEMBERED_WAIT_S = 5, /**< for the retained position, which comes at once if there is one */
    PAUSE_AFTER_MS = 1000, /**< a window full for this long pauses the node's flow */
    LOSSES_MAX = 3,        /**< connections that one record may cost before it is left out */
};

static bool is_every(const struct mqtt_camera *camera)
{
    return camera->settings->camera.policy == MQTT_EVERY;
}

static unsigned window_size(const struct mqtt_camera *camera)
{
    // After a loss without progress one record at a time shows which one the broker does not take.
    if (is_every(camera) && camera->progress.losses > 0)
        return 1;
    if (camera->settings->camera.window != 0)
        return camera->settings->camera.window;
    return is_every(camera) ? WINDOW_EVERY : 1;
}

static bool is_up(const struct mqtt_camera *camera)
{
    return camera->client.state == MQTT_UP;
}

// --- the link to the node -----------------------------------------------------------------------

static void set_node_up(struct mqtt_camera *camera, bool is_node_up, const char *why)
{
    if (atomic_exchange(&camera->is_node_up, is_node_up) == is_node_up && camera->link.said_why)
        return;
    say("%s: %s%s", camera->settings->name,
        is_node_up ? "connected to the node" : "the node is away: ", is_node_up ? "" : why);
    camera->link.said_why = true;
    mqtt_state_publish(camera, is_node_up ? "" : why);
}

static void open_node(struct mqtt_camera *camera)
{
    struct mqtt_link *link = &camera->link;
    const char *key = camera->settings->camera.node_key_file;
    const struct pinhole_options options = {.size = sizeof options,
                                            .connect_timeout_ms = OPEN_TIMEOUT_MS,
                                            .key_file = *key != '\0' ? key : NULL};
    const int result = pinhole_open(&link->node, camera->settings->address, &options);
    if (result < 0) {
        set_node_up(camera, false, pinhole_error(link->node));
        pinhole_close(link->node);
        link->node = NULL;
        link->retry_ns = clock_now_ns() + RETRY_MS * NS_PER_MS;
        return;
    }
    set_node_up(camera, true, "");
    mqtt_state_features(camera);
}

static void subscribe(struct mqtt_camera *camera)
{
    const struct mqtt_camera_settings *settings = &camera->settings->camera;
    const struct mqtt_place *settled = &camera->window.settled;
    struct pinhole_subscription wish = {
        .size = sizeof wish,
        .policy = is_every(camera) ? PINHOLE_EVERY : PINHOLE_LATEST,
        .strategy = is_every(camera) ? PINHOLE_ONE_BY_ONE : PINHOLE_LATEST_ONLY,
        .triggered_only = settings->triggered_only,
        .interval_us = settings->interval_ms * 1000,
    };
    if (is_every(camera) && settled->is_known) {
        wish.boot_id = settled->boot_id;
        wish.from_sequence = settled->sequence + 1;
    }
    camera->link.is_subscribed = pinhole_subscribe(camera->link.node, &wish) == 0;
    camera->link.is_paused = false;
}

/** Holds the node's flow while the window stays full, so that the node need not drop us as slow. */
static void pause_if_full(struct mqtt_camera *camera, bool is_full)
{
    struct mqtt_link *link = &camera->link;
    const uint64_t now_ns = clock_now_ns();
    if (!is_full)
        link->full_since_ns = 0;
    else if (link->full_since_ns == 0)
        link->full_since_ns = now_ns;
    const bool is_long =
        link->full_since_ns != 0 && now_ns - link->full_since_ns > PAUSE_AFTER_MS * NS_PER_MS;
    const bool wants_pause = is_full && (link->is_paused || is_long);
    if (wants_pause != link->is_paused && pinhole_pause(link->node, wants_pause) == 0)
        link->is_paused = wants_pause;
}

// --- events -------------------------------------------------------------------------------------

/** Policy `latest`, and the broker is away or full: counts the record and tells later. */
static void leave_out(struct mqtt_camera *camera, uint64_t boot_id, uint64_t sequence)
{
    struct mqtt_live *live = &camera->live;
    atomic_fetch_add(&camera->counters.records_left_out, 1);
    if (live->records++ == 0 || live->boot_id != boot_id)
        live->first = sequence;
    live->boot_id = boot_id;
    live->last = sequence;
}

static void tell_left_out(struct mqtt_camera *camera)
{
    struct mqtt_live *live = &camera->live;
    char text[120];
    if (live->records == 0 || !is_up(camera))
        return;
    snprintf(text, sizeof text, "%llu events were left out while the broker was away",
             (unsigned long long)live->records);
    if (mqtt_publish(camera, "event",
                     mqtt_message_own_event("GAP", live->boot_id, live->first, live->last, text),
                     false, -1, MQTT_OTHER))
        live->records = 0;
}

static void publish_event(struct mqtt_camera *camera, const struct pinhole_event *event, int slot)
{
    if (event->kind == PINHOLE_EVENT_TRIGGER)
        mqtt_publish(camera, "trigger", mqtt_message_event_trigger(event), false, slot,
                     MQTT_RECORD);
    else
        mqtt_publish(camera, "event", mqtt_message_event(event), false, slot, MQTT_RECORD);
}

/** Is it the link's own, and no record of the node's log? */
static bool is_of_link(const struct pinhole_event *event)
{
    return event->kind == PINHOLE_EVENT_DISCONNECTED || event->kind == PINHOLE_EVENT_RECONNECTED;
}

static void note_event(struct mqtt_camera *camera, const struct pinhole_event *event)
{
    if (event->kind == PINHOLE_EVENT_GAP)
        atomic_fetch_add(&camera->counters.records_gone, event->last - event->first + 1);
    if (event->kind == PINHOLE_EVENT_DISCONNECTED)
        set_node_up(camera, false, event->text);
    if (event->kind == PINHOLE_EVENT_RECONNECTED)
        set_node_up(camera, true, "");
    if (event->kind == PINHOLE_EVENT_FEATURES || event->kind == PINHOLE_EVENT_RECONNECTED ||
        event->kind == PINHOLE_EVENT_CAMERA)
        camera->state_ns = 0; // both are published in the next step
}

// --- policy latest ------------------------------------------------------------------------------

static void hold(struct mqtt_camera *camera, struct pinhole_record *record)
{
    struct mqtt_live *live = &camera->live;
    if (live->waiting != NULL) {
        live->left_out += 1 + live->waiting->frame.skipped;
        atomic_fetch_add(&camera->counters.frames_left_out, 1);
        pinhole_release(camera->link.node, live->waiting);
    }
    live->waiting = record;
}

static void take_live(struct mqtt_camera *camera, struct pinhole_record *record)
{
    const struct pinhole_event *event = &record->event;
    if (record->kind == PINHOLE_FRAME) {
        camera->rate.frame_id = record->frame.frame_id;
        hold(camera, record);
        return;
    }
    note_event(camera, event);
    if (is_up(camera) && mqtt_client_has_room(&camera->client, 2 * MESSAGES_A_RECORD))
        publish_event(camera, event, -1);
    else if (!is_of_link(event))
        leave_out(camera, event->boot_id, event->sequence);
    pinhole_release(camera->link.node, record);
}

static void publish_waiting(struct mqtt_camera *camera)
{
    struct mqtt_live *live = &camera->live;
    if (live->waiting == NULL || !is_up(camera) || live->on_the_way >= window_size(camera) ||
        !mqtt_client_is_idle(&camera->client))
        return;
    struct pinhole_frame *frame = &live->waiting->frame;
    frame->skipped += live->left_out;
    live->left_out = 0;
    mqtt_publish_frame(camera, frame, -1);
    mqtt_publish_preview(camera, frame);
    pinhole_release(camera->link.node, live->waiting);
    live->waiting = NULL;
}

// --- policy every -------------------------------------------------------------------------------

/** The place of a record. A GAP's is its end; a BOOT's is before the first of the new log. */
static struct mqtt_place place_of(const struct pinhole_record *record)
{
    const bool is_frame = record->kind == PINHOLE_FRAME;
    return (struct mqtt_place){.is_known = true,
                               .boot_id = is_frame ? record->frame.boot_id : record->event.boot_id,
                               .sequence =
                                   is_frame ? record->frame.sequence : record->event.sequence};
}

/** Until something is settled the flow goes on, after a loss, where it began. */
static void note_beginning(struct mqtt_camera *camera, struct mqtt_place place)
{
    if (camera->window.settled.is_known)
        return;
    place.sequence -= place.sequence > 0;
    camera->window.settled = camera->window.acknowledged = place;
}

static bool is_suspect(const struct mqtt_camera *camera, struct mqtt_place place)
{
    const struct mqtt_progress *progress = &camera->progress;
    return progress->losses >= LOSSES_MAX && place.boot_id == progress->suspect.boot_id &&
           place.sequence == progress->suspect.sequence;
}

/** A record that cost one connection after the other is told and not sent. */
static void tell_suspect(struct mqtt_camera *camera, struct mqtt_place place, int slot)
{
    char text[400];
    snprintf(text, sizeof text,
             "left out: the connection ended %d times while it was sent, last: %.300s", LOSSES_MAX,
             camera->progress.why);
    say("%s: record %llu is %s", camera->settings->name, (unsigned long long)place.sequence, text);
    atomic_fetch_add(&camera->counters.frames_refused, 1);
    mqtt_publish(
        camera, "event",
        mqtt_message_own_event("REFUSED", place.boot_id, place.sequence, place.sequence, text),
        false, slot, MQTT_RECORD);
    camera->progress.losses = 0;
}

static void take_each(struct mqtt_camera *camera, struct pinhole_record *record)
{
    const struct mqtt_place place = place_of(record);
    if (record->kind == PINHOLE_EVENT)
        note_event(camera, &record->event);
    if (record->kind == PINHOLE_EVENT && is_of_link(&record->event)) {
        publish_event(camera, &record->event, -1);
        pinhole_release(camera->link.node, record);
        return;
    }
    note_beginning(camera, place);
    const int slot = mqtt_window_begin(&camera->window, place.boot_id, place.sequence);
    if (is_suspect(camera, place))
        tell_suspect(camera, place, slot);
    else if (record->kind == PINHOLE_FRAME)
        mqtt_publish_frame(camera, &record->frame, slot);
    else
        publish_event(camera, &record->event, slot);
    mqtt_window_end(&camera->window, slot);
    if (record->kind == PINHOLE_FRAME) {
        camera->rate.frame_id = record->frame.frame_id;
        mqtt_publish_preview(camera, &record->frame);
    }
    pinhole_release(camera->link.node, record);
}

static bool has_room(const struct mqtt_camera *camera)
{
    const struct mqtt_window *window = &camera->window;
    return is_up(camera) && mqtt_window_open(window) < window_size(camera) &&
           window->count < MQTT_WINDOW_RECORDS &&
           mqtt_client_has_room(&camera->client, 2 * MESSAGES_A_RECORD) &&
           mqtt_client_is_idle(&camera->client);
}

/** Tells the broker where the records stand. Sent after their acknowledgements, so that its own
 * acknowledgement settles them. */
void mqtt_records_remember(struct mqtt_camera *camera, bool is_now)
{
    struct mqtt_progress *progress = &camera->progress;
    const struct mqtt_place at = camera->window.acknowledged;
    const uint64_t now_ns = clock_now_ns();
    if (!is_every(camera) || !is_up(camera) || !at.is_known ||
        (!is_now && now_ns < progress->next_ns) ||
        (at.boot_id == progress->remembered.boot_id &&
         at.sequence == progress->remembered.sequence))
        return;
    if (mqtt_publish(camera, "position", mqtt_message_position(&at), true, -1, MQTT_POSITION))
        progress->remembered = at;
    progress->next_ns = now_ns + NS_PER_S;
}

/** Asks the broker once what it remembers. True: the answer is there, or none will come. */
static bool knows_position(struct mqtt_camera *camera)
{
    struct mqtt_progress *progress = &camera->progress;
    if (!is_every(camera) || progress->is_known)
        return true;
    if (!is_up(camera))
        return false;
    if (!progress->is_asked) {
        char topic[MQTT_TOPIC_BYTES];
        mqtt_topic_make(topic, camera->bridge->prefix, camera->level, "position");
        mqtt_client_subscribe(&camera->client, topic);
        progress->is_asked = true;
        progress->asked_ns = clock_now_ns();
    }
    const bool is_over = clock_now_ns() - progress->asked_ns > REMEMBERED_WAIT_S * NS_PER_S;
    if (!is_over && !camera->client.is_subscribe_refused)
        return false;
    say("%s: the broker remembers no position%s; starting with the newest picture",
        camera->settings->name,
        camera->client.is_subscribe_refused ? " that this user may read" : "");
    progress->is_known = true;
    return true;
}

void mqtt_records_remembered(struct mqtt_camera *camera, const char *text)
{
    struct mqtt_progress *progress = &camera->progress;
    struct mqtt_place place;
    if (progress->is_known || !mqtt_message_read_position(text, &place))
        return;
    progress->is_known = true;
    progress->remembered = place;
    camera->window.settled = camera->window.acknowledged = place;
    say("%s: going on behind record %llu, where the broker's position stands",
        camera->settings->name, (unsigned long long)place.sequence);
}

// --- the step -----------------------------------------------------------------------------------

static void take_records(struct mqtt_camera *camera)
{
    struct mqtt_link *link = &camera->link;
    for (unsigned i = 0; i < TAKES_A_STEP; i++) {
        struct pinhole_record *record;
        camera->wants_records = !is_every(camera) || has_room(camera);
        camera->has_more = camera->wants_records && pinhole_next(link->node, 0, &record) > 0;
        if (!camera->has_more)
            break;
        if (is_every(camera))
            take_each(camera, record);
        else
            take_live(camera, record);
    }
}

void mqtt_records_step(struct mqtt_camera *camera)
{
    struct mqtt_link *link = &camera->link;
    if (!knows_position(camera))
        return;
    if (link->node == NULL && clock_now_ns() >= link->retry_ns)
        open_node(camera);
    if (link->node == NULL)
        return;
    if (!link->is_subscribed && (!is_every(camera) || is_up(camera)))
        subscribe(camera);
    if (is_every(camera) && link->is_subscribed)
        pause_if_full(camera, !has_room(camera));
    take_records(camera);
    tell_left_out(camera);
    publish_waiting(camera);
    mqtt_records_remember(camera, false);
}

void mqtt_records_connected(struct mqtt_camera *camera)
{
    camera->progress.next_ns = 0;
    if (is_every(camera) && camera->client.spoken != 5 && !camera->progress.said_weak)
        say("%s: policy every over MQTT 3.1.1: an acknowledgement may come for a message that the "
            "broker throws away; see README.md, Brokers",
            camera->settings->name);
    camera->progress.said_weak = camera->progress.said_weak || camera->client.spoken != 5;
}

/** Counts the connections that the same record has cost. */
static void suspect(struct mqtt_camera *camera)
{
    struct mqtt_progress *progress = &camera->progress;
    const struct mqtt_place oldest = mqtt_window_oldest(&camera->window);
    const bool is_same = oldest.is_known && oldest.boot_id == progress->suspect.boot_id &&
                         oldest.sequence == progress->suspect.sequence;
    // A refusal that may pass is no fault of the record.
    if (!oldest.is_known || camera->client.is_dropped)
        return;
    progress->losses = is_same ? progress->losses + 1 : 1;
    progress->suspect = oldest;
    snprintf(progress->why, sizeof progress->why, "%.299s", camera->client.why);
}

void mqtt_records_lost(struct mqtt_camera *camera)
{
    struct mqtt_link *link = &camera->link;
    camera->progress.is_asked = false;
    if (!is_every(camera)) {
        camera->live.left_out += camera->live.on_the_way;
        camera->live.on_the_way = 0;
        return;
    }
    if (camera->window.count > 0) {
        suspect(camera);
        atomic_fetch_add(&camera->counters.rewinds, 1);
    }
    mqtt_window_reset(&camera->window);
    link->full_since_ns = 0;
    if (link->node != NULL && link->is_subscribed)
        pinhole_unsubscribe(link->node); // when it fails the link is broken: nothing flows either
    link->is_subscribed = false;
}

void mqtt_records_end(struct mqtt_camera *camera)
{
    pinhole_close(camera->link.node);
    camera->link.node = NULL;
}
