// SPDX-License-Identifier: MIT
// libpinhole: the client side of a Pinhole node, in C. Link with `pkg-config --libs pinhole`.
//
// One handle is one connection to one node. A handle belongs to one thread at a time; different
// handles are independent. Functions return 0 or a count on success and a negative errno on
// failure; pinhole_error() then has a sentence that names what was wrong and where. Nothing here
// prints, exits, installs signal handlers or raises SIGPIPE. Strings are UTF-8.
//
//     struct pinhole *camera;
//     struct pinhole_record *record;
//     if (pinhole_open(&camera, "192.168.0.20", NULL) < 0) ...
//     pinhole_subscribe(camera, NULL);
//     while (pinhole_next(camera, 1000, &record) > 0) {
//         if (record->kind == PINHOLE_FRAME)
//             use(record->frame.jpeg, record->frame.jpeg_bytes);
//         pinhole_release(camera, record);
//     }
//     pinhole_close(camera);
#ifndef PINHOLE_H
#define PINHOLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PINHOLE_API __attribute__((visibility("default")))

struct pinhole; /**< opaque; made by pinhole_open(), freed by pinhole_close() */

/** How to connect. Zero in a member means its default; a NULL pointer means all defaults. */
struct pinhole_options {
    size_t size;            /**< sizeof(struct pinhole_options), so that members can be added */
    int connect_timeout_ms; /**< default 3000 */
    int request_timeout_ms; /**< default 3000: how long a reply may take */
    int reconnect; /**< 0: default, reconnect and resume by itself; -1: a broken link is an error */
    size_t records_max; /**< records borrowed at a time before pinhole_next() refuses; default 8 */
};

/** What the node said of itself when the connection was made. Strings live until pinhole_close().
 */
struct pinhole_info {
    uint64_t boot_id;                        /**< changes when the node restarts */
    uint64_t sequence_oldest, sequence_next; /**< its log: retained from, and the next to come */
    uint32_t frame_bytes_max;                /**< no JPEG is larger */
    const char *name;                        /**< DeviceUserID */
    const char *model;                       /**< DeviceModelName: the camera */
    const char *version;                     /**< DeviceFirmwareVersion: the node's software */
    const char *address;                     /**< as given to pinhole_open() */
};

enum pinhole_policy {
    PINHOLE_LATEST = 1, /**< after a frame, the newest: fresh pictures, never a backlog */
    PINHOLE_EVERY = 2,  /**< each retained record in order; what is gone comes as a GAP event */
};

struct pinhole_subscription {
    size_t size;                /**< sizeof(struct pinhole_subscription) */
    enum pinhole_policy policy; /**< default PINHOLE_LATEST */
    int triggered_only;         /**< only frames that answer a trigger */
    int no_events;              /**< none of the log's; GAP, BOOT and the link's own still come */
    uint32_t interval_us;       /**< least distance of capture times; 0 = every frame */
    uint64_t from_sequence;     /**< 0: the newest retained frame on; UINT64_MAX: from now on */
    uint64_t boot_id;           /**< which boot from_sequence belongs to; 0 = this one */
};

enum pinhole_record_kind { PINHOLE_FRAME = 1, PINHOLE_EVENT = 2 };

/** One JPEG and all that is known of it. Units and meaning: net/SPEC.md, FRAME. */
struct pinhole_frame {
    const uint8_t *jpeg; /**< valid until pinhole_release() */
    size_t jpeg_bytes;
    uint64_t boot_id, sequence, frame_id;
    uint32_t sensor_sequence;
    uint16_t width, height;
    uint8_t quality; /**< 1..100; 0 = the camera's own JPEG */
    uint32_t flags;  /**< PINHOLE_FRAME_* */
    uint64_t timestamp_ns, realtime_ns;
    uint32_t exposure_us, gain_milli, digital_gain_milli, frame_duration_us;
    uint32_t colour_temperature_k, lux_milli, lens_position_milli;
    uint32_t acquired_us, encode_start_us, encoded_us, queued_us; /**< since timestamp_ns */
    uint32_t skipped;    /**< frames the node skipped for this subscriber since the last one */
    uint64_t trigger_id; /**< 0 = none */
    uint64_t edge_ns;
    int64_t exposure_delta_ns; /**< start of exposure minus edge */
    uint8_t trigger_source, encodes;
    int16_t burst_index;
    uint64_t received_ns; /**< this host's CLOCK_MONOTONIC when the last byte arrived */
};

enum { /* pinhole_frame.flags */
       PINHOLE_FRAME_CLOCK_SYNCHRONIZED = 1 << 0,
       PINHOLE_FRAME_TORN = 1 << 1,
       PINHOLE_FRAME_NO_SENSOR_CLOCK = 1 << 2,
       PINHOLE_FRAME_RESTARTED = 1 << 3,
       PINHOLE_FRAME_STROBE_COVERED = 1 << 4,
       PINHOLE_FRAME_STROBE_MISSED = 1 << 5,
};

enum pinhole_event_kind {
    PINHOLE_EVENT_GAP = 1,      /**< records first..last are lost to this subscriber */
    PINHOLE_EVENT_TRIGGER = 2,  /**< triggers first..last have no image; see outcome */
    PINHOLE_EVENT_CAMERA = 3,   /**< camera_state changed */
    PINHOLE_EVENT_FEATURES = 4, /**< features changed; text has Name=value lines */
    PINHOLE_EVENT_FRAME_LOST = 5,
    PINHOLE_EVENT_BOOT = 6, /**< the node has restarted; its log starts anew */
    /* from the library itself, never on the wire: */
    PINHOLE_EVENT_DISCONNECTED = 128, /**< text says why; reconnecting */
    PINHOLE_EVENT_RECONNECTED = 129,
};

struct pinhole_event {
    enum pinhole_event_kind kind;
    uint64_t boot_id, sequence, monotonic_ns, realtime_ns;
    uint64_t first, last;
    uint64_t edge_ns;
    uint32_t sensor_sequence;
    uint8_t trigger_source, outcome, camera_state;
    const char *text; /**< never NULL */
};

/** One record of the node's log. Borrowed: give it back with pinhole_release(). */
struct pinhole_record {
    enum pinhole_record_kind kind;
    struct pinhole_frame frame; /**< PINHOLE_FRAME */
    struct pinhole_event event; /**< PINHOLE_EVENT */
};

struct pinhole_feature {
    char name[48];
    char value[128];
    char type[8]; /**< "Integer", "Float", "Boolean", "Enum", "String", "Command" */
    char unit[16];
    char min[24], max[24], increment[24]; /**< "" where there is none */
    char choices[192];                    /**< Enum: "Off|Once|Continuous" */
    int writable;
    char help[192]; /**< a sentence */
};

/** The library's version, "major.minor.patch". */
PINHOLE_API const char *pinhole_version(void);

/** Connects. `address` is "host", "host:port", "[v6]:port" or "unix:/path"; NULL means
 * $PINHOLE_NODE, or "127.0.0.1" without it. On failure *out is a handle that only pinhole_error()
 * and pinhole_close() take (or NULL on -ENOMEM). */
PINHOLE_API int pinhole_open(struct pinhole **out, const char *address,
                             const struct pinhole_options *options);
/** As pinhole_open(), over a connected stream socket: of a node that has dialled out. Waits for the
 * node's greeting for connect_timeout_ms. `name` stands for the address in messages. Such a handle
 * is never reconnected: a broken link is an error. `fd` is the handle's at once and is closed with
 * it, after a failure too (unless *out is NULL, on -ENOMEM). */
PINHOLE_API int pinhole_adopt(struct pinhole **out, int fd, const char *name,
                              const struct pinhole_options *options);
/** Frees everything, borrowed records too. NULL is allowed. */
PINHOLE_API void pinhole_close(struct pinhole *p);
/** The last failure of this handle as a sentence; "" when there was none. Valid until the next
 * call. */
PINHOLE_API const char *pinhole_error(const struct pinhole *p);
PINHOLE_API const struct pinhole_info *pinhole_info(const struct pinhole *p);
/** Descriptor to poll for POLLIN; it changes when the link is made again; -1 while it is down. Poll
 * only after pinhole_next(p, 0, ...) returned 0. */
PINHOLE_API int pinhole_fd(const struct pinhole *p);

/** Starts (or changes) the flow of records; NULL = latest frames. Sequences, skipped counts and
 * resuming are per subscription: records of a former one that were not taken yet are dropped. */
PINHOLE_API int pinhole_subscribe(struct pinhole *p, const struct pinhole_subscription *wish);
/** Stops the flow; the connection stays. */
PINHOLE_API int pinhole_unsubscribe(struct pinhole *p);

/** The next record. 1: *out is borrowed. 0: nothing within timeout_ms (-1 waits for ever, 0 does
 * not wait); never "the end". -ENOBUFS: records_max are borrowed. -ENOTCONN and others: the link is
 * broken and reconnecting is switched off. With reconnecting on, a broken link is a DISCONNECTED
 * event, then silence, then a RECONNECTED event, and policy `every` goes on at the next record (a
 * subscription that had none yet starts anew). Looking up a host name again, which only happens
 * then, may exceed timeout_ms. */
PINHOLE_API int pinhole_next(struct pinhole *p, int timeout_ms, struct pinhole_record **out);
/** Gives a record back. Any order. */
PINHOLE_API void pinhole_release(struct pinhole *p, struct pinhole_record *record);

// Requests wait up to request_timeout_ms: for the reply, and before that for the link when it is
// just being made again. -ETIMEDOUT and -ENOTCONN leave open whether the node carried a request
// out.

/** Lists the node's features. Returns how many there are (may exceed max), or -errno. */
PINHOLE_API int pinhole_features(struct pinhole *p, struct pinhole_feature *out, int max);
/** Value of one feature as text. -ENOENT unknown feature, -ENOSPC value_size too small. */
PINHOLE_API int pinhole_get(struct pinhole *p, const char *name, char *value, size_t value_size);
/** Sets one feature from text. -ENOENT unknown, -EACCES read only, -ERANGE bad value, -EAGAIN not
 * now; pinhole_error() has the node's own sentence. */
PINHOLE_API int pinhole_set(struct pinhole *p, const char *name, const char *value);
/** Sets several features from "Name=value" lines: all of them, or none when one is refused. Errors
 * as pinhole_set(). */
PINHOLE_API int pinhole_set_lines(struct pinhole *p, const char *lines);
/** Software trigger; *id (may be NULL) is the trigger's id, which its frame or event will carry.
 * -EAGAIN when TriggerMode is Off or no frames are coming; pinhole_error() says which. */
PINHOLE_API int pinhole_trigger(struct pinhole *p, uint64_t *id);
/** The node's counters in Prometheus text exposition format, 0-terminated. Returns the length (may
 * exceed size - 1: cut), or -errno. */
PINHOLE_API int pinhole_stats(struct pinhole *p, char *text, size_t size);
/** Round trip in nanoseconds, or -errno. */
PINHOLE_API int64_t pinhole_ping(struct pinhole *p);

/** Names of the enumerations, as on the wire: "MATCHED", "Software", "GAP"; "?" when unknown. */
PINHOLE_API const char *pinhole_outcome_name(unsigned outcome);
PINHOLE_API const char *pinhole_source_name(unsigned source);
PINHOLE_API const char *pinhole_event_name(unsigned kind);
PINHOLE_API const char *pinhole_camera_state_name(unsigned state);

#ifdef __cplusplus
}
#endif
#endif
