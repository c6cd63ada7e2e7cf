// SPDX-License-Identifier: MIT
// What publishing costs by itself: a bare loop of mosquitto_publish(), for `make check-mqtt`.
//     publish_loop PORT FILE BYTES FRAMES_PER_SECOND FRAMES QOS
// publishes FILE's first BYTES that often. Prints its CPU time a frame in microseconds.
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void serve_until(struct mosquitto *mosq, double until)
{
    for (double left; (left = until - seconds(CLOCK_MONOTONIC)) > 0;)
        mosquitto_loop(mosq, (int)(left * 1e3) + 1, 1);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    static unsigned char picture[8 << 20];
    const int bytes = atoi(argv[3]), frames = atoi(argv[5]), qos = atoi(argv[6]);
    const double period = 1 / atof(argv[4]);
    FILE *file = fopen(argv[2], "rb");
    if (file == NULL || bytes > (int)sizeof picture ||
        fread(picture, 1, (size_t)bytes, file) != (size_t)bytes)
        return 1;
    fclose(file);
    mosquitto_lib_init();
    struct mosquitto *mosq = mosquitto_new(NULL, true, NULL);
    if (mosq == NULL || mosquitto_connect(mosq, "127.0.0.1", atoi(argv[1]), 60) != 0)
        return 1;
    const double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    serve_until(mosq, start + period);
    for (int i = 0; i < frames; i++) {
        if (mosquitto_publish(mosq, NULL, "bare/frame", bytes, picture, qos, false) != 0)
            return 1;
        serve_until(mosq, start + (i + 2) * period);
    }
    printf("%.1f\n", (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / frames * 1e6);
    mosquitto_destroy(mosq);
    return 0;
}
