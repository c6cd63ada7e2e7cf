// SPDX-License-Identifier: MIT
// The wire codec: pure functions between bytes and structs, shared by node, clients and tests.
// No I/O, no allocation, any alignment, any thread. net/SPEC.md is the law; this file follows it.
#ifndef PINHOLE_NET_WIRE_H
#define PINHOLE_NET_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC        UINT32_C(0x484E4950) /**< "PINH" as the first four bytes on the wire */
#define WIRE_VERSION      1
#define WIRE_HEADER_BYTES 16
#define WIRE_DEFAULT_PORT 7447
/** The most payload a node accepts in one message from a client. */
#define WIRE_REQUEST_BYTES_MAX 4096

/** Message types. */
enum wire_type {
    WIRE_TYPE_HELLO = 1,
    WIRE_TYPE_SUBSCRIBE = 2,
    WIRE_TYPE_FRAME = 3,
    WIRE_TYPE_EVENT = 4,
    WIRE_TYPE_FEATURES = 5,
    WIRE_TYPE_GET = 6,
    WIRE_TYPE_SET = 7,
    WIRE_TYPE_TRIGGER = 8,
    WIRE_TYPE_STATS = 9,
    WIRE_TYPE_PING = 10,
    WIRE_TYPE_ERROR = 11,
    WIRE_TYPE_PROVE = 12,
    WIRE_TYPE_AUTH = 13,
};

/** What a connection may do; each role may do what those before it may. */
enum wire_role {
    WIRE_ROLE_UNKNOWN = 0, /**< in HELLO: the node is older than roles */
    WIRE_ROLE_NONE = 1,    /**< PING, and AUTH for more */
    WIRE_ROLE_VIEW = 2,    /**< records and every request that changes nothing */
    WIRE_ROLE_CONTROL = 3, /**< SET and TRIGGER */
};
/** AUTH: the client's nonce, then its proof; the reply is the role, padding, then the node's proof.
 */
enum {
    WIRE_AUTH_PROOF_AT = 32,
    WIRE_AUTH_BYTES = 64,
    WIRE_AUTH_REPLY_PROOF_AT = 8,
    WIRE_AUTH_REPLY_BYTES = 40,
};

/** Header flags. */
enum { WIRE_FLAG_REPLY = 1u << 0 };

enum wire_policy { WIRE_POLICY_NONE = 0, WIRE_POLICY_LATEST = 1, WIRE_POLICY_EVERY = 2 };
/** SUBSCRIBE filter bits. */
enum { WIRE_FILTER_TRIGGERED_ONLY = 1u << 0, WIRE_FILTER_NO_EVENTS = 1u << 1 };
/** SUBSCRIBE from_sequence values with a meaning of their own. */
#define WIRE_FROM_NEWEST UINT64_C(0) /**< the newest retained frame, then what follows */
#define WIRE_FROM_NEXT   UINT64_MAX  /**< only what is published from now on */

/** FRAME flags. */
enum {
    WIRE_FRAME_CLOCK_SYNCHRONIZED = 1u << 0, /**< realtime_ns comes from a disciplined clock */
    WIRE_FRAME_TORN = 1u << 1,               /**< the sensor reported an error in this frame */
    WIRE_FRAME_NO_SENSOR_CLOCK = 1u << 2,    /**< timestamp_ns is the time of arrival */
    WIRE_FRAME_RESTARTED = 1u << 3,          /**< first frame after the stream (re)started */
    WIRE_FRAME_STROBE_COVERED = 1u << 4,     /**< the strobe pulse covered the exposure */
    WIRE_FRAME_STROBE_MISSED = 1u << 5,      /**< there was a strobe and it did not */
};

enum wire_event_kind {
    WIRE_EVENT_GAP = 1,     /**< records first..last were evicted before this subscriber got them */
    WIRE_EVENT_TRIGGER = 2, /**< triggers first..last have no image; `outcome` says why */
    WIRE_EVENT_CAMERA = 3,  /**< the camera's state changed to `camera_state` */
    WIRE_EVENT_FEATURES = 4,   /**< features changed; the text has their `Name=value` lines */
    WIRE_EVENT_FRAME_LOST = 5, /**< an acquired frame could not be delivered; the text says why */
    WIRE_EVENT_BOOT = 6, /**< to a subscriber that named another boot_id: the node has restarted */
};

enum wire_trigger_source {
    WIRE_SOURCE_NONE = 0,
    WIRE_SOURCE_SOFTWARE = 1,
    WIRE_SOURCE_TIMER = 2,
    WIRE_SOURCE_LINE = 3,
};

enum wire_outcome {
    WIRE_OUTCOME_NONE = 0,
    WIRE_OUTCOME_MATCHED = 1,
    WIRE_OUTCOME_MISSED = 2,
    WIRE_OUTCOME_OVERRUN = 3,
    WIRE_OUTCOME_FAILED = 4,
};

enum wire_camera_state {
    WIRE_CAMERA_ABSENT = 0, /**< not there (yet); being looked for */
    WIRE_CAMERA_STREAMING = 1,
    WIRE_CAMERA_STALLED = 2,      /**< no frame in time; the stream is being restarted */
    WIRE_CAMERA_RECONFIGURED = 3, /**< size or format changed by a client; streams again */
};

enum wire_error_code {
    WIRE_ERROR_MALFORMED = 1, /**< closes */
    WIRE_ERROR_VERSION = 2,   /**< closes */
    WIRE_ERROR_TOO_LARGE = 3, /**< closes */
    WIRE_ERROR_FULL = 4,      /**< clients_max reached; closes */
    WIRE_ERROR_TIMEOUT = 5,   /**< no valid message in time; closes */
    WIRE_ERROR_UNKNOWN_TYPE = 6,
    WIRE_ERROR_UNKNOWN_FEATURE = 7,
    WIRE_ERROR_READ_ONLY = 8,
    WIRE_ERROR_BAD_VALUE = 9,
    WIRE_ERROR_UNAVAILABLE = 10, /**< understood, but not now (no camera, trigger mode off) */
    WIRE_ERROR_SLOW = 11,        /**< send deadline passed; closes (best effort) */
    WIRE_ERROR_DENIED = 12,      /**< above the connection's role; closes after a wrong proof */
};
/** ERROR flags. */
enum { WIRE_ERROR_CLOSING = 1u << 0 };

struct wire_header {
    uint8_t version;
    uint8_t type;
    uint16_t flags;
    uint32_t length; /**< payload bytes that follow */
    uint32_t tag;    /**< chosen by the requester, echoed in the reply; 0 in unasked messages */
};

typedef uint8_t wire_u8;
typedef uint16_t wire_u16;
typedef uint32_t wire_u32;
typedef uint64_t wire_u64;
typedef int16_t wire_i16;
typedef int64_t wire_i64;
typedef uint8_t wire_b7[7];
typedef uint8_t wire_b32[32];

#define WIRE_MEMBER(offset, type, name) wire_##type name;
struct wire_hello {
#define WIRE_HELLO WIRE_MEMBER
#include "net/wire.def"
#undef WIRE_HELLO
};
struct wire_subscribe {
#define WIRE_SUBSCRIBE WIRE_MEMBER
#include "net/wire.def"
#undef WIRE_SUBSCRIBE
};
struct wire_frame {
#define WIRE_FRAME WIRE_MEMBER
#include "net/wire.def"
#undef WIRE_FRAME
};
struct wire_event {
#define WIRE_EVENT WIRE_MEMBER
#include "net/wire.def"
#undef WIRE_EVENT
};
struct wire_error {
#define WIRE_ERROR WIRE_MEMBER
#include "net/wire.def"
#undef WIRE_ERROR
};

/** Where the two per-subscriber fields of FRAME stand in its payload. */
#define WIRE_FRAME_QUEUED_US_AT 96
#define WIRE_FRAME_SKIPPED_AT   100

/** Writes 16 bytes. */
void wire_put_header(uint8_t *out, const struct wire_header *header);
/** Reads 16 bytes. 0; -EBADMSG wrong magic; -EPROTONOSUPPORT version 0 or above WIRE_VERSION
 * (the fields are filled in all the same). */
int wire_get_header(const uint8_t *in, struct wire_header *header);

/** Each writes the fixed part of a payload (WIRE_x_FIXED bytes, `fixed_bytes` set to that whatever
 * the struct says) and returns its length. The variable part follows it. */
size_t wire_put_hello(uint8_t *out, const struct wire_hello *hello);
size_t wire_put_subscribe(uint8_t *out, const struct wire_subscribe *subscribe);
size_t wire_put_frame(uint8_t *out, const struct wire_frame *frame);
size_t wire_put_event(uint8_t *out, const struct wire_event *event);
size_t wire_put_error(uint8_t *out, const struct wire_error *error);

/** Each reads the fixed part of a payload of `bytes` bytes. Returns the offset of the variable part
 * (the sender's fixed_bytes), or -EBADMSG when the payload is shorter than it says or fixed_bytes
 * is below 2. Fields that the sender does not know are 0; after -EBADMSG all of them are. */
int wire_get_hello(const uint8_t *in, size_t bytes, struct wire_hello *hello);
int wire_get_subscribe(const uint8_t *in, size_t bytes, struct wire_subscribe *subscribe);
int wire_get_frame(const uint8_t *in, size_t bytes, struct wire_frame *frame);
int wire_get_event(const uint8_t *in, size_t bytes, struct wire_event *event);
int wire_get_error(const uint8_t *in, size_t bytes, struct wire_error *error);

/** Little-endian stores and loads, for the few places that patch one field. */
void wire_store_u32(uint8_t *out, uint32_t value);
void wire_store_u64(uint8_t *out, uint64_t value);
uint32_t wire_load_u32(const uint8_t *in);
uint64_t wire_load_u64(const uint8_t *in);

/** Names for people, logs and metrics: "MATCHED", "Software", "GAP" ... ; "?" when unknown. */
const char *wire_outcome_name(unsigned outcome);
const char *wire_source_name(unsigned source);
const char *wire_event_name(unsigned kind);
const char *wire_camera_state_name(unsigned state);
const char *wire_error_name(unsigned code);
/** "SUBSCRIBE", "none" ... */
const char *wire_type_name(unsigned type);
const char *wire_role_name(unsigned role);

#endif
