// SPDX-License-Identifier: MIT
// Reading sidecars back, of this and the former format, and where a camera stands by them.
#include "tools/rec/sidecar.h"

#include "tools/common/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TAIL_BYTES = 1024 };

static uint64_t number(const json_t *object, const char *name)
{
    uint64_t value = 0;
    return json_get_u64(object, name, &value) ? value : 0;
}

/** A point, nine digits, and what ends them. */
static bool read_fraction(const char *text, char end, uint64_t *ns)
{
    char *after;
    if (text[0] != '.' || text[1] < '0' || text[1] > '9')
        return false;
    *ns = strtoull(text + 1, &after, 10);
    return after - text == 10 && *after == end;
}

/** "SECONDS.NANOSECONDSs", or the integer that format 1 has under another name. */
static uint64_t monotonic_of(const json_t *object, const char *name, const char *former)
{
    const char *text = json_get_text(object, name);
    char *rest;
    uint64_t ns, seconds = strtoull(text, &rest, 10);
    if (rest > text && read_fraction(rest, 's', &ns))
        return seconds * NS_PER_S + ns;
    return number(object, former);
}

static uint64_t realtime_of(const json_t *object, const char *name, const char *former)
{
    uint64_t ns;
    struct tm parts = {0};
    const char *rest = strptime(json_get_text(object, name), "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest != NULL && read_fraction(rest, 'Z', &ns))
        return (uint64_t)timegm(&parts) * NS_PER_S + ns;
    return number(object, former);
}

static void take_frame(const json_t *object, struct rec_line *out)
{
    uint64_t crc;
    out->first = out->last = number(object, "sequence");
    out->trigger_id = number(object, "trigger_id");
    out->bytes = number(object, "bytes");
    out->offset = number(object, "offset");
    out->end = number(object, "end");
    out->width = (uint32_t)number(object, "width");
    out->height = (uint32_t)number(object, "height");
    out->frame_duration_us = (uint32_t)number(object, "frame_duration_us");
    out->captured_ns = monotonic_of(object, "captured", "timestamp_ns");
    out->realtime_ns = realtime_of(object, "realtime", "realtime_ns");
    out->has_crc = json_get_u64(object, "crc32c", &crc);
    out->crc32c = out->has_crc ? (uint32_t)crc : 0;
    snprintf(out->file, sizeof out->file, "%s", json_get_text(object, "file"));
}

void rec_position_take(struct rec_position *out, const json_t *list)
{
    size_t index;
    const json_t *boot;
    *out = (struct rec_position){0};
    json_array_foreach(list, index, boot)
    {
        if (index < REC_BOOTS_MAX)
            out->boots[out->count++] =
                (struct rec_boot){.boot_id = strtoull(json_get_text(boot, "boot_id"), NULL, 16),
                                  .last = number(boot, "last"),
                                  .is_closed = json_is_true(json_object_get(boot, "is_closed"))};
    }
    out->is_known = out->count > 0;
}

static void take_segment(const json_t *object, struct rec_line *out)
{
    snprintf(out->camera, sizeof out->camera, "%s", json_get_text(object, "camera"));
    snprintf(out->media, sizeof out->media, "%s", json_get_text(object, "media"));
    snprintf(out->device_serial, sizeof out->device_serial, "%s",
             json_get_text(object, "device_serial"));
    snprintf(out->address, sizeof out->address, "%s", json_get_text(object, "address"));
    rec_position_take(&out->position, json_object_get(object, "boots"));
}

static void take_apart(const json_t *object, const char *type, struct rec_line *out)
{
    static const char *const types[] = {
        [REC_LINE_SEGMENT] = "segment",   [REC_LINE_FRAME] = "frame",
        [REC_LINE_EVENT] = "event",       [REC_LINE_MISSING] = "missing",
        [REC_LINE_LEFT_OUT] = "left_out", [REC_LINE_CORRECTED] = "corrected",
        [REC_LINE_BOOT] = "boot"};
    out->boot_id = strtoull(json_get_text(object, "boot_id"), NULL, 16);
    for (unsigned i = 1; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i]) == 0)
            out->type = i;
    switch (out->type) {
    case REC_LINE_SEGMENT: take_segment(object, out); break;
    case REC_LINE_FRAME: take_frame(object, out); break;
    case REC_LINE_EVENT: out->first = out->last = number(object, "sequence"); break;
    case REC_LINE_MISSING:
    case REC_LINE_LEFT_OUT:
    case REC_LINE_CORRECTED:
        out->first = number(object, "first");
        out->last = number(object, "last"); // null reads as 0
        break;
    default: break;
    }
}

/** 1, 0: no line of a sidecar, or -ENOMEM. */
static int parse(const char *text, size_t bytes, struct rec_line *out)
{
    json_error_t why;
    json_t *object = json_loadb(text, bytes, 0, &why);
    const char *type = json_string_value(json_object_get(object, "type"));
    memset(out, 0, sizeof *out);
    if (type != NULL)
        take_apart(object, type, out);
    json_decref(object);
    if (object == NULL && json_error_code(&why) == json_error_out_of_memory)
        return -ENOMEM;
    return type != NULL;
}

struct rec_reader {
    int fd;
    off_t at; /**< in the file, of bytes[begin] */
    size_t last, begin, end;
    char bytes[REC_LINE_BYTES_MAX];
};

int rec_reader_open(struct rec_reader **out, int fd)
{
    struct rec_reader *reader = malloc(sizeof *reader);
    *out = reader;
    if (reader == NULL) {
        close(fd);
        return -ENOMEM;
    }
    reader->fd = fd;
    reader->at = 0;
    reader->last = reader->begin = reader->end = 0;
    return 0;
}

/** Reads on behind what is there. 0: the file's end, or no room; or -errno. */
static int fill(struct rec_reader *reader)
{
    memmove(reader->bytes, reader->bytes + reader->begin, reader->end - reader->begin);
    reader->end -= reader->begin;
    reader->begin = 0;
    ssize_t got;
    do
        got = read(reader->fd, reader->bytes + reader->end, sizeof reader->bytes - reader->end);
    while (got < 0 && errno == EINTR);
    reader->end += got > 0 ? (size_t)got : 0;
    return got < 0 ? -errno : got > 0;
}

int rec_reader_next(struct rec_reader *reader, struct rec_line *line)
{
    const char *newline;
    for (;;) {
        newline = memchr(reader->bytes + reader->begin, '\n', reader->end - reader->begin);
        if (newline != NULL)
            break;
        int result = fill(reader);
        if (result <= 0)
            return result;
    }
    const size_t bytes = (size_t)(newline - (reader->bytes + reader->begin));
    int result = parse(reader->bytes + reader->begin, bytes, line);
    if (result <= 0)
        return result;
    reader->last = reader->begin;
    reader->begin += bytes + 1;
    reader->at += (off_t)bytes + 1;
    return 1;
}

int rec_reader_skip(struct rec_reader *reader)
{
    const off_t before = reader->at;
    for (;;) {
        const char *text = reader->bytes + reader->begin;
        const size_t left = reader->end - reader->begin;
        const char *newline = memchr(text, '\n', left);
        const size_t dropped = newline != NULL ? (size_t)(newline - text) + 1 : left;
        reader->begin += dropped;
        reader->at += (off_t)dropped;
        const int result = newline != NULL ? 0 : fill(reader);
        if (result <= 0)
            return result < 0 ? result : reader->at > before;
    }
}

const char *rec_reader_text(const struct rec_reader *reader, size_t *bytes)
{
    *bytes = reader->begin - reader->last;
    return reader->bytes + reader->last;
}

off_t rec_reader_at(const struct rec_reader *reader)
{
    return reader->at;
}

void rec_reader_close(struct rec_reader *reader)
{
    if (reader == NULL)
        return;
    close(reader->fd);
    free(reader);
}

bool rec_sidecar_was_unsynchronized(int fd)
{
    char tail[TAIL_BYTES + 1];
    const off_t size = lseek(fd, 0, SEEK_END);
    const ssize_t got = pread(fd, tail, TAIL_BYTES, size > TAIL_BYTES ? size - TAIL_BYTES : 0);
    if (size < 0 || got <= 1)
        return false;
    tail[got - 1] = '\0'; // the last newline
    const char *before = strrchr(tail, '\n');
    json_t *line = json_loads(before != NULL ? before + 1 : tail, 0, NULL);
    const bool is_unsynchronized = json_is_false(json_object_get(line, "clock_synchronized"));
    json_decref(line);
    return is_unsynchronized;
}

struct rec_boot *rec_position_find(struct rec_position *position, uint64_t boot_id)
{
    for (unsigned i = 0; i < position->count; i++)
        if (position->boots[i].boot_id == boot_id)
            return &position->boots[i];
    return NULL;
}

struct rec_boot *rec_position_enter(struct rec_position *position, uint64_t boot_id)
{
    struct rec_boot boot = {.boot_id = boot_id}, *found = rec_position_find(position, boot_id);
    unsigned place = position->count < REC_BOOTS_MAX ? position->count : REC_BOOTS_MAX - 1;
    if (found != NULL) {
        boot = *found;
        place = (unsigned)(found - position->boots);
    } else if (position->count < REC_BOOTS_MAX) {
        position->count++;
    }
    memmove(position->boots + 1, position->boots, place * sizeof boot);
    position->boots[0] = boot;
    return &position->boots[0];
}

void rec_position_follow(struct rec_position *position, const struct rec_line *line)
{
    struct rec_boot *boot;
    switch (line->type) {
    case REC_LINE_OTHER: return;
    case REC_LINE_SEGMENT:
        if (line->position.is_known)
            *position = line->position;
        return;
    case REC_LINE_MISSING:
        if (line->last != 0)
            break;
        // The node's end, noted with its successor's beginning.
        boot = rec_position_find(position, line->boot_id);
        if (boot == NULL) {
            boot = rec_position_enter(position, line->boot_id);
            boot->last = line->first - 1;
        }
        boot->is_closed = position->is_known = true;
        return;
    case REC_LINE_CORRECTED:
        rec_position_enter(position, line->boot_id)->last = line->last;
        position->is_known = true;
        return;
    default: break;
    }
    boot = rec_position_enter(position, line->boot_id);
    position->is_known = true;
    boot->is_closed = false;
    if (line->last > boot->last)
        boot->last = line->last;
}
