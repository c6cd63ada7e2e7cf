// SPDX-License-Identifier: MIT
#include "tests/host/support/text_node.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/host/support/peer.h"

#define BOOT_ID  0x1122334455667788u
#define SEQUENCE 11u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char said[TEXT_NODE_BYTES_MAX + 1];
static size_t said_bytes;

static bool send_all(int fd, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int fd, void *out, size_t count)
{
    return count == 0 || recv(fd, out, count, MSG_WAITALL) == (ssize_t)count;
}

/** The outcome of a trigger, whose text ends at the first 0. */
static size_t make_outcome(uint8_t *out)
{
    const struct wire_event event = {.kind = WIRE_EVENT_TRIGGER,
                                     .boot_id = BOOT_ID,
                                     .sequence = SEQUENCE,
                                     .first = 1,
                                     .last = 1};
    return peer_make_event(out, &event, said);
}

static bool answer(int fd, const struct wire_header *request)
{
    uint8_t message[PEER_MESSAGE_MAX], more[PEER_MESSAGE_MAX];
    const bool is_bare = request->type == WIRE_TYPE_PING || request->type == WIRE_TYPE_SUBSCRIBE;
    size_t more_bytes = 0;
    pthread_mutex_lock(&lock);
    size_t bytes = peer_make(message, request->type, WIRE_FLAG_REPLY, request->tag, said,
                             is_bare ? 0 : said_bytes);
    if (request->type == WIRE_TYPE_SUBSCRIBE)
        more_bytes = make_outcome(more);
    pthread_mutex_unlock(&lock);
    return send_all(fd, message, bytes) && send_all(fd, more, more_bytes);
}

static void *serve(void *argument)
{
    int fd = (int)(intptr_t)argument;
    uint8_t bytes[PEER_MESSAGE_MAX];
    struct wire_header header;
    bool is_up = send_all(fd, bytes, peer_make_hello(bytes, BOOT_ID));
    while (is_up && receive_all(fd, bytes, WIRE_HEADER_BYTES) &&
           wire_get_header(bytes, &header) == 0 && header.length <= sizeof bytes &&
           receive_all(fd, bytes, header.length))
        is_up = answer(fd, &header);
    close(fd);
    return NULL;
}

static void *listen_for_clients(void *argument)
{
    int listener = (int)(intptr_t)argument;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, &detached, serve, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
    return NULL;
}

const char *text_node_start(const char *folder)
{
    static char name[120];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    snprintf(address.sun_path, sizeof address.sun_path, "%.80s/node", folder);
    snprintf(name, sizeof name, "unix:%s", address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 64) < 0 ||
        pthread_create(&thread, NULL, listen_for_clients, (void *)(intptr_t)listener) != 0)
        return NULL;
    pthread_detach(thread);
    return name;
}

void text_node_say(const void *text, size_t bytes)
{
    pthread_mutex_lock(&lock);
    said_bytes = bytes < TEXT_NODE_BYTES_MAX ? bytes : TEXT_NODE_BYTES_MAX;
    memcpy(said, text, said_bytes);
    said[said_bytes] = '\0';
    pthread_mutex_unlock(&lock);
}
