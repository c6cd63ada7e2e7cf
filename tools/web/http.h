// SPDX-License-Identifier: MIT
// HTTP: the daemon, its connections and their limits.
//
// Limits: max_clients connections are served, max_clients_of_one of them from one address. A
// connection that does not complete its request within WEB_REQUEST_DEADLINE_S (WEB_BUSY_DEADLINE_S
// while all places are taken) is closed. So is a client that takes no byte of its answer for
// WEB_SEND_DEADLINE_S.
#ifndef PINHOLE_TOOLS_WEB_HTTP_H
#define PINHOLE_TOOLS_WEB_HTTP_H

#include "tools/web/sleep.h"

#include <stdbool.h>
#include <stdint.h>

#define WEB_REQUEST_DEADLINE_S 10u
#define WEB_BUSY_DEADLINE_S    2u
#define WEB_SEND_DEADLINE_S    10u
#define WEB_BODY_BYTES_MAX     4096u

struct web;
struct web_connection;
struct web_options;
struct web_stream;

/** Guarded by the gateway's lock. */
struct web_http {
    struct MHD_Daemon *daemon; /**< constant */
    struct web_sleepers sleepers;
    struct web_connection *connections;
    struct web_stream *streams;
    unsigned connection_count, stream_count;
    unsigned place_count; /**< connections that have a place */
    uint64_t requests[6]; /**< answers, by hundreds of their status */
    uint64_t accepted, refused_full, closed_idle, closed_slow;
    uint64_t stream_frames, stream_repeated, stream_skipped, stream_at_once;
};

/** Opens the listening socket of "ADDR:PORT", "[V6]:PORT" or ":PORT". The descriptor, with the
 * address as a URL in `url`, or -1 with a sentence in `why`. */
int web_listen(const char *address, const char *scheme, char *url, size_t url_size, char *why,
               size_t why_size);
/** The port of that socket. */
unsigned web_listen_port(int socket);
/** Can only this host reach that socket? */
bool web_listen_is_loopback(int socket);
/** How many connections there may be at a time. */
unsigned web_http_connections_max(const struct web_options *options);
/** Starts serving on that socket, which is the daemon's from now on. 0 or -1. */
int web_http_start(struct web *web, int socket);
/** Closes connections that are over their deadline. The lock is held. */
void web_http_reap(struct web *web, uint64_t now_ns);
/** Ends all connections and the daemon. The lock is not held; `is_stopping` is set. */
void web_http_stop(struct web *web);

#endif
