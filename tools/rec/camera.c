// SPDX-License-Identifier: MIT
// A camera's recording: which records are new, which are missing, and when a segment ends.
#include "tools/rec/camera.h"

#include "tools/rec/recover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RETRY_S = 1, RESUME_ROOM_BYTES = 4 << 20, ROOM_TRIES = 16 };

int rec_camera_init(struct rec_camera *camera, const char *name, const char *address,
                    const struct rec_options *options, struct rec_keeper *keeper)
{
    struct rec_found *found = NULL;
    memset(camera, 0, sizeof *camera);
    pthread_mutex_init(&camera->lock, NULL);
    snprintf(camera->source.name, sizeof camera->source.name, "%s", name);
    snprintf(camera->source.folder, sizeof camera->source.folder, "%s/%s", options->directory,
             name);
    camera->source.address = address;
    camera->options = options;
    camera->keeper = keeper;
    camera->source.container = options->container;
    camera->serial_next = 1;
    if (mkdir(camera->source.folder, 0777) < 0 && errno != EEXIST) {
        int error = errno;
        rec_say("%s: cannot make the folder %s: %s", name, camera->source.folder, strerror(error));
        return -error;
    }
    int count = rec_recover_list(camera->source.folder, &found);
    if (count < 0) {
        rec_say("%s: cannot read the folder %s: %s", name, camera->source.folder, strerror(-count));
        return count;
    }
    if (count > 0)
        camera->serial_next = found[count - 1].serial + 1;
    camera->position = rec_recover_position(camera->source.folder, found, count);
    free(found);
    return 0;
}

void rec_camera_free(struct rec_camera *camera)
{
    pthread_mutex_destroy(&camera->lock);
    free(camera->pending);
    camera->pending = NULL;
}

/** Tells the keeper how the open segment has grown. */
static void account(struct rec_camera *camera)
{
    struct rec_segment *segment = camera->segment;
    const uint64_t bytes = rec_segment_bytes(segment);
    const int64_t grown = (int64_t)bytes - (int64_t)segment->accounted_bytes;
    segment->accounted_bytes = bytes;
    rec_keeper_grow(camera->keeper, grown);
}

static void close_segment(struct rec_camera *camera, const char *reason, bool discard,
                          bool is_broken)
{
    struct rec_segment *segment = camera->segment;
    char stem[REC_PATH_SIZE];
    if (segment == NULL)
        return;
    camera->segment = NULL;
    const uint64_t serial = segment->serial;
    memcpy(stem, segment->stem, sizeof stem);
    rec_keeper_grow(camera->keeper, -(int64_t)segment->accounted_bytes);
    if (discard) {
        rec_segment_discard(segment);
        return;
    }
    int64_t bytes = rec_segment_close(segment, reason, is_broken);
    if (bytes < 0)
        rec_say("%s: cannot complete %s: %s; the next start will", camera->source.name, stem,
                strerror((int)-bytes));
    else if (bytes > 0)
        rec_keeper_add(camera->keeper, stem, serial, (uint64_t)bytes);
}

void rec_camera_close_segment(struct rec_camera *camera, const char *reason, bool discard)
{
    pthread_mutex_lock(&camera->lock);
    close_segment(camera, reason, discard, false);
    pthread_mutex_unlock(&camera->lock);
}

void rec_camera_tick(struct rec_camera *camera)
{
    const struct rec_options *options = camera->options;
    pthread_mutex_lock(&camera->lock);
    if (camera->segment != NULL && options->segment_ns != 0 &&
        clock_now_ns() - camera->segment->opened_ns >= options->segment_ns)
        close_segment(camera, "time", false, false);
    if (camera->segment != NULL)
        rec_segment_sync(camera->segment, options->sync_ns);
    pthread_mutex_unlock(&camera->lock);
}

/** Adds a line to those that the next write begins with. Frees it. */
static void add_pending(struct rec_camera *camera, char *line)
{
    if (line == NULL)
        return; // no memory: the next start finds the hole itself
    char *joined = NULL;
    if (asprintf(&joined, "%s%s", camera->pending != NULL ? camera->pending : "", line) >= 0) {
        free(camera->pending);
        camera->pending = joined;
    }
    free(line);
}

static void settle_dropped(struct rec_camera *camera)
{
    if (camera->dropped_first != 0)
        add_pending(camera, rec_sidecar_missing(camera->position.boot_id, camera->dropped_first,
                                                camera->dropped_last, "not written"));
    camera->dropped_first = camera->dropped_last = 0;
}

/** Makes sure that a segment is open and begins with what must be said first. */
static int ready(struct rec_camera *camera)
{
    if (camera->segment == NULL) {
        int error = rec_segment_open(&camera->segment, &camera->source, camera->serial_next,
                                     camera->position.boot_id);
        if (error < 0)
            return error;
        camera->serial_next++;
    }
    settle_dropped(camera);
    if (camera->pending == NULL)
        return 0;
    int error = rec_segment_line(camera->segment, strdup(camera->pending));
    if (error < 0)
        return error;
    free(camera->pending);
    camera->pending = NULL;
    return 0;
}

/** One record: a frame, or the line that is made of an event. */
struct entry {
    const struct pinhole_frame *frame;
    const struct pinhole_event *event;
    uint64_t first, last;
};

static char *event_line(const struct entry *entry)
{
    const struct pinhole_event *e = entry->event;
    if (e->kind == PINHOLE_EVENT_GAP)
        return rec_sidecar_missing(e->boot_id, entry->first, entry->last, "gone from the node");
    return rec_sidecar_event(e);
}

static int write_entry(struct rec_camera *camera, const struct entry *entry)
{
    int error = ready(camera);
    if (error < 0)
        return error;
    if (entry->frame != NULL)
        error = rec_segment_frame(camera->segment, entry->frame);
    else
        error = rec_segment_line(camera->segment, event_line(entry));
    account(camera);
    return error;
}

static void begin_failing(struct rec_camera *camera, int error)
{
    const bool is_full = error == -ENOSPC || error == -EDQUOT;
    camera->retry_ns = clock_now_ns() + RETRY_S * REC_NS_PER_S;
    if (camera->is_failing)
        return;
    camera->is_failing = true;
    rec_say("%s: cannot write in %s: %s; records are dropped until it works again%s",
            camera->source.name, camera->source.folder, strerror(-error),
            !is_full ? ""
            : camera->options->quota_bytes + camera->options->free_bytes +
                        camera->options->max_age_ns ==
                    0
                ? " (--free-bytes would make room by deleting the oldest segments)"
                : " (no older segment is left to delete)");
}

static void end_failing(struct rec_camera *camera)
{
    if (!camera->is_failing)
        return;
    camera->is_failing = false;
    rec_say("%s: writing works again", camera->source.name);
}

static void drop(struct rec_camera *camera, const struct entry *entry)
{
    if (camera->dropped_first == 0)
        camera->dropped_first = entry->first;
    camera->dropped_last = entry->last;
    atomic_fetch_add(&camera->dropped, entry->last - entry->first + 1);
}

/** Not for every record, and not for the few bytes that a full disk has left. */
static bool may_retry(struct rec_camera *camera)
{
    const uint64_t now_ns = clock_now_ns();
    if (now_ns < camera->retry_ns)
        return false;
    camera->retry_ns = now_ns + RETRY_S * REC_NS_PER_S;
    return rec_keeper_free(camera->keeper) >= RESUME_ROOM_BYTES ||
           rec_keeper_make_room(camera->keeper);
}

static void store(struct rec_camera *camera, const struct entry *entry)
{
    if (camera->is_failing && !may_retry(camera)) {
        drop(camera, entry);
        return;
    }
    for (int tries = 0;; tries++) {
        int error = write_entry(camera, entry);
        if (error == 0)
            break;
        close_segment(camera, "", false, true);
        const bool is_full = error == -ENOSPC || error == -EDQUOT;
        if (is_full && tries < ROOM_TRIES && rec_keeper_make_room(camera->keeper))
            continue;
        begin_failing(camera, error);
        drop(camera, entry);
        return;
    }
    end_failing(camera);
    if (entry->frame != NULL) {
        atomic_fetch_add(&camera->frames, 1);
        atomic_fetch_add(&camera->bytes, entry->frame->jpeg_bytes);
    } else if (entry->event->kind == PINHOLE_EVENT_GAP) {
        atomic_fetch_add(&camera->missing, entry->last - entry->first + 1);
    }
    rec_segment_sync(camera->segment, camera->options->sync_ns);
}

/** Ends the segment that a frame no longer belongs into. */
static void rotate_for(struct rec_camera *camera, const struct pinhole_frame *frame)
{
    const struct rec_options *options = camera->options;
    struct rec_segment *segment = camera->segment;
    uint64_t bytes_max = options->segment_bytes, share = rec_keeper_segment_max(camera->keeper);
    if (share != 0 && (bytes_max == 0 || share < bytes_max))
        bytes_max = share;
    const bool is_other_size = frame->width != camera->width || frame->height != camera->height;
    camera->width = frame->width;
    camera->height = frame->height;
    if (segment == NULL)
        return;
    if (options->segment_ns != 0 && clock_now_ns() - segment->opened_ns >= options->segment_ns)
        close_segment(camera, "time", false, false);
    else if (rec_segment_frames(segment) == 0)
        return;
    else if (bytes_max != 0 && rec_segment_bytes(segment) + frame->jpeg_bytes > bytes_max)
        close_segment(camera, "bytes", false, false);
    else if (is_other_size)
        close_segment(camera, "picture size", false, false);
}

/** The node has restarted: its log, its sequences and its clock start anew. */
static void change_boot(struct rec_camera *camera, uint64_t boot_id)
{
    struct rec_position *at = &camera->position;
    close_segment(camera, "node restarted", false, false);
    settle_dropped(camera);
    if (at->is_known && !at->is_closed) {
        add_pending(camera,
                    rec_sidecar_missing(at->boot_id, at->last + 1, 0, "the node restarted"));
        atomic_fetch_add(&camera->missing, 1);
        rec_say("%s: the node has restarted; what it made after record %llu is lost",
                camera->source.name, (unsigned long long)at->last);
    }
    add_pending(camera, rec_sidecar_boot(boot_id));
    *at = (struct rec_position){.is_known = at->is_known, .boot_id = boot_id};
}

static void note_link(struct rec_camera *camera, const struct pinhole_event *event)
{
    const bool is_up = event->kind == PINHOLE_EVENT_RECONNECTED;
    atomic_store(&camera->is_linked, is_up);
    if (is_up)
        rec_say("%s: connected again", camera->source.name);
    else
        rec_say("%s: link lost: %s", camera->source.name, event->text);
    if (camera->segment == NULL || camera->is_failing)
        return;
    // For information only: the next record finds out when writing does not work.
    (void)rec_segment_line(camera->segment, rec_sidecar_link(is_up ? "up" : "down", event->text));
}

/** A record of the log, in order: what came before is skipped, a hole is noted. */
static void take(struct rec_camera *camera, struct entry entry, uint64_t boot_id)
{
    struct rec_position *at = &camera->position;
    if (at->is_known && entry.last <= at->last)
        return;
    if (at->is_known && entry.first <= at->last)
        entry.first = at->last + 1;
    if (at->is_known && entry.first > at->last + 1) {
        const struct pinhole_event hole = {.kind = PINHOLE_EVENT_GAP, .boot_id = boot_id};
        const struct entry before = {
            .event = &hole, .first = at->last + 1, .last = entry.first - 1};
        store(camera, &before);
        at->last = before.last;
    }
    if (entry.frame != NULL)
        rotate_for(camera, entry.frame);
    store(camera, &entry);
    at->is_known = true;
    at->last = entry.last;
}

void rec_camera_take(struct rec_camera *camera, const struct pinhole_record *record)
{
    const struct pinhole_event *e = &record->event;
    const bool is_frame = record->kind == PINHOLE_FRAME;
    const uint64_t boot_id = is_frame ? record->frame.boot_id : e->boot_id;
    struct entry entry = {0};
    pthread_mutex_lock(&camera->lock);
    atomic_store(&camera->last_record_ns, clock_now_ns());
    if (!is_frame && e->kind >= PINHOLE_EVENT_DISCONNECTED) {
        note_link(camera, e);
        pthread_mutex_unlock(&camera->lock);
        return;
    }
    if (boot_id != camera->position.boot_id)
        change_boot(camera, boot_id);
    if (is_frame) {
        entry.frame = &record->frame;
        entry.first = entry.last = record->frame.sequence;
    } else {
        entry.event = e;
        entry.first = e->kind == PINHOLE_EVENT_GAP ? e->first : e->sequence;
        entry.last = e->kind == PINHOLE_EVENT_GAP ? e->last : e->sequence;
    }
    if (is_frame || e->kind != PINHOLE_EVENT_BOOT)
        take(camera, entry, boot_id);
    pthread_mutex_unlock(&camera->lock);
}
