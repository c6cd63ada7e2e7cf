// SPDX-License-Identifier: MIT
// What publishing takes by itself, for `make check-fleet`.
//     publish_loop URL SUBJECT FILE FRAMES_PER_SECOND FRAMES
// is a bare loop of natsConnection_Publish(): publishes FILE that often, and prints its CPU time a
// frame in microseconds.
//     publish_loop URL SUBJECT BYTES MESSAGES
// is one of js_PublishAsync(): prints the messages a second, all of them acknowledged.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static char message[8 << 20];

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int publish(natsConnection *nc, char **argv)
{
    FILE *file = fopen(argv[3], "rb");
    const int bytes = file != NULL ? (int)fread(message, 1, sizeof message, file) : 0;
    const double period = 1 / atof(argv[4]);
    const int frames = atoi(argv[5]);
    if (bytes == 0)
        return 1;
    const double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < frames; i++) {
        const double left = start + (i + 1) * period - seconds(CLOCK_MONOTONIC);
        if (left > 0)
            nats_Sleep((int64_t)(left * 1e3) + 1);
        if (natsConnection_Publish(nc, argv[2], message, bytes) != NATS_OK)
            return 1;
    }
    natsConnection_Flush(nc);
    printf("%.1f\n", (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / frames * 1e6);
    return 0;
}

static int publish_async(natsConnection *nc, char **argv)
{
    jsCtx *js = NULL;
    jsOptions options;
    const int bytes = atoi(argv[3]), messages = atoi(argv[4]);
    if (bytes <= 0 || (size_t)bytes > sizeof message)
        return 2;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = 256;
    options.PublishAsync.StallWait = 60000;
    if (natsConnection_JetStream(&js, nc, &options) != NATS_OK)
        return 1;
    const double start = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < messages; i++)
        if (js_PublishAsync(js, argv[2], message, bytes, NULL) != NATS_OK)
            return 1;
    if (js_PublishAsyncComplete(js, NULL) != NATS_OK)
        return 1;
    printf("%.1f\n", messages / (seconds(CLOCK_MONOTONIC) - start));
    jsCtx_Destroy(js);
    return 0;
}

int main(int argc, char **argv)
{
    natsConnection *nc = NULL;
    if (argc != 5 && argc != 6)
        return 2;
    if (natsConnection_ConnectTo(&nc, argv[1]) != NATS_OK)
        return 1;
    const int result = (argc == 6 ? publish : publish_async)(nc, argv);
    natsConnection_Destroy(nc);
    return result;
}
