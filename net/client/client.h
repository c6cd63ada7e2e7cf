// SPDX-License-Identifier: MIT
// Inside libpinhole: what its files share. Users include net/client/pinhole.h.
//
// One handle owns one non-blocking socket. Everything that arrives goes through one receiver, which
// puts records into a queue and the awaited reply (HELLO, ERROR, answers) into `message`. The link
// is a state machine that any call moves on (client_advance); only client_poll() ever sleeps.
//
// `lock` guards the whole handle. Public functions hold it from client_enter() to client_leave().
// The thread that calls the user back holds it too, while it sleeps as well, and gives it up to
// call back and whenever somebody wakes it by asking for it.
#ifndef PINHOLE_NET_CLIENT_CLIENT_H
#define PINHOLE_NET_CLIENT_CLIENT_H

#include "hal/os/clock.h"
#include "net/client/pinhole.h"
#include "net/secret.h"
#include "net/wire.h"

#include <pthread.h>
#include <sys/socket.h>

#define CLIENT_ADDRESSES_MAX 8u
/** Head room for one FRAME's header and fields, so that a JPEG is read straight into its record. */
#define CLIENT_STAGE_BYTES 256u
/** What a hostile node can make us keep: no message, and no queue of records, is longer. */
#define CLIENT_RECORD_BYTES_MAX  (64u << 20)
#define CLIENT_QUEUE_BYTES_MAX   (64u << 20)
#define CLIENT_MESSAGE_BYTES_MAX (1u << 20)
#define CLIENT_EVENT_BYTES_MAX   (128u << 10)
/** What a node publishes at most after HELLO: so many records, and so many a second. */
#define CLIENT_RECORDS_AHEAD 4096u
#define CLIENT_RECORDS_PER_S 20000u
/** Fewer bytes of a message than this in silence_timeout_ms are silence. */
#define CLIENT_PROGRESS_BYTES 1024u
/** Reads that a call may still do when its time is up: what has come in time must be taken, and who
 * polls pinhole_fd() needs the socket read empty, but a node that never stops sending must not hold
 * the caller for ever. */
#define CLIENT_LATE_READS 1024u

enum client_state {
    CLIENT_BROKEN,     /**< no link, and none will be made */
    CLIENT_WAITING,    /**< until `state_until_ns`, then the next try */
    CLIENT_LOOKING_UP, /**< `lookup` is under way; it is waited for until `state_until_ns` */
    CLIENT_CONNECTING, /**< connect() is under way, at most until `state_until_ns` */
    CLIENT_GREETING,   /**< connected; HELLO must come until `state_until_ns` */
    CLIENT_PROVING,    /**< AUTH was sent; its answer must come until `state_until_ns` */
    CLIENT_UP,
};

struct client_list;

struct client_record {
    struct pinhole_record shown; /**< first member: what the user holds */
    struct client_record *previous, *next;
    struct client_list *list; /**< the one it is in; NULL while it is being received */
    uint8_t *message;         /**< header and payload */
    uint8_t *bytes;           /**< the payload */
    size_t length, capacity;
};

/** Doubly linked; `bytes` sums what its records occupy. */
struct client_list {
    struct client_record *first, *last;
    size_t count, bytes;
};

struct client_address {
    bool is_numeric; /**< looking it up again cannot change it */
    unsigned count, current;
    struct {
        struct sockaddr_storage address;
        socklen_t length;
    } list[CLIENT_ADDRESSES_MAX];
};

/** What an address as text turned out to be. */
struct client_found {
    int error;     /**< negative errno */
    char why[256]; /**< then: a sentence */
    struct client_address address;
};

/** Finds the node called `id` and its address; blocks. -ENODEV none, -ENOTUNIQ several: the
 * sentence is in out->why. */
typedef int client_finder(const char *id, char *address, size_t address_size,
                          struct client_found *out);
#define CLIENT_ID_PREFIX "id:"

struct client_lookup;

struct client_receiver {
    uint8_t stage[CLIENT_STAGE_BYTES]; /**< bytes read ahead of their meaning */
    size_t stage_at, stage_end;
    bool is_in_body;
    struct wire_header header;
    uint8_t *body; /**< where the payload goes; NULL: it is skipped */
    size_t body_at;
    struct client_record *record; /**< being received */
};

/** The subscriber's position in the node's log. */
struct client_position {
    uint64_t boot_id;
    uint64_t expected; /**< sequence after the last one received; 0 = not known */
    uint64_t floor;    /**< records up to here were received over an earlier link */
    uint64_t last_frame_sequence;
    uint64_t told;                  /**< records since that frame which came or were in a GAP */
    uint64_t lost_first, lost_last; /**< what the next frame will say is missing before it */
    bool is_exact;                  /**< every record is wanted: a hole is a loss */
    bool is_resumed;                /**< no frame has come since the link was made again */
};

/** The thread that calls the user back. */
struct client_acquirer {
    pthread_t thread;
    bool has_thread;
    bool is_on;              /**< records go to the callback */
    bool is_calling;         /**< the callback runs, `lock` is free */
    uint64_t calls;          /**< of the callback, begun */
    bool is_closing;         /**< the thread is to end ... */
    bool should_free_itself; /**< ... and to free the handle, which was closed in the callback */
    int wake_fd;             /**< an eventfd; -1 before the first start */
    pthread_cond_t moved;    /**< one of the above has changed */
    pinhole_callback callback;
    void *user;
};

struct pinhole {
    pthread_mutex_t turn; /**< who waits for `lock`; makes it fair */
    pthread_mutex_t lock;
    struct client_acquirer acquirer;
    char shown_error[320];      /**< of the last call that failed */
    pthread_mutex_t error_lock; /**< guards shown_error alone, held for the copy */

    struct pinhole_options options;
    struct pinhole_info info;
    char address[256], name[128], model[128], version[64];
    char error[320];

    enum client_state state;
    uint64_t state_until_ns;
    uint64_t up_since_ns;
    uint64_t heard_ns;  /**< the last progress: a message, or enough of a long one */
    size_t heard_bytes; /**< since then */
    uint64_t asked_ns;  /**< when the silent node was sent PING; 0: it was not, since then */
    bool is_sending;    /**< a message is on its way in part: nothing may be sent between */
    unsigned attempts;  /**< tries since the link was last good; sets the back-off */
    bool was_opened;    /**< pinhole_open() has succeeded: from now on a broken link is mended */
    int broken_error;   /**< CLIENT_BROKEN: what calls return */
    int fd;
    struct client_address peer;
    client_finder *find_id;       /**< for "id:" addresses */
    struct client_lookup *lookup; /**< NULL: none is under way */
    struct wire_hello hello;      /**< the last HELLO */
    bool is_greeted;              /**< it came just now; the link is not up yet */
    struct net_secret key;        /**< for AUTH; length 0: none */
    uint8_t nonce[NET_CHALLENGE_BYTES];
    bool is_proved;        /**< the answer to AUTH came just now, and is good */
    uint64_t try_until_ns; /**< the time for looking up, all addresses and the greeting */

    struct client_receiver receiver;
    uint8_t *message; /**< HELLO, ERROR and replies; 0-terminated */
    size_t message_length, message_capacity;
    char close_reason[192]; /**< the ERROR with which the node announced to close */

    uint32_t tag;         /**< last used */
    uint32_t awaited_tag; /**< 0 = none */
    uint32_t resume_tag;  /**< of the SUBSCRIBE sent after a reconnect */
    bool is_answered;
    uint16_t answer_error; /**< WIRE_ERROR_*, 0 = a reply */

    struct pinhole_subscription wish; /**< policy 0 = none */
    struct client_position position;
    bool is_paused;         /**< the node was told to hold the flow of the wish */
    unsigned frames_queued; /**< frames in `queue` */
    struct client_list queue, borrowed, called, free; /**< called: given to the callback */

    char *features; /**< the last list, as text; NULL = none */
    bool are_features_fresh;
};

/** The moment timeout_ms from now; NS_NEVER when negative. */
uint64_t client_deadline_ns(int timeout_ms);
/** Keeps a sentence for pinhole_error() and returns -error. */
int client_fail(struct pinhole *p, int error, const char *format, ...) BASE_PRINTF(3, 4);
/** Replaces control characters of a text from the node by spaces: they could drive a terminal or
 * forge a line of a log. */
void client_clean(char *text, bool keeps_lines);
/** Copies a struct of the caller's size into ours. -EINVAL: no size; -E2BIG: members we lack. */
int client_copy_sized(void *out, size_t out_size, const void *in, size_t in_size);

/** Begins and ends a public function; leave() keeps the sentence of a failure and returns `result`.
 */
void client_enter(struct pinhole *p);
int client_leave(struct pinhole *p, int result);
/** Makes the acquiring thread give up `lock` or look at what has changed. */
void client_wake(struct pinhole *p);
/** Frees a handle whose thread has ended. */
void client_free(struct pinhole *p);

/** Waits until the link that was begun is up. 0 or negative errno. */
int client_wait_up(struct pinhole *p);
/** A handle without a link. *out as pinhole_open() leaves it. */
int client_make(struct pinhole **out, const struct pinhole_options *options);
/** pinhole_open() with the caller's finder; NULL: "id:" addresses fail. */
int client_open(struct pinhole **out, const char *address, const struct pinhole_options *options,
                client_finder *find_id);

/** Turns `text` into socket addresses. 0, or a negative errno with the sentence in out->why. 1:
 * it has to be looked up: a name unless it `may_block`, an "id:" always. */
int client_resolve(const char *text, bool may_block, struct client_found *out);
/** Keeps the sentence and returns out->error, which is -error. */
int client_not_found(struct client_found *out, int error, const char *format, ...)
    BASE_PRINTF(3, 4);
/** Begins to look p->address up in a thread, unless that is under way. 0 or -errno. */
int client_lookup_start(struct pinhole *p);
/** Readable when it is done. */
int client_lookup_fd(const struct pinhole *p);
/** Takes what was found and ends the lookup; false: it is not done yet. */
bool client_lookup_take(struct pinhole *p, struct client_found *out);
/** Waits no longer, if it did. */
void client_lookup_drop(struct pinhole *p);
/** Starts a thread that nobody waits for, with signals blocked. 0 or -errno. */
int client_start_detached(void *(*function)(void *), void *argument);

/** Moves the link and the receiver on without sleeping. 1: something was done, call again. 0:
 * nothing to do now (or, unless `may_read`, nothing without reading the socket). -errno: no link
 * and none will be made. */
int client_advance(struct pinhole *p, bool may_read);
/** Sleeps until there is something to do or the deadline has passed. */
void client_poll(struct pinhole *p, uint64_t deadline_ns, bool is_sending);
/** The same without a deadline, for the acquiring thread: client_wake() ends it. */
void client_poll_or_wake(struct pinhole *p);
/** Settings of a socket that leads to a node. */
void client_link_tune(int fd);
/** Starts the first connection. */
void client_link_start(struct pinhole *p);
/** Closes the link, tells the user (event or error), and plans the next try. Returns -error. */
int client_link_down(struct pinhole *p, int error, const char *format, ...) BASE_PRINTF(3, 4);
/** Uses an already connected socket (tests). */
void client_link_adopt(struct pinhole *p, int fd);
/** Frees fd and whatever was half received. */
void client_link_close(struct pinhole *p);

/** Reads options.key_file. 0 or -errno. */
int client_auth_read_key(struct pinhole *p);
/** Makes AUTH for a link that has just been greeted. 0, or -errno with the sentence. */
int client_auth_make(struct pinhole *p, uint8_t payload[WIRE_AUTH_BYTES]);
/** The answer to AUTH is in p->message: 1 when the node has proved that it knows the key, or -errno
 * with the sentence. */
int client_auth_end(struct pinhole *p);
/** The node does not know AUTH: -ENOSYS with the sentence. */
int client_auth_too_old(struct pinhole *p);
/** A claim of or to this node. */
struct net_claim client_claim(const struct pinhole *p, const char *text, const uint8_t *challenge,
                              const uint8_t *another);

/** Notes that the node makes progress. */
void client_heard(struct pinhole *p);
/** One step of receiving: takes a message apart or reads once. 1: something was done. 0: nothing to
 * do. -errno: the link cannot go on; the sentence is in p->error. */
int client_receive(struct pinhole *p, bool may_read);
/** Writes one whole message to `out` (WIRE_HEADER_BYTES more than `bytes`). Returns its length. */
size_t client_message_put(uint8_t *out, uint8_t type, uint32_t tag, const void *payload,
                          size_t bytes);
/** Sends what the socket takes now. Returns how many bytes, 0 when it is full, or -errno. */
ssize_t client_stream_send(struct pinhole *p, const uint8_t *message, size_t bytes);

/** How long a payload of this kind may be and where it goes: sets receiver.record or .body (both
 * NULL: skip it). -errno when the header is not acceptable now. */
int client_message_begin(struct pinhole *p);
/** The payload is complete. Returns 1, or -errno when the link cannot go on. */
int client_message_end(struct pinhole *p);

/** Sends one message, receiving meanwhile if the socket is full. */
int client_send(struct pinhole *p, uint8_t type, uint32_t tag, const void *payload, size_t bytes,
                uint64_t deadline_ns);
/** Sends a request and waits for its answer, which is then in p->message. 0 or -errno. */
int client_request(struct pinhole *p, uint8_t type, const void *payload, size_t bytes);
/** Receives what has arrived already, within bounds. */
void client_drain(struct pinhole *p);
/** Takes FEATURES text apart into elements of `each_bytes`. Returns how many there are (may exceed
 * max). */
int client_features_parse(const char *text, void *out, size_t each_bytes, int max);
/** Copies a struct of ours into one of the caller's size: cut, or filled up with 0. */
void client_copy_out(void *out, size_t out_bytes, const void *in, size_t in_bytes);
/** The bodies of pinhole_get() and so on, for callers that hold the lock. */
int client_feature(struct pinhole *p, const char *name, struct pinhole_feature *out);
int client_get(struct pinhole *p, const char *name, char *value, size_t value_size);
int client_set(struct pinhole *p, const char *name, const char *value);
int client_trigger(struct pinhole *p, uint64_t *id);
/** The errno for an ERROR code. */
int client_errno_of(unsigned code);
/** A tag never 0. */
uint32_t client_next_tag(struct pinhole *p);

/** A record with room for `bytes` of payload, from the free list if one is there; NULL: no memory.
 */
struct client_record *client_record_take(struct pinhole *p, size_t bytes);
/** Back to the free list (a surplus is freed). In no list before. */
void client_record_give(struct pinhole *p, struct client_record *record);
void client_list_append(struct client_list *list, struct client_record *record);
void client_list_remove(struct client_record *record);
void client_list_free(struct client_list *list);
/** Fills `shown` from the payload. -EBADMSG when it is not what the protocol says. */
int client_record_decode(struct pinhole *p, struct client_record *record,
                         const struct wire_header *header);
/** Queues an event of the library's own. */
int client_event_add(struct pinhole *p, enum pinhole_event_kind kind, uint64_t first, uint64_t last,
                     const char *text);
/** Drops queued records that came from the node. */
void client_queue_drop_records(struct pinhole *p);
/** Queues a frame; the oldest go when there are more than the strategy keeps. */
void client_queue_add_frame(struct pinhole *p, struct client_record *record);
/** Checks and completes what the user wishes. */
int client_wish_take(struct pinhole *p, const struct pinhole_subscription *wish,
                     struct pinhole_subscription *out);
/** Makes this the subscription. */
int client_subscribe(struct pinhole *p, const struct pinhole_subscription *wish);
/** Ends the flow, without waiting for a link that is down. */
int client_unsubscribe(struct pinhole *p);
/** The next record to hand out, moved to `to`. As pinhole_next(). */
int client_next(struct pinhole *p, uint64_t deadline_ns, struct client_list *to,
                struct client_record **out);

/** Starts a position for a new subscription that the node begins at `start`; 0 = it did not say. */
void client_position_start(struct pinhole *p, uint64_t start);
/** Notes that the link was made again. */
void client_position_resume(struct pinhole *p);
/** Gives a position up that is beyond the end of the node's log in HELLO. True: it was, and the
 * flow begins with the oldest record, or the newest frame. */
bool client_position_restart(struct pinhole *p);
/** Checks a received record against the position and queues it, after a GAP event if records are
 * missing before it. -EPROTO: the node cannot have published it since HELLO. -ENOMEM. */
int client_position_accept(struct pinhole *p, struct client_record *record);
/** SUBSCRIBE for the wish: from its start, or from the position. */
struct wire_subscribe client_position_subscribe(const struct pinhole *p, bool is_resuming);

/** The finder that pinhole_open() uses: asks the nodes that pinhole_enumerate() finds. */
client_finder client_find_id;
/** Browses DNS-SD and calls found() for each address until timeout_ms is over. Without Avahi it
 * returns at once. */
void client_browse(int timeout_ms, void (*found)(void *user, const char *address), void *user);

#endif
