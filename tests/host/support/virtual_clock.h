// SPDX-License-Identifier: MIT
// hal/os/clock.h for a test program whose time stands still until the test moves it. Defines the
// functions, which then take the place of those in libnode.a: include it in one file of a program.
#ifndef PINHOLE_TEST_SUPPORT_VIRTUAL_CLOCK_H
#define PINHOLE_TEST_SUPPORT_VIRTUAL_CLOCK_H

#include "hal/os/clock.h"

static uint64_t virtual_now_ns = 1000 * NS_PER_S;

uint64_t clock_now_ns(void)
{
    return virtual_now_ns;
}

uint64_t clock_realtime_ns(void)
{
    return virtual_now_ns + 1000000 * NS_PER_S;
}

uint64_t clock_thread_cpu_ns(void)
{
    return virtual_now_ns;
}

int clock_sync_state(void)
{
    return 0;
}

bool clock_is_synchronized(void)
{
    return false;
}

#endif
