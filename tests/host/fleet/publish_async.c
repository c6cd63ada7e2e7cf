// SPDX-License-Identifier: MIT
// How fast a stream takes messages: a bare loop of js_PublishAsync(), for `make check-fleet`.
//     publish_async URL SUBJECT BYTES MESSAGES
// Prints the messages a second, all of them acknowledged.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static char message[8 << 20];
    natsConnection *nc = NULL;
    jsCtx *js = NULL;
    jsOptions options;
    if (argc != 5)
        return 2;
    const int bytes = atoi(argv[3]), messages = atoi(argv[4]);
    if (bytes <= 0 || (size_t)bytes > sizeof message)
        return 2;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = 256;
    options.PublishAsync.StallWait = 60000;
    if (natsConnection_ConnectTo(&nc, argv[1]) != NATS_OK ||
        natsConnection_JetStream(&js, nc, &options) != NATS_OK)
        return 1;
    const double start = seconds();
    for (int i = 0; i < messages; i++)
        if (js_PublishAsync(js, argv[2], message, bytes, NULL) != NATS_OK)
            return 1;
    if (js_PublishAsyncComplete(js, NULL) != NATS_OK)
        return 1;
    printf("%.1f\n", messages / (seconds() - start));
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    return 0;
}
