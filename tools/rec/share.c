// SPDX-License-Identifier: MIT
#include "tools/rec/share.h"

#include "hal/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    RETRY_MS = 250, /**< doubles */
    RETRY_MAX_MS = 2000,
    FETCH_MS = 1000, /**< the longest wait for a message; each costs the servers two requests */
    GOODBYE_S = 5,   /**< at the end the server gets this long to answer */
    ACK_WAIT_S = 60, /**< more than passes between two acknowledgements */
};

static void say_trouble(struct rec_share *share, const char *why)
{
    if (strcmp(why, share->said) != 0)
        say("%s: %s; trying on", share->camera.source.camera, why);
    snprintf(share->said, sizeof share->said, "%s", why);
}

static void forget_held(struct rec_share *share)
{
    for (unsigned i = 0; i < share->order.count; i++)
        share->claim.ops->release(&share->order.held[i].message);
    share->order.count = 0;
}

/** All messages up to here are written. */
static uint64_t safe(const struct rec_share *share)
{
    uint64_t lowest = UINT64_MAX;
    for (unsigned i = 0; i < share->order.count; i++)
        lowest = base_min_u64(lowest, share->order.held[i].message.stream_sequence);
    return lowest == UINT64_MAX ? share->fetched : base_min_u64(share->fetched, lowest - 1);
}

static void disconnect(struct rec_share *share, const char *why)
{
    say_trouble(share, why);
    share->claim.ops->close(share->stream);
    share->stream = NULL;
    share->is_subscribed = false;
}

static bool connect_again(struct rec_share *share)
{
    char why[REC_WHY_BYTES];
    if (share->stream != NULL)
        return true;
    if (share->claim.ops->open(&share->stream, share->options, why) == 0)
        return true;
    disconnect(share, why);
    return false;
}

/** Writes the entry. 0, -EAGAIN: the server is away, or -ESTALE: the camera is another's. */
static int write_entry(struct rec_share *share)
{
    char why[REC_WHY_BYTES];
    if (!connect_again(share))
        return -EAGAIN;
    const int result = rec_claim_write(&share->claim, share->stream, why);
    if (result == 0) {
        share->written_ns = clock_now_ns();
        return 0;
    }
    if (result == REC_STREAM_GONE) {
        disconnect(share, why);
        return -EAGAIN;
    }
    share->is_lost = true;
    say("%s: %s; what was not acknowledged is left to it", share->camera.source.camera, why);
    return -ESTALE;
}

/** Notes what is safe on the disk, and writes the entry until the server has it. */
static int commit(struct rec_camera *camera)
{
    struct rec_share *share = (struct rec_share *)(void *)camera;
    const struct rec_mark mark = {camera->segment->serial, camera->segment->sidecar_bytes};
    int error = rec_segment_flush(camera->segment);
    if (error < 0)
        return error;
    share->claim.stream_sequence = safe(share);
    share->claim.position = camera->position;
    (void)rec_claim_set_mark(&share->claim, &mark); // there is one
    uint64_t stopping_ns = 0;
    while ((error = write_entry(share)) == -EAGAIN) {
        const bool is_stopping = atomic_load(&rec_is_stopping);
        if (is_stopping && stopping_ns == 0)
            stopping_ns = clock_now_ns();
        if (is_stopping && clock_now_ns() - stopping_ns > GOODBYE_S * NS_PER_S)
            break;
        const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    if (error < 0)
        return error;
    share->has_news = false;
    if (share->is_subscribed && share->replied == share->claim.stream_sequence)
        share->claim.ops->acknowledge(share->stream, share->reply);
    return 0;
}

/** Connected, still the owner, and subscribed behind what is safe. */
static bool is_up(struct rec_share *share)
{
    char why[REC_WHY_BYTES];
    const struct rec_options *options = share->camera.options;
    if (share->is_subscribed)
        return true;
    if (write_entry(share) < 0)
        return false;
    share->fetched = safe(share);
    forget_held(share);
    share->delivery = 0;
    const uint64_t longest_ns = base_max_u64(options->sync_ns, options->segment_ns);
    if (share->claim.ops->subscribe(share->stream, share->claim.level, share->fetched + 1,
                                    longest_ns + ACK_WAIT_S * NS_PER_S, why) < 0) {
        disconnect(share, why);
        return false;
    }
    if (share->said[0] != '\0')
        say("%s: connected again", share->camera.source.camera);
    share->said[0] = '\0';
    share->is_subscribed = true;
    return true;
}

/** Writes what is next in order. */
static void hand_on(struct rec_share *share, bool is_end)
{
    char text[REC_TEXT_BYTES];
    struct pinhole_record record;
    struct rec_held *held;
    while ((held = rec_order_next(&share->order, is_end)) != NULL && share->camera.given_up == 0) {
        if (rec_message_read(&held->message, &record, text))
            rec_camera_take(&share->camera, &record);
        if (share->camera.given_up != 0)
            return;
        share->claim.ops->release(&held->message);
        rec_order_drop(&share->order);
    }
}

/** Where another boot's records begin. */
static uint64_t begin_of(struct rec_share *share, uint64_t boot_id, uint64_t settled)
{
    struct rec_position *at = &share->camera.position;
    const struct rec_boot *boot = rec_position_find(at, boot_id);
    if (boot != NULL && at->is_known)
        return boot->last + 1;
    return at->is_known
               ? 1
               : base_max_u64(settled, 1); // a recording begins with what the stream still has
}

/** Takes the message over. */
static void take(struct rec_share *share, struct rec_message *message)
{
    char text[REC_TEXT_BYTES];
    struct pinhole_record record;
    uint64_t boot_id, first, last;
    if (!rec_message_read(message, &record, text)) {
        if (!share->was_foreign_said)
            say("%s: message %" PRIu64 " of the stream is no record; such are left out",
                share->camera.source.camera, message->stream_sequence);
        share->was_foreign_said = true;
        share->claim.ops->release(message);
        return;
    }
    rec_record_range(&record, &boot_id, &first, &last);
    if (boot_id != share->order.boot_id) {
        hand_on(share, true);
        rec_order_begin(&share->order, boot_id, begin_of(share, boot_id, message->settled));
    }
    if (last == 0) // BOOT
        rec_camera_take(&share->camera, &record);
    if (share->camera.given_up != 0 || !rec_order_add(&share->order, message, first, last))
        share->claim.ops->release(message);
}

/** One message of the consumer. False: messages lack, so all is asked for again. */
static bool look_at(struct rec_share *share, struct rec_message *message)
{
    const bool is_next = message->delivery_sequence == share->delivery + 1 &&
                         message->stream_sequence > share->fetched;
    if (!is_next || share->camera.given_up != 0) {
        share->claim.ops->release(message);
        return is_next;
    }
    const uint64_t sequence = message->stream_sequence;
    share->delivery = message->delivery_sequence;
    snprintf(share->reply, sizeof share->reply, "%s", message->reply);
    share->replied = sequence;
    take(share, message);
    if (share->camera.given_up != 0)
        return true;
    share->fetched = sequence;
    if (!share->has_news)
        share->news_ns = clock_now_ns();
    share->has_news = true;
    hand_on(share, false);
    return true;
}

/** Short enough for the lease, and for what is to be synced. */
static int wait_ms(const struct rec_share *share)
{
    const struct rec_options *options = share->camera.options;
    uint64_t wait_ns =
        base_min_u64(FETCH_MS * NS_PER_MS, options->lease_ns / (2 * REC_WRITES_A_LEASE));
    if (share->has_news && options->sync_ns != 0)
        wait_ns = base_min_u64(wait_ns, options->sync_ns);
    return (int)(wait_ns / NS_PER_MS) + 1;
}

static void fetch(struct rec_share *share)
{
    char why[REC_WHY_BYTES];
    struct rec_message messages[REC_FETCH_MAX];
    const int count = share->claim.ops->fetch(share->stream, wait_ms(share), messages, why);
    if (count < 0)
        disconnect(share, why);
    for (int i = 0; i < count; i++)
        if (!look_at(share, &messages[i]))
            share->is_subscribed = false;
}

/** What time brings: acknowledging, writing the entry, another segment. */
static void keep_time(struct rec_share *share)
{
    struct rec_camera *camera = &share->camera;
    const uint64_t now_ns = clock_now_ns(), sync_ns = camera->options->sync_ns;
    rec_camera_tick(camera);
    if (share->has_news && sync_ns != 0 && now_ns - share->news_ns >= sync_ns)
        (void)rec_camera_commit(camera);
    if (camera->given_up == 0 && share->stream != NULL &&
        now_ns - share->written_ns >= share->claim.lease_ns / REC_WRITES_A_LEASE)
        (void)write_entry(share);
}

static void finish(struct rec_share *share)
{
    char why[REC_WHY_BYTES];
    struct rec_camera *camera = &share->camera;
    const char *name = camera->source.camera;
    if (!share->is_lost)
        rec_camera_close_segment(camera, "end", false);
    forget_held(share);
    if (share->is_lost && camera->given_up == 0)
        camera->given_up = -ESTALE;
    if (share->is_lost)
        rec_camera_close_segment(camera, "", false); // given up: left as it is
    else if (camera->given_up != 0 && camera->given_up != -EAGAIN)
        say("%s: cannot write in %s: %s; it is not acknowledged, and the camera is free for "
            "another recorder",
            name, camera->source.folder, strerror(-camera->given_up));
    if (!share->is_lost && connect_again(share) &&
        rec_claim_release(&share->claim, share->stream, camera->given_up == 0, why) < 0)
        say("%s: %s; others wait for the lease", name, why);
    share->claim.ops->close(share->stream);
    share->stream = NULL;
}

void *rec_share_thread(void *user)
{
    struct rec_share *share = user;
    struct rec_camera *camera = &share->camera;
    camera->commit = commit;
    atomic_store(&camera->was_reached, true);
    int pause_ms = RETRY_MS;
    while (!atomic_load(&rec_is_stopping) && camera->given_up == 0 && !share->is_lost) {
        const bool is_linked = is_up(share);
        atomic_store(&camera->is_linked, is_linked);
        if (is_linked) {
            fetch(share);
            keep_time(share);
            pause_ms = RETRY_MS;
        } else if (!share->is_lost) {
            // Half of it is by chance: the cameras of a server that comes back do not come
            // together.
            rec_sleep_ms(pause_ms / 2 + (int)(clock_now_ns() % (unsigned)(pause_ms / 2)));
            pause_ms = pause_ms < RETRY_MAX_MS ? 2 * pause_ms : RETRY_MAX_MS;
        }
    }
    atomic_store(&camera->is_linked, false);
    finish(share);
    atomic_store(&share->has_ended, true);
    return NULL;
}
