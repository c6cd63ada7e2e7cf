// SPDX-License-Identifier: MIT
// Reading back the sidecar's own lines. Quotes in texts are escaped there, so that `"name":` stands
// in a line only as a member's name.
#include "tools/rec/sidecar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *find(const char *line, const char *name)
{
    char pattern[40];
    size_t length = strcspn(line, "\n");
    int size = snprintf(pattern, sizeof pattern, "\"%s\":", name);
    const char *at = memmem(line, length, pattern, (size_t)size);
    return at != NULL ? at + size : NULL;
}

static uint64_t number(const char *line, const char *name)
{
    const char *at = find(line, name);
    return at != NULL ? strtoull(at, NULL, 10) : 0;
}

static bool string(const char *line, const char *name, char *out, size_t size)
{
    const char *at = find(line, name);
    out[0] = '\0';
    if (at == NULL || *at != '"')
        return false;
    size_t length = strcspn(at + 1, "\"\n");
    if (length >= size)
        return false;
    memcpy(out, at + 1, length);
    out[length] = '\0';
    return true;
}

bool rec_sidecar_parse(const char *line, struct rec_line *out)
{
    char type[16], boot[20];
    size_t length = strcspn(line, "\n");
    memset(out, 0, sizeof *out);
    if (length < 2 || line[0] != '{' || line[length - 1] != '}' ||
        !string(line, "type", type, sizeof type))
        return false;
    if (string(line, "boot_id", boot, sizeof boot))
        out->boot_id = strtoull(boot, NULL, 16);
    if (strcmp(type, "frame") == 0) {
        out->type = REC_LINE_FRAME;
        out->first = out->last = number(line, "sequence");
        out->bytes = number(line, "bytes");
        out->offset = number(line, "offset");
        out->end = number(line, "end");
        string(line, "file", out->file, sizeof out->file);
    } else if (strcmp(type, "event") == 0) {
        out->type = REC_LINE_EVENT;
        out->first = out->last = number(line, "sequence");
    } else if (strcmp(type, "missing") == 0) {
        out->type = REC_LINE_MISSING;
        out->first = number(line, "first");
        out->last = number(line, "last"); // null reads as 0
    } else if (strcmp(type, "boot") == 0) {
        out->type = REC_LINE_BOOT;
    }
    return true;
}

void rec_sidecar_follow(struct rec_position *position, const struct rec_line *line)
{
    if (line->type == REC_LINE_OTHER)
        return;
    if (line->type == REC_LINE_MISSING && line->last == 0) {
        // The node's end, noted with its successor's beginning.
        if (!position->is_known)
            *position = (struct rec_position){
                .is_known = true, .boot_id = line->boot_id, .last = line->first - 1};
        position->is_closed = position->boot_id == line->boot_id;
        return;
    }
    if (!position->is_known || position->boot_id != line->boot_id)
        *position = (struct rec_position){.is_known = true, .boot_id = line->boot_id};
    if (line->last > position->last)
        position->last = line->last;
}
