// SPDX-License-Identifier: MIT
// What publishing costs by itself: a bare loop of natsConnection_Publish(), for `make check-fleet`.
//     publish_loop URL SUBJECT FILE FRAMES_PER_SECOND FRAMES
// publishes FILE that often. Prints its CPU time a frame in microseconds.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static char picture[8 << 20];
    natsConnection *nc = NULL;
    if (argc != 6)
        return 2;
    FILE *file = fopen(argv[3], "rb");
    const int bytes = file != NULL ? (int)fread(picture, 1, sizeof picture, file) : 0;
    const double period = 1 / atof(argv[4]);
    const int frames = atoi(argv[5]);
    if (bytes == 0 || natsConnection_ConnectTo(&nc, argv[1]) != NATS_OK)
        return 1;
    const double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < frames; i++) {
        const double left = start + (i + 1) * period - seconds(CLOCK_MONOTONIC);
        if (left > 0)
            nats_Sleep((int64_t)(left * 1e3) + 1);
        if (natsConnection_Publish(nc, argv[2], picture, bytes) != NATS_OK)
            return 1;
    }
    natsConnection_Flush(nc);
    printf("%.1f\n", (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / frames * 1e6);
    natsConnection_Destroy(nc);
    return 0;
}
