// SPDX-License-Identifier: MIT
// The state of the server: its configuration, its counters, its connections. All of it is in static
// memory and belongs to the loop's thread.
#ifndef PINHOLE_NET_SERVER_STATE_H
#define PINHOLE_NET_SERVER_STATE_H

#include <sys/socket.h>
#include <sys/types.h>

#include "hal/base.h"
#include "hal/os/log.h"
#include "hal/os/loop.h"
#include "net/address.h"
#include "net/secret.h"
#include "net/server/budget.h"
#include "net/server/store.h"
#include "net/wire.h"

#define SERVER_CLIENTS_LIMIT 32u /**< most connections that any configuration may ask for */
#define SERVER_LISTENERS_MAX 2u  /**< one TCP, one Unix */
#define SERVER_REPLY_BYTES   32768u
/** All connections together may send requests at this many times the rate of one. */
#define SERVER_RATES_FOR_ALL 2u
#define SERVER_HANDSHAKE_NS                                                                        \
    (5 * NS_PER_S) /**< a connection must send something valid in this time */
#define SERVER_UPLINK_PAUSE_NS     (1 * NS_PER_S)
#define SERVER_UPLINK_PAUSE_MAX_NS (30 * NS_PER_S)
#define SERVER_TICK_NS             (50 * NS_PER_MS)
#define SERVER_SOCKET_LOOK_NS      (1 * NS_PER_S) /**< how often a Unix socket's file is looked for */
#define SERVER_FLUSH_BYTES         (256u * 1024u) /**< enough for one turn; a frame is not cut */

struct server;

/** What a server_request_fn may return beside an error code. */
#define SERVER_REQUEST_LATER (-1000)

/** Answers one request of `type` whose payload is `text` (0-terminated, writable, `bytes` long).
 * Returns the length of the reply written to `reply` (at most `reply_size`), or the negative of an
 * enum wire_error_code with a sentence (0-terminated) in `reply`. SERVER_REQUEST_LATER: `text` is
 * unchanged, and the same request is to come again in some milliseconds. */
typedef int server_request_fn(void *user, uint8_t type, char *text, size_t bytes, char *reply,
                              size_t reply_size, uint64_t now_ns);

struct server_config {
    uint32_t clients_max;      /**< 1..SERVER_CLIENTS_LIMIT */
    uint32_t frame_bytes_max;  /**< told in HELLO */
    uint64_t send_deadline_ns; /**< drop a client that takes no byte for this long */
    uint32_t command_rate;     /**< requests per second and connection; more are answered later */
    uint64_t boot_id;
    enum wire_role local;     /**< of peers on this host at first, see struct server_origin */
    enum wire_role anonymous; /**< of other peers at first */
    server_request_fn *request;
    void *user;
};

/** Counters since start. */
struct server_stats {
    uint64_t accepted, accept_failed, refused, replaced, dropped_slow, dropped_malformed,
        dropped_timeout, dropped_denied;
    uint64_t requests, records_sent, bytes_sent, frames_sent, frames_skipped, gaps;
    uint32_t clients, clients_used_max;
};

struct server_listener {
    int fd;
    loop_token token;
    bool is_paused;
    char path[108]; /**< of a Unix socket, to unlink; "" for TCP */
    dev_t device;   /**< of the file at `path` that this listener made ... */
    ino_t inode;
    uint64_t looked_ns;    /**< when it was last seen there */
    bool said_unreachable; /**< the file is gone and cannot be made again */
    struct server *server;
};

/** Where a peer is, as far as places are concerned. */
struct server_origin {
    bool is_local;       /**< on this host: loopback, a Unix socket, the uplink */
    uint8_t address[16]; /**< else its IPv6 network, or its IPv4 address mapped into IPv6 */
};

enum server_conn_state {
    SERVER_CONN_FREE,
    SERVER_CONN_OPEN,
    SERVER_CONN_CLOSING,
    SERVER_CONN_LINGERING
};

/** How far a subscriber has come. */
struct server_position {
    uint64_t cursor;        /**< next sequence wanted */
    uint64_t frames;        /**< in the log before the cursor; known while there is a baseline */
    uint64_t last_frame_id; /**< baseline of `skipped` */
    uint64_t last_timestamp_ns;
    bool has_baseline;
    bool must_announce_boot;
};

struct server_conn {
    struct server *server;
    enum server_conn_state state;
    int fd;
    loop_token token;
    /** Called when the connection has ended; NULL: nobody wants to know. */
    void (*on_end)(struct server *server, uint64_t now_ns);
    bool has_spoken; /**< a first valid message has come, from a peer with a role */
    enum wire_role role;
    uint8_t challenge[NET_CHALLENGE_BYTES]; /**< told in HELLO, for AUTH */
    bool is_input_paused;
    bool has_backlog; /**< more requests are buffered than one turn answers */
    char peer[64];
    struct server_origin origin;
    uint64_t accepted_ns;
    uint64_t heard_ns;    /**< the last valid message, before the first one: when it was accepted */
    uint64_t progress_ns; /**< when the peer last took a byte while there was something to take */
    int unsent_bytes;     /**< in the kernel at the last look (SIOCOUTQ) */
    uint64_t linger_until_ns;
    struct budget credit; /**< pacing of requests: one costs 1 s / rate */

    uint8_t received[WIRE_HEADER_BYTES + WIRE_REQUEST_BYTES_MAX + 1];
    uint32_t received_bytes;

    uint8_t reply[SERVER_REPLY_BYTES]; /**< one whole message; the next request waits for it */
    uint32_t reply_bytes, reply_sent;

    enum wire_policy policy;
    uint8_t filter;
    uint64_t interval_ns;
    struct server_position position;
    uint64_t frames_sent;

    struct server_position position_before; /**< where to go back to while no byte was sent */
    uint32_t begun_skipped, begun_gaps;     /**< to be counted with the first byte */
    struct store_record *record;    /**< being sent, referenced; NULL for a notice or nothing */
    uint8_t head[STORE_HEAD_BYTES]; /**< this subscriber's copy, with its own fields patched */
    uint32_t head_bytes;            /**< 0 = nothing is being sent */
    uint32_t sent_bytes;            /**< of head and JPEG */
    uint32_t block,
        block_index; /**< where sending goes on: block number and its place in the chain */
    bool wants_output;
};

/** A lookup of a name, in a helper process. */
struct server_resolver {
    struct loop *loop;
    pid_t pid; /**< of the helper; 0: none is left */
    int fd;    /**< its output; -1: it is not asked */
    loop_token token;
    char text[2048]; /**< its output, 0-terminated */
    size_t used;
    loop_timer_fn *done;
    void *user;
};

/** A connection that the node makes itself, for nodes that nobody can reach (behind NAT). */
struct server_uplink {
    struct net_address target;       /**< a name or a number */
    struct sockaddr_storage address; /**< where the last attempt went */
    socklen_t address_bytes;         /**< 0: a name that has not been looked up */
    struct server_resolver resolver;
    unsigned next_address; /**< a name with several addresses: which is next */
    char shown[64];        /**< the last address found, as logged */
    char name[NET_HOST_BYTES + 8];
    int timer; /**< next attempt, or the deadline of the one under way */
    int fd;    /**< connecting; -1 otherwise */
    loop_token token;
    struct server_conn *conn; /**< connected; NULL otherwise */
    uint64_t pause_ns; /**< before the next attempt; doubles up to SERVER_UPLINK_PAUSE_MAX_NS */
    struct net_secret secret; /**< what PROVE is answered with */
    bool said_unreachable;
    bool was_mute; /**< the last one who accepted hung up without a valid message */
};

struct server {
    struct loop *loop;
    struct store *store;
    struct server_config config;
    struct server_stats stats;
    struct server_listener listeners[SERVER_LISTENERS_MAX];
    unsigned listener_count;
    struct server_uplink uplink;
    struct net_secret view_key, control_key; /**< what AUTH takes; length 0: there is none */
    struct server_conn conns[SERVER_CLIENTS_LIMIT];
    char identity[512];   /**< HELLO's text */
    uint32_t clock_flags; /**< HELLO's flags */
    int tick_timer;
    unsigned flush_first;          /**< the connection that the next flush begins with */
    struct budget credit;          /**< pacing of all connections' requests together */
    unsigned tick_first;           /**< the connection that the next tick begins with */
    struct log_limit log_limit;    /**< of lines about connections */
    struct log_limit accept_limit; /**< of lines about accept(2) that failed */
};

#endif
