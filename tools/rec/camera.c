// SPDX-License-Identifier: MIT
// A camera's recording: which records are new, which are missing, and when a segment ends.
#include "tools/rec/camera.h"

#include "tools/rec/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_S = 1,
    RESUME_ROOM_BYTES = 4 << 20,
    ROOM_TRIES = 16,
    /** A node that changes its pictures' shape with each frame makes this many segments, then one a
     * second. The others have frames of several shapes. */
    CHANGES_MAX = 8,
};

/** Makes the folder if it is not there. Numbers go on after the highest in it. */
static int enter_folder(struct rec_camera *camera)
{
    struct stat status;
    const char *folder = camera->source.folder;
    const bool is_made = mkdir(folder, 0777) == 0;
    if ((!is_made && errno != EEXIST) || stat(folder, &status) < 0)
        return -errno;
    if (status.st_dev == camera->device && status.st_ino == camera->inode)
        return 0;
    const bool was_known = camera->inode != 0;
    uint64_t serial_next = 0;
    // Made now, or by a run that a power cut ended.
    int error = rec_folder_sync(camera->options->directory);
    if (error == 0)
        error = rec_recover_next_serial(folder, &serial_next);
    if (error < 0)
        return error;
    if (serial_next > camera->serial_next)
        camera->serial_next = serial_next;
    camera->device = status.st_dev;
    camera->inode = status.st_ino;
    if (was_known)
        say("%s: %s %s; the next segment is number %" PRIu64, camera->source.camera, folder,
            is_made ? "was gone and is made again" : "is another folder now", camera->serial_next);
    return 0;
}

int rec_camera_init(struct rec_camera *camera, const char *name, const char *address,
                    const struct rec_options *options, struct rec_keeper *keeper)
{
    struct rec_source *source = &camera->source;
    memset(camera, 0, sizeof *camera);
    pthread_mutex_init(&camera->lock, NULL);
    snprintf(source->camera, sizeof source->camera, "%s", name);
    rec_name_to_file(source->name, name);
    snprintf(source->folder, sizeof source->folder, "%.*s/%s", REC_PATH_SIZE - REC_NAME_SIZE - 1,
             options->directory, source->name);
    source->address = address;
    source->container = options->container;
    camera->options = options;
    camera->keeper = keeper;
    camera->serial_next = 1;
    camera->changes_left = CHANGES_MAX;
    // Who dials in may never send a record: its folder is made with the first one.
    int error = address != NULL ? enter_folder(camera) : 0;
    if (error < 0) {
        say("%s: cannot make the folder %s: %s", name, source->folder, strerror(-error));
        return error;
    }
    error = rec_recover_position(source->folder, &camera->position, source->device_serial,
                                 sizeof source->device_serial);
    if (error < 0)
        say("%s: cannot read in %s where the recording stands: %s", name, source->folder,
            strerror(-error));
    return error;
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

static void close_segment(struct rec_camera *camera, const char *reason, bool should_discard,
                          bool is_broken)
{
    struct rec_segment *segment = camera->segment;
    char stem[REC_FILE_SIZE];
    if (segment == NULL)
        return;
    // What is complete is acknowledged: nobody else records it.
    if (camera->commit != NULL && camera->given_up == 0)
        camera->given_up = camera->commit(camera);
    camera->segment = NULL;
    const uint64_t serial = segment->serial;
    memcpy(stem, segment->stem, sizeof stem);
    rec_keeper_grow(camera->keeper, -(int64_t)segment->accounted_bytes);
    if (camera->given_up != 0) {
        rec_segment_abandon(segment);
        return;
    }
    if (should_discard) {
        rec_segment_discard(segment);
        return;
    }
    int64_t bytes = rec_segment_close(segment, reason, is_broken);
    if (bytes < 0) {
        atomic_store(&camera->has_left_part, true);
        say("%s: cannot complete %s: %s; the next start will", camera->source.camera, stem,
            strerror((int)-bytes));
    } else if (bytes > 0) {
        rec_keeper_add(camera->keeper, camera->source.folder, stem, serial, (uint64_t)bytes);
    }
}

void rec_camera_close_segment(struct rec_camera *camera, const char *reason, bool should_discard)
{
    pthread_mutex_lock(&camera->lock);
    close_segment(camera, reason, should_discard, false);
    pthread_mutex_unlock(&camera->lock);
}

static bool is_time_up(const struct rec_camera *camera)
{
    const uint64_t segment_ns = camera->options->segment_ns;
    return segment_ns != 0 && clock_now_ns() - camera->segment->opened_ns >= segment_ns;
}

/** What a sync has lost is not written again. The segment ends, so that the next ones are whole. */
static void sync_segment(struct rec_camera *camera)
{
    if (rec_segment_sync(camera->segment, camera->options->sync_ns) < 0)
        close_segment(camera, "", false, true);
}

void rec_camera_tick(struct rec_camera *camera)
{
    pthread_mutex_lock(&camera->lock);
    if (camera->segment != NULL && is_time_up(camera))
        close_segment(camera, "time", false, false);
    if (camera->segment != NULL && camera->commit == NULL)
        sync_segment(camera);
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
        add_pending(camera,
                    rec_sidecar_missing(camera->position.boots[0].boot_id, camera->dropped_first,
                                        camera->dropped_last, "not written"));
    camera->dropped_first = camera->dropped_last = 0;
}

static int open_segment(struct rec_camera *camera)
{
    int error = rec_keeper_check(camera->keeper);
    if (error == 0)
        error = enter_folder(camera);
    if (error == 0)
        error = rec_segment_open(&camera->segment, &camera->source, camera->serial_next,
                                 &camera->position);
    if (error == 0)
        camera->serial_next++;
    return error;
}

/** Makes sure that a segment is open and begins with what must be said first. */
static int ready(struct rec_camera *camera)
{
    int error = camera->segment == NULL ? open_segment(camera) : 0;
    if (error < 0)
        return error;
    settle_dropped(camera);
    if (camera->pending == NULL)
        return 0;
    error = rec_segment_line(camera->segment, strdup(camera->pending));
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
    bool was_left_out; /**< a GAP of records that were not asked for */
    uint64_t first, last;
};

static char *event_line(const struct entry *entry)
{
    const struct pinhole_event *e = entry->event;
    if (entry->was_left_out)
        return rec_sidecar_left_out(e->boot_id, entry->first, entry->last);
    if (e->kind == PINHOLE_EVENT_GAP)
        return rec_sidecar_missing(e->boot_id, entry->first, entry->last, "gone from the node");
    return rec_sidecar_event(e);
}

/** A segment never grows beyond its bound, whatever kind of record comes. */
static uint64_t bytes_max(const struct rec_camera *camera)
{
    const uint64_t wanted = camera->options->segment_bytes;
    const uint64_t share = rec_keeper_segment_max(camera->keeper);
    return share != 0 && (wanted == 0 || share < wanted) ? share : wanted;
}

static void rotate_for_bytes(struct rec_camera *camera, uint64_t more_bytes)
{
    struct rec_segment *segment = camera->segment;
    const uint64_t max = bytes_max(camera);
    if (segment == NULL || max == 0 || (rec_segment_frames(segment) == 0 && segment->lines == 0))
        return;
    if (rec_segment_bytes(segment) + more_bytes > max)
        close_segment(camera, "bytes", false, false);
}

static int write_entry(struct rec_camera *camera, const struct entry *entry)
{
    char *line = NULL;
    if (entry->frame == NULL) {
        line = event_line(entry);
        if (line == NULL)
            return -ENOMEM;
    }
    rotate_for_bytes(camera, line != NULL ? strlen(line) : entry->frame->jpeg_bytes);
    int error = ready(camera);
    if (error < 0) {
        free(line);
        return error;
    }
    if (line != NULL)
        error = rec_segment_line(camera->segment, line);
    else
        error = rec_segment_frame(camera->segment, entry->frame);
    account(camera);
    return error;
}

static const char *advice(const struct rec_camera *camera, int error)
{
    const struct rec_options *options = camera->options;
    if (error != -ENOSPC && error != -EDQUOT)
        return "";
    if (options->quota_bytes == 0 && options->free_bytes == 0 && options->max_age_ns == 0)
        return " (--free-bytes would make room by deleting the oldest segments)";
    return " (no older segment is left to delete)";
}

static void begin_failing(struct rec_camera *camera, int error)
{
    camera->retry_ns = clock_now_ns() + RETRY_S * NS_PER_S;
    if (camera->is_failing)
        return;
    camera->is_failing = true;
    say("%s: cannot write in %s: %s; records are dropped until it works again%s",
        camera->source.camera, camera->source.folder, strerror(-error), advice(camera, error));
}

static void end_failing(struct rec_camera *camera)
{
    if (!camera->is_failing)
        return;
    camera->is_failing = false;
    say("%s: writing works again", camera->source.camera);
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
    camera->retry_ns = now_ns + RETRY_S * NS_PER_S;
    return rec_keeper_free(camera->keeper) >= RESUME_ROOM_BYTES ||
           rec_keeper_make_room(camera->keeper);
}

static void count(struct rec_camera *camera, const struct entry *entry)
{
    if (entry->frame != NULL) {
        atomic_fetch_add(&camera->frames, 1);
        atomic_fetch_add(&camera->bytes, entry->frame->jpeg_bytes);
    } else if (entry->event->kind == PINHOLE_EVENT_GAP && !entry->was_left_out) {
        atomic_fetch_add(&camera->missing, entry->last - entry->first + 1);
    }
}

/** Records of a stream are not dropped: they stay there. */
static void give_up(struct rec_camera *camera, int error)
{
    if (camera->given_up == 0)
        camera->given_up = error;
    if (error == -ENOSPC || error == -EDQUOT)
        (void)rec_keeper_make_room(camera->keeper);
    close_segment(camera, "", false, true);
}

static void store(struct rec_camera *camera, const struct entry *entry)
{
    if (camera->is_failing && !may_retry(camera)) {
        drop(camera, entry);
        return;
    }
    for (int tries = 0;; tries++) {
        int error = camera->given_up != 0 ? camera->given_up : write_entry(camera, entry);
        if (error == 0)
            break;
        const bool is_full = error == -ENOSPC || error == -EDQUOT;
        if (camera->commit != NULL) {
            give_up(camera, error);
            return;
        }
        close_segment(camera, "", false, true);
        if (is_full && tries < ROOM_TRIES && rec_keeper_make_room(camera->keeper))
            continue;
        begin_failing(camera, error);
        drop(camera, entry);
        return;
    }
    end_failing(camera);
    count(camera, entry);
    if (camera->commit == NULL)
        sync_segment(camera);
}

/** May the next segment begin for another shape only? */
static bool may_change(struct rec_camera *camera)
{
    const uint64_t now_ns = clock_now_ns();
    camera->changes_left += (double)(now_ns - camera->changes_counted_ns) / (double)NS_PER_S;
    camera->changes_counted_ns = now_ns;
    if (camera->changes_left > CHANGES_MAX)
        camera->changes_left = CHANGES_MAX;
    if (camera->changes_left < 1)
        return false;
    camera->changes_left -= 1;
    return true;
}

/** Ends the segment that a frame no longer belongs into. */
static void rotate_for_frame(struct rec_camera *camera, const struct pinhole_frame *frame)
{
    struct rec_segment *segment = camera->segment;
    struct rec_shape shape;
    if (segment == NULL)
        return;
    if (is_time_up(camera))
        close_segment(camera, "time", false, false);
    else if (segment->has_shape && rec_shape_read(frame->jpeg, frame->jpeg_bytes, &shape) &&
             !rec_shape_equals(&shape, &segment->shape) && may_change(camera))
        close_segment(camera, "picture shape", false, false);
}

/** Another boot of the node: its log, its sequences and its clock are others. */
static void change_boot(struct rec_camera *camera, uint64_t boot_id)
{
    struct rec_position *at = &camera->position;
    close_segment(camera, "node restarted", false, false);
    settle_dropped(camera);
    if (at->is_known && !at->boots[0].is_closed) {
        struct rec_boot *former = &at->boots[0];
        add_pending(camera, rec_sidecar_missing(former->boot_id, former->last + 1, 0,
                                                "the node restarted"));
        former->is_closed = true;
        atomic_fetch_add(&camera->missing, 1);
        say("%s: the node has restarted; what it made after record %" PRIu64 " is lost",
            camera->source.camera, former->last);
    }
    const struct rec_boot *boot = rec_position_find(at, boot_id);
    if (boot != NULL)
        say("%s: a boot that was recorded before is back; it goes on after record %" PRIu64,
            camera->source.camera, boot->last);
    add_pending(camera, rec_sidecar_boot(boot_id));
    rec_position_enter(at, boot_id)->is_closed = false;
}

int rec_camera_commit(struct rec_camera *camera)
{
    pthread_mutex_lock(&camera->lock);
    int error = camera->given_up;
    if (error == 0 && camera->pending != NULL)
        error = ready(camera);
    if (error == 0 && camera->segment != NULL)
        error = camera->commit(camera);
    if (error < 0)
        give_up(camera, error);
    pthread_mutex_unlock(&camera->lock);
    return error;
}

void rec_camera_move_counts(struct rec_camera *to, struct rec_camera *from)
{
    atomic_fetch_add(&to->frames, atomic_load(&from->frames));
    atomic_fetch_add(&to->bytes, atomic_load(&from->bytes));
    atomic_fetch_add(&to->missing, atomic_load(&from->missing));
    atomic_fetch_add(&to->dropped, atomic_load(&from->dropped));
    atomic_fetch_add(&to->repeated, atomic_load(&from->repeated));
    atomic_store(&to->was_reached, true);
}

void rec_camera_note_link(struct rec_camera *camera, const char *state, const char *text)
{
    pthread_mutex_lock(&camera->lock);
    // For information only: the next record finds out when writing does not work.
    if (camera->segment != NULL && !camera->is_failing)
        (void)rec_segment_line(camera->segment, rec_sidecar_link(state, text));
    pthread_mutex_unlock(&camera->lock);
}

void rec_camera_greet(struct rec_camera *camera, const struct pinhole_info *info,
                      struct pinhole_subscription *wish)
{
    pthread_mutex_lock(&camera->lock);
    struct rec_position *at = &camera->position;
    struct rec_boot *boot = at->is_known ? rec_position_find(at, info->boot_id) : NULL;
    if (boot != NULL && boot->last >= info->sequence_next && info->sequence_next > 0) {
        say("%s: the recording stands at record %" PRIu64 ", but the node's log ends before "
            "%" PRIu64 "; it goes on there",
            camera->source.camera, boot->last, info->sequence_next);
        boot->last = info->sequence_next - 1;
        add_pending(camera,
                    rec_sidecar_corrected(boot->boot_id, boot->last, "the node's log ends here"));
    }
    if (boot == NULL && at->is_known)
        boot = &at->boots[0]; // of a boot that is over: the node says so and sends all it has
    if (boot != NULL) {
        wish->boot_id = boot->boot_id;
        wish->from_sequence = boot->last + 1;
    }
    wish->interval_us = camera->options->interval_us;
    camera->was_repeat_said = false;
    pthread_mutex_unlock(&camera->lock);
}

/** A record that is recorded, or known as missing, already. */
static void repeat(struct rec_camera *camera, const struct entry *entry)
{
    atomic_fetch_add(&camera->repeated, entry->last - entry->first + 1);
    if (camera->was_repeat_said)
        return;
    camera->was_repeat_said = true;
    say("%s: record %" PRIu64 " came though the recording is at %" PRIu64
        " already; such records are dropped",
        camera->source.camera, entry->first, camera->position.boots[0].last);
}

/** A hole in front of the record. Between frames that an interval parts there is always one. */
static void store_hole(struct rec_camera *camera, struct rec_boot *boot, uint64_t last)
{
    const struct pinhole_event hole = {.kind = PINHOLE_EVENT_GAP, .boot_id = boot->boot_id};
    const struct entry before = {.event = &hole,
                                 .was_left_out = camera->options->interval_us != 0,
                                 .first = boot->last + 1,
                                 .last = last};
    store(camera, &before);
    boot->last = last;
}

/** A record of the log, in order. What came before is dropped, a hole is noted. */
static void take(struct rec_camera *camera, struct entry entry)
{
    struct rec_position *at = &camera->position;
    struct rec_boot *boot = &at->boots[0];
    if (entry.last < entry.first)
        return; // a GAP of nothing
    if (at->is_known && entry.last <= boot->last) {
        repeat(camera, &entry);
        return;
    }
    if (at->is_known && entry.first <= boot->last)
        entry.first = boot->last + 1;
    if (at->is_known && entry.first > boot->last + 1)
        store_hole(camera, boot, entry.first - 1);
    if (entry.frame != NULL)
        rotate_for_frame(camera, entry.frame);
    store(camera, &entry);
    at->is_known = true;
    boot->last = entry.last;
}

void rec_camera_take(struct rec_camera *camera, const struct pinhole_record *record)
{
    const struct pinhole_event *e = &record->event;
    const bool is_frame = record->kind == PINHOLE_FRAME;
    const uint64_t boot_id = is_frame ? record->frame.boot_id : e->boot_id;
    struct entry entry = {0};
    pthread_mutex_lock(&camera->lock);
    struct rec_position *at = &camera->position;
    if (at->count == 0 || boot_id != at->boots[0].boot_id)
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
        take(camera, entry);
    pthread_mutex_unlock(&camera->lock);
}
