// SPDX-License-Identifier: MIT
#include "tests/host/support/plain_readers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hal/os/clock.h"

#define PICTURE_MAX (8u << 20)

/** Before each picture; `bytes` 0 ends a round. */
struct head {
    uint64_t ready_ns, encode_ns;
    size_t bytes;
};

struct reader {
    struct head head;
    size_t got; /**< of head and picture */
    uint8_t *picture;
};

static unsigned reader_count;
static int link_fd[PLAIN_READERS_MAX], done_pipe[2];
static struct latency *shared; /**< of both processes; the readers write it */
static bool is_stale;          /**< it has been asked for */

/** Prints the last error's text and returns it as -errno. */
static int failed(const char *what)
{
    const int error = errno;
    perror(what);
    return error != 0 ? -error : -EIO;
}

/** In the readers' process: ends it, which the sender notices at its next call. */
static void must(bool holds, const char *what)
{
    if (holds)
        return;
    failed(what);
    _exit(1);
}

/** True when the reader's round ends. */
static bool read_on(struct reader *reader, int fd)
{
    const size_t head = sizeof reader->head;
    void *at = reader->got < head ? (uint8_t *)&reader->head + reader->got
                                  : reader->picture + (reader->got - head);
    size_t want = reader->got < head ? head - reader->got : reader->head.bytes + head - reader->got;
    ssize_t bytes = recv(fd, at, want, 0);
    if (bytes <= 0)
        _exit(0); // the sender has ended
    reader->got += (size_t)bytes;
    if (reader->got < head || reader->got < head + reader->head.bytes)
        return false;
    reader->got = 0;
    if (reader->head.bytes > 0)
        latency_add(shared, reader->head.ready_ns, reader->head.encode_ns, clock_now_ns());
    return reader->head.bytes == 0;
}

static void read_for_ever(int listener)
{
    static struct reader readers[PLAIN_READERS_MAX];
    struct pollfd wait[PLAIN_READERS_MAX];
    for (unsigned i = 0; i < reader_count; i++) {
        close(link_fd[i]);
        wait[i] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
        must(wait[i].fd >= 0, "accept");
        must((readers[i].picture = malloc(PICTURE_MAX)) != NULL, "memory");
        memset(readers[i].picture, 0, PICTURE_MAX);
    }
    for (unsigned finished = 0;;) {
        must(poll(wait, reader_count, -1) > 0, "poll");
        for (unsigned i = 0; i < reader_count; i++)
            finished += wait[i].revents && read_on(&readers[i], wait[i].fd);
        if (finished == reader_count) {
            must(write(done_pipe[1], "", 1) == 1, "write");
            finished = 0;
        }
    }
}

static int open_links(int listener, const struct sockaddr_in *address)
{
    const int on = 1;
    if (listen(listener, (int)reader_count) < 0 || pipe(done_pipe) < 0)
        return failed("listen");
    for (unsigned i = 0; i < reader_count; i++) { // the backlog takes them; the readers accept
        link_fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(link_fd[i], (const struct sockaddr *)address, sizeof *address) < 0 ||
            setsockopt(link_fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
            return failed("connect");
    }
    return 0;
}

int plain_readers_start(unsigned count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    errno = EINVAL;
    if (count < 1 || count > PLAIN_READERS_MAX)
        return failed("readers");
    reader_count = count;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return failed("mmap");
    memset(shared, 0, sizeof *shared);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        return failed("bind");
    int error = open_links(listener, &address);
    if (error < 0)
        return error;
    pid_t child = fork();
    if (child < 0)
        return failed("fork");
    if (child == 0)
        read_for_ever(listener);
    close(listener);
    close(done_pipe[1]); // so that the readers' end is the pipe's
    return 0;
}

static int send_all(int fd, struct head *head, const void *jpeg)
{
    struct iovec parts[] = {{head, sizeof *head}, {(void *)(uintptr_t)jpeg, head->bytes}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL); // it blocks, so it sends all
    return sent == (ssize_t)(sizeof *head + head->bytes) ? 0 : failed("sendmsg");
}

int plain_readers_send(const void *jpeg, uint32_t bytes, uint64_t ready_ns, uint64_t encode_ns)
{
    struct head head = {ready_ns, encode_ns, bytes};
    if (is_stale)
        shared->count = 0;
    is_stale = false;
    int error = 0;
    for (unsigned i = 0; i < reader_count && error == 0; i++)
        error = send_all(link_fd[i], &head, jpeg);
    return error;
}

struct latency *plain_readers_finish(void)
{
    struct head head = {0};
    char done;
    for (unsigned i = 0; i < reader_count; i++)
        if (send_all(link_fd[i], &head, NULL) < 0)
            return NULL;
    if (read(done_pipe[0], &done, 1) != 1) {
        failed("read");
        return NULL;
    }
    is_stale = true;
    return shared;
}
