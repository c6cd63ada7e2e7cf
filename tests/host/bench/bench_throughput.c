// SPDX-License-Identifier: MIT
// How fast one client receives frames, and what a plain socket pair reaches beside it.
//
//   bench_throughput node ADDRESS SECONDS    receives with the library: latest frames
//   bench_throughput pair BYTES SECONDS      two processes, one sends messages of BYTES over
//                                            loopback TCP, the other receives them
//
// One line: bytes per second, frames per second, frames skipped, CPU seconds of the receiver.
#include "net/client/pinhole.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "bench_throughput: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void report(double bytes, double frames, double skipped, double took, double cpu)
{
    printf("%.0f %.1f %.0f %.3f\n", bytes / took, frames / took, skipped, cpu);
}

static void receive_frames(const char *address, double seconds)
{
    struct pinhole *p;
    struct pinhole_record *record;
    double bytes = 0, frames = 0, skipped = 0, begin = 0, cpu = 0;
    if (pinhole_open(&p, address, NULL) < 0 || pinhole_subscribe(p, NULL) < 0) {
        fprintf(stderr, "bench_throughput: %s\n", pinhole_error(p));
        exit(1);
    }
    while (begin == 0 || now_s() < begin + seconds) {
        require(pinhole_next(p, 10000, &record) == 1, pinhole_error(p));
        if (record->kind == PINHOLE_FRAME && begin == 0) {
            begin = now_s();
            cpu = cpu_s();
        } else if (record->kind == PINHOLE_FRAME) {
            bytes += (double)record->frame.jpeg_bytes;
            frames++;
            skipped += record->frame.skipped;
        }
        pinhole_release(p, record);
    }
    report(bytes, frames, skipped, now_s() - begin, cpu_s() - cpu);
    pinhole_close(p);
}

static void send_for_ever(int fd, const char *buffer, size_t bytes)
{
    for (;;)
        for (size_t at = 0; at < bytes;) {
            ssize_t sent = send(fd, buffer + at, bytes - at, MSG_NOSIGNAL);
            if (sent < 0)
                _exit(0);
            at += (size_t)sent;
        }
}

static void plain_pair(size_t bytes, double seconds)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    require(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    require(listen(listener, 1) == 0, "listen");
    require(getsockname(listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    char *buffer = malloc(bytes);
    require(buffer != NULL, "memory");
    memset(buffer, 7, bytes);
    pid_t sender = fork();
    require(sender >= 0, "fork");
    if (sender == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        require(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
        send_for_ever(fd, buffer, bytes);
    }
    int fd = accept(listener, NULL, NULL);
    require(fd >= 0, "accept");
    double got = 0, begin = now_s(), cpu = cpu_s();
    while (now_s() < begin + seconds) {
        ssize_t part = recv(fd, buffer, bytes, MSG_WAITALL);
        require(part == (ssize_t)bytes, "recv");
        got += (double)part;
    }
    report(got, got / (double)bytes, 0, now_s() - begin, cpu_s() - cpu);
    kill(sender, SIGKILL);
    waitpid(sender, NULL, 0);
    free(buffer);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "node") == 0)
        receive_frames(argv[2], atof(argv[3]));
    else if (argc == 4 && strcmp(argv[1], "pair") == 0)
        plain_pair((size_t)atol(argv[2]), atof(argv[3]));
    else
        return fprintf(stderr, "usage: bench_throughput node ADDRESS | pair BYTES, SECONDS\n"), 2;
    return 0;
}
