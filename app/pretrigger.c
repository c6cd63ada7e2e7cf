// SPDX-License-Identifier: MIT
#include "app/pretrigger.h"

#include <string.h>

bool pretrigger_pop(struct pretrigger *pretrigger, struct held_frame *out)
{
    if (pretrigger->count == 0)
        return false;
    *out = pretrigger->held[0];
    pretrigger->count--;
    memmove(&pretrigger->held[0], &pretrigger->held[1],
            pretrigger->count * sizeof pretrigger->held[0]);
    return true;
}

struct store_record *pretrigger_hold(struct pretrigger *pretrigger, const struct held_frame *frame,
                                     unsigned limit)
{
    struct held_frame oldest = {.record = NULL};
    // It was to be held when it was taken; a client may have changed the setting since then.
    if (limit == 0)
        return frame->record;
    if (pretrigger->count >= limit)
        pretrigger_pop(pretrigger, &oldest);
    pretrigger->held[pretrigger->count++] = *frame;
    pretrigger->used_max = base_max_u32(pretrigger->used_max, pretrigger->count);
    return oldest.record;
}

void pretrigger_claim(struct pretrigger *pretrigger, const struct wire_frame *answer,
                      unsigned count)
{
    unsigned first = count < pretrigger->count ? pretrigger->count - count : 0;
    for (unsigned i = first; i < pretrigger->count; i++) {
        struct wire_frame *fields = &pretrigger->held[i].fields;
        uint64_t start_ns = fields->timestamp_ns - fields->exposure_us * NS_PER_US;
        fields->trigger_id = answer->trigger_id;
        fields->trigger_source = answer->trigger_source;
        fields->edge_ns = answer->edge_ns;
        fields->burst_index = (int16_t)((int)i - (int)pretrigger->count);
        fields->exposure_delta_ns = (int64_t)(start_ns - answer->edge_ns);
        pretrigger->held[i].is_claimed = true;
    }
}
