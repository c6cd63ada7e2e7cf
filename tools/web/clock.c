// SPDX-License-Identifier: MIT
#include "tools/web/clock.h"

#include <stdlib.h>
#include <string.h>

/** An address of this host may be one end of a tunnel to another: only clocks that also agree are
 * taken for the same one. */
#define SAME_WITHIN_NS INT64_C(100000000)

bool web_clock_is_local(const char *address)
{
    static const char *const prefixes[] = {"unix:", "127.", "localhost", "[::1]"};
    if (address == NULL)
        address = getenv("PINHOLE_NODE");
    if (address == NULL || *address == '\0')
        return true;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(address, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return strcmp(address, "::1") == 0;
}

void web_clock_add(struct web_clock *clock, const struct pinhole_frame *frame)
{
    if (clock->boot_id != frame->boot_id) {
        clock->boot_id = frame->boot_id;
        clock->count = 0;
    }
    uint64_t left_ns = frame->timestamp_ns + (uint64_t)frame->queued_us * 1000u;
    clock->samples[clock->count++ % WEB_CLOCK_SAMPLES] = (int64_t)(frame->received_ns - left_ns);
}

static int64_t least_sample(const struct web_clock *clock)
{
    unsigned used = clock->count < WEB_CLOCK_SAMPLES ? clock->count : WEB_CLOCK_SAMPLES;
    int64_t least = used == 0 ? 0 : clock->samples[0];
    for (unsigned i = 1; i < used; i++)
        if (clock->samples[i] < least)
            least = clock->samples[i];
    return least;
}

static bool is_same(const struct web_clock *clock, int64_t least)
{
    return clock->may_be_same && least >= -SAME_WITHIN_NS && least <= SAME_WITHIN_NS;
}

int64_t web_clock_offset_ns(const struct web_clock *clock)
{
    int64_t least = least_sample(clock);
    return is_same(clock, least) ? 0 : least;
}

int64_t web_clock_margin_ns(const struct web_clock *clock)
{
    return is_same(clock, least_sample(clock)) ? 0 : WEB_CLOCK_MARGIN_NS;
}
