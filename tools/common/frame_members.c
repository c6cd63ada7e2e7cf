// SPDX-License-Identifier: MIT
#include "tools/common/frame_members.h"

#include <stdint.h>
#include <stdio.h>

#define NS_PER_S UINT64_C(1000000000)

struct list {
    struct frame_member *next;
};

static struct frame_member *begin(struct list *list, const char *name, bool is_number)
{
    struct frame_member *member = list->next++;
    member->name = name;
    member->is_number = is_number;
    return member;
}

/** Writes digits and a 0. snprintf() takes ten times as long. */
static void put_digits(char *out, uint64_t value)
{
    unsigned count = 1;
    for (uint64_t rest = value / 10; rest > 0; rest /= 10)
        count++;
    out[count] = '\0';
    for (; count > 0; value /= 10)
        out[--count] = (char)('0' + value % 10);
}

static void put_u64(struct list *list, const char *name, uint64_t value)
{
    put_digits(begin(list, name, value <= INT64_MAX)->text, value);
}

static void put_i64(struct list *list, const char *name, int64_t value)
{
    char *text = begin(list, name, true)->text;
    if (value < 0)
        *text++ = '-';
    put_digits(text, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void put_text(struct list *list, const char *name, const char *text)
{
    struct frame_member *member = begin(list, name, false);
    snprintf(member->text, sizeof member->text, "%s", text);
}

static void put_id(struct list *list, const char *name, uint64_t value)
{
    char *text = begin(list, name, false)->text;
    for (unsigned i = 0; i < 16; i++)
        text[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    text[16] = '\0';
}

static void put_time(struct list *list, const char *seconds, const char *rest, uint64_t ns)
{
    put_u64(list, seconds, ns / NS_PER_S);
    put_u64(list, rest, ns % NS_PER_S);
}

static void put_trigger(struct list *list, const struct pinhole_frame *frame)
{
    put_u64(list, "trigger_id", frame->trigger_id);
    put_text(list, "source", pinhole_source_name(frame->trigger_source));
    put_u64(list, "edge_ns", frame->edge_ns);
    put_time(list, "edge_s", "edge_frac_ns", frame->edge_ns);
    put_i64(list, "exposure_delta_ns", frame->exposure_delta_ns);
    put_i64(list, "burst_index", frame->burst_index);
}

unsigned frame_members(struct frame_member out[FRAME_MEMBERS_MAX],
                       const struct pinhole_frame *frame)
{
    struct list list = {.next = out};
    put_u64(&list, "frame_id", frame->frame_id);
    put_u64(&list, "sequence", frame->sequence);
    put_id(&list, "boot_id", frame->boot_id);
    put_u64(&list, "sensor_sequence", frame->sensor_sequence);
    put_u64(&list, "width", frame->width);
    put_u64(&list, "height", frame->height);
    put_u64(&list, "bytes", frame->jpeg_bytes);
    put_u64(&list, "quality", frame->quality);
    put_u64(&list, "flags", frame->flags);
    put_u64(&list, "timestamp_ns", frame->timestamp_ns);
    put_u64(&list, "realtime_ns", frame->realtime_ns);
    put_time(&list, "monotonic_s", "monotonic_frac_ns", frame->timestamp_ns);
    put_time(&list, "realtime_s", "realtime_frac_ns", frame->realtime_ns);
    put_u64(&list, "exposure_us", frame->exposure_us);
    put_u64(&list, "gain_milli", frame->gain_milli);
    put_u64(&list, "acquired_us", frame->acquired_us);
    put_u64(&list, "encode_start_us", frame->encode_start_us);
    put_u64(&list, "encoded_us", frame->encoded_us);
    put_u64(&list, "queued_us", frame->queued_us);
    put_u64(&list, "skipped", frame->skipped);
    if (frame->trigger_id != 0)
        put_trigger(&list, frame);
    return (unsigned)(list.next - out);
}
