// SPDX-License-Identifier: MIT
// A library for LD_PRELOAD that takes the time out of waiting: who sleeps goes on at once. SQLite
// counts what it has slept, so its patience with a lock is over soon.
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int usleep(useconds_t duration_us)
{
    (void)duration_us;
    return 0;
}

EXPORT int nanosleep(const struct timespec *duration, struct timespec *rest)
{
    (void)duration;
    (void)rest;
    return 0;
}
