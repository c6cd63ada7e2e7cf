// SPDX-License-Identifier: MIT
#include "app/pacer.h"

bool pacer_is_due(struct pacer *pacer, uint64_t timestamp_ns, double camera_rate,
                  double wanted_rate)
{
    uint64_t camera_ns = (uint64_t)((double)NS_PER_S / camera_rate);
    uint64_t wanted_ns = (uint64_t)((double)NS_PER_S / wanted_rate);
    if (timestamp_ns + camera_ns / 2 < pacer->due_ns)
        return false;
    bool is_early = timestamp_ns < pacer->due_ns;
    bool is_in_step = is_early || timestamp_ns - pacer->due_ns < wanted_ns;
    pacer->due_ns = (is_in_step ? pacer->due_ns : timestamp_ns) + wanted_ns;
    return true;
}

void pacer_restart(struct pacer *pacer)
{
    pacer->due_ns = 0;
}
