// SPDX-License-Identifier: MIT
// Store, loop and server in the test's own process, with clients on real sockets. Nothing runs by
// itself: the test publishes, turns the loop and reads.
#ifndef PINHOLE_TEST_SUPPORT_SERVER_BENCH_H
#define PINHOLE_TEST_SUPPORT_SERVER_BENCH_H

#include "net/server/server.h"

#define BENCH_BOOT_ID 0xB007

struct bench {
    struct loop loop;
    struct store store;
    struct server server;
    void *memory;
    size_t bytes;
    unsigned port;
    uint64_t now_ns;   /**< of the last turn */
    unsigned triggers; /**< TRIGGER requests that reached the application */
    unsigned asked;    /**< FEATURES requests that did */
    bool is_busy;      /**< FEATURES is to be asked again later */
    char path[108];    /**< of the Unix socket; "" none */
};

/** Store with so many blocks, server on an ephemeral loopback port (and on `path` when it is not
 * NULL). Zeros in `wish` become defaults. What goes wrong in any function fails the test case. */
void bench_open(struct bench *bench, uint32_t blocks, const struct server_config *wish,
                const char *path);
void bench_close(struct bench *bench);
/** One turn of the loop without waiting, then one flush. */
void bench_turn(struct bench *bench);
/** Some turns: all that can be done without the clients reading or time passing. */
void bench_settle(struct bench *bench);
/** Descriptors that the loop watches. */
unsigned bench_watched_fds(const struct bench *bench);
/** A frame whose JPEG is `bytes` long, filled from its frame_id. Its time is frame_id x 10 ms. */
uint64_t bench_publish(struct bench *bench, uint32_t bytes, uint64_t trigger_id);
uint64_t bench_publish_event(struct bench *bench, const char *text);

struct bench_client {
    struct bench *bench;
    int fd;
    uint8_t *data; /**< read, not yet taken */
    size_t used, size;
};

struct bench_message {
    struct wire_header header;
    struct wire_frame frame; /**< type FRAME; `jpeg_bytes` follow and were checked */
    uint32_t jpeg_bytes;
    struct wire_event event; /**< type EVENT */
    struct wire_error error; /**< type ERROR */
    struct wire_hello hello; /**< type HELLO */
    char text[8192];         /**< variable part of all but FRAME, 0-terminated */
    size_t text_bytes;
};

/** Connects; `receive_buffer` 0 leaves the kernel's. HELLO is read by bench_greet(). */
void bench_connect(struct bench *bench, struct bench_client *client, int receive_buffer);
void bench_connect_unix(struct bench *bench, struct bench_client *client);
/** The socket address of a numeric IP address. */
struct sockaddr_storage bench_address(const char *text);
/** A connection that says it comes from this IP address, or from an uplink if that is NULL. The
 * address is made up, the socket is real. */
void bench_connect_from(struct bench *bench, struct bench_client *client, const char *address);
/** Connects and takes HELLO. */
void bench_greet(struct bench *bench, struct bench_client *client, int receive_buffer);
void bench_hang_up(struct bench_client *client);

void bench_send_raw(struct bench_client *client, const void *bytes, size_t count);
void bench_send(struct bench_client *client, uint8_t type, uint32_t tag, const void *payload,
                size_t bytes);
/** Sends SUBSCRIBE and takes the reply. */
void bench_subscribe(struct bench_client *client, const struct wire_subscribe *wish);
void bench_send_subscribe(struct bench_client *client, uint32_t tag,
                          const struct wire_subscribe *wish);

/** Reads up to `most` bytes that are there. Returns how many; -1 at the end of the stream. */
ssize_t bench_read(struct bench_client *client, size_t most);
/** Takes a message out of what was read. False when there is none whole. */
bool bench_take(struct bench_client *client, struct bench_message *message);
/** Turns and reads until a message is there, which must be of this type. */
void bench_expect(struct bench_client *client, uint8_t type, struct bench_message *message);
/** A frame with this frame_id comes next. */
void bench_expect_frame(struct bench_client *client, uint64_t frame_id, uint32_t skipped);
void bench_expect_error(struct bench_client *client, unsigned code, uint32_t tag, bool is_closing);
/** Nothing comes. */
void bench_expect_nothing(struct bench_client *client);
/** The node closes. */
void bench_expect_end(struct bench_client *client);

#endif
