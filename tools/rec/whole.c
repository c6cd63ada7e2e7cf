// SPDX-License-Identifier: MIT
#include "tools/rec/whole.h"

#include "hal/base.h"
#include "tools/common/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Consecutive records of one folder, or a range that is told to be missing. */
struct span {
    const char *camera, *folder;
    uint64_t boot_id, first, last;
    bool is_told; /**< as missing or left out */
};

struct rec_whole {
    struct span *spans;
    size_t count, room;
};

struct rec_whole *rec_whole_new(void)
{
    return calloc(1, sizeof(struct rec_whole));
}

void rec_whole_free(struct rec_whole *whole)
{
    if (whole == NULL)
        return;
    free(whole->spans);
    free(whole);
}

static bool is_of(const struct span *span, const char *camera, uint64_t boot_id)
{
    return span->boot_id == boot_id && strcmp(span->camera, camera) == 0;
}

static bool add(struct rec_whole *whole, const struct span *span)
{
    struct span *last = whole->count > 0 ? &whole->spans[whole->count - 1] : NULL;
    if (last != NULL && is_of(last, span->camera, span->boot_id) && last->folder == span->folder &&
        last->is_told == span->is_told && span->first == last->last + 1) {
        last->last = span->last;
        return true;
    }
    if (whole->spans == NULL || whole->count == whole->room) {
        const size_t room = whole->room > 0 ? 2 * whole->room : 64;
        struct span *grown = realloc(whole->spans, room * sizeof *grown);
        if (grown == NULL)
            return false;
        whole->spans = grown;
        whole->room = room;
    }
    whole->spans[whole->count++] = *span;
    return true;
}

/** The node's log ends after `last`: nothing is missing there. */
static void correct(struct rec_whole *whole, const char *camera, const struct rec_line *line)
{
    for (size_t i = 0; i < whole->count; i++) {
        struct span *span = &whole->spans[i];
        if (is_of(span, camera, line->boot_id) && span->is_told && span->last > line->last)
            span->last = base_max_u64(line->last, span->first - 1);
    }
}

bool rec_whole_add(struct rec_whole *whole, const char *camera, const char *folder,
                   const struct rec_line *line)
{
    struct span span = {camera, folder, line->boot_id, line->first, line->last, false};
    switch (line->type) {
    case REC_LINE_BOOT: // what comes begins with 1
        span.first = span.last = 0;
        span.is_told = true;
        break;
    case REC_LINE_FRAME:
    case REC_LINE_EVENT: break;
    case REC_LINE_MISSING:
    case REC_LINE_LEFT_OUT: span.is_told = true; break;
    case REC_LINE_CORRECTED: correct(whole, camera, line); return true;
    default: return true;
    }
    // A boot's end has no number, and a range of nothing is nothing.
    return span.last < span.first || add(whole, &span);
}

static int by_place(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    const int order = strcmp(left->camera, right->camera);
    if (order != 0)
        return order;
    if (left->boot_id != right->boot_id)
        return left->boot_id < right->boot_id ? -1 : 1;
    if (left->first != right->first)
        return left->first < right->first ? -1 : 1;
    return strcmp(left->folder, right->folder);
}

static void print_range(const struct span *span, uint64_t first, uint64_t last)
{
    text_print(stdout, span->camera);
    printf(", boot %016" PRIx64 ": records %" PRIu64 " to %" PRIu64, span->boot_id, first, last);
}

/** Each record before this span's that the spans before it do not have. `end` is their last. */
static uint64_t check_hole(const struct span *span, uint64_t end)
{
    if (span->first <= end + 1)
        return 0;
    print_range(span, end + 1, span->first - 1);
    printf(" are missing\n");
    return 1;
}

static uint64_t check_twice(const struct span *span, const struct span *before)
{
    if (span->is_told || before == NULL || span->first > before->last)
        return 0;
    print_range(span, span->first, base_min_u64(span->last, before->last));
    printf(" are there twice: in ");
    text_print(stdout, before->folder);
    printf(" and in ");
    text_print(stdout, span->folder);
    putchar('\n');
    return 1;
}

uint64_t rec_whole_print(struct rec_whole *whole)
{
    const struct span *spans = whole->spans, *records = NULL; // `records`: reaching furthest
    uint64_t faults = 0, end = 0;
    if (whole->count > 0)
        qsort(whole->spans, whole->count, sizeof *whole->spans, by_place);
    for (size_t i = 0; i < whole->count; i++) {
        const struct span *span = &spans[i];
        if (i == 0 || !is_of(span, spans[i - 1].camera, spans[i - 1].boot_id)) {
            records = NULL;
            end = span->last;
        } else {
            faults += check_hole(span, end) + check_twice(span, records);
        }
        end = base_max_u64(end, span->last);
        if (!span->is_told && (records == NULL || span->last > records->last))
            records = span;
    }
    return faults;
}
