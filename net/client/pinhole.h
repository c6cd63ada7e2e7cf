// SPDX-License-Identifier: MIT
// libpinhole: the client side of a Pinhole node, in C. Link with `pkg-config --libs pinhole`.
//
// One handle is one connection to one node. Different handles are independent. A handle in pull
// mode (pinhole_next) belongs to one thread at a time. In callback mode (pinhole_start) any thread,
// the callback too, may call every function but those of the pull.
//
// Functions return 0 or a count on success and a negative errno on failure. pinhole_error() then
// has a sentence that names the mistake and its place. Nothing here prints, exits, installs signal
// handlers or raises SIGPIPE. Strings are UTF-8.
//
// Structs that the caller makes begin with their size. Arrays are given with the size of their
// elements. Structs that the library makes only grow at their end or into `reserved`. So programs
// work with later libraries of the same soname.
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
    size_t size; /**< sizeof(struct pinhole_options), so that members can be added */
    /** Default 3000: looking the host up ("id:" takes up to 1000), connecting, the greeting. */
    int connect_timeout_ms;
    int request_timeout_ms; /**< default 3000: how long a reply may take */
    int reconnect; /**< 0: default, reconnect and resume by itself; -1: a broken link is an error */
    size_t records_max; /**< records borrowed at a time before pinhole_next() refuses; default 8 */
    /** A silent node is asked by PING after this long without a message. Without an answer for as
     * long again, the link is broken (-ETIMEDOUT). A message that comes at less than 1 KiB in this
     * time counts as silence. Only a thread that waits in a call notices it. Default 10000; -1
     * never asks. */
    int silence_timeout_ms;
    /** File with the node's key (`pinholectl keygen`), read once, by pinhole_open(). Library and
     * node prove to each other that they know it: a node that does not is refused (-EPERM), and so
     * is one whose software is too old (-ENOSYS). Default NULL: what the node gives without. */
    const char *key_file;
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
    int role;                                /**< PINHOLE_ROLE_*: what this link may do */
};

/** pinhole_info.role. A request above it fails with -EPERM. */
enum pinhole_role {
    PINHOLE_ROLE_UNKNOWN = 0, /**< the node is older than roles: everything */
    PINHOLE_ROLE_NONE = 1,
    PINHOLE_ROLE_VIEW = 2,
    PINHOLE_ROLE_CONTROL = 3, /**< may also set and trigger */
};

enum pinhole_policy {
    PINHOLE_LATEST = 1, /**< after a frame, the newest: fresh pictures, never a backlog */
    PINHOLE_EVERY = 2,  /**< each retained record in order; a GAP event says which are lost */
};

/** What the library itself keeps of the frames that have come and were not taken yet. Events are
 * never dropped. */
enum pinhole_strategy {
    PINHOLE_ONE_BY_ONE = 0,  /**< all of them, in order */
    PINHOLE_LATEST_ONLY = 1, /**< the newest; goes with PINHOLE_LATEST by default */
    PINHOLE_LATEST_N = 2,    /**< the newest queue_max; goes with PINHOLE_EVERY by default */
};

/** What to send and what to keep. Zero in a member means its default. */
struct pinhole_subscription {
    size_t size;                /**< sizeof(struct pinhole_subscription) */
    enum pinhole_policy policy; /**< default as the strategy says; ONE_BY_ONE: PINHOLE_LATEST */
    int triggered_only;         /**< only frames that answer a trigger */
    int no_events;              /**< none of the log's; GAP, BOOT and the link's own still come */
    uint32_t interval_us;       /**< least distance of capture times; 0 = every frame */
    uint64_t from_sequence;     /**< 0: the newest retained frame on; UINT64_MAX: from now on */
    uint64_t boot_id;           /**< which boot from_sequence belongs to; 0 = this one */
    enum pinhole_strategy strategy;
    unsigned queue_max; /**< PINHOLE_LATEST_N: frames kept; default 8 */
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
    uint32_t skipped;    /**< frames that the node or the strategy left out since the last one */
    uint64_t trigger_id; /**< 0 = none */
    uint64_t edge_ns;
    int64_t exposure_delta_ns; /**< start of exposure minus edge */
    uint8_t trigger_source, encodes;
    int16_t burst_index;
    uint64_t received_ns; /**< this host's CLOCK_MONOTONIC when the last byte arrived */
    /** Records of this boot in which frames before this one are missing, whether skipped or lost; 0
     * and 0: none. What was lost rather than left out came as a GAP event before. */
    uint64_t lost_first, lost_last;
    /** The whole message as it came, to be passed on: header, fixed part, JPEG (net/SPEC.md,
     * FRAME). It may have fields that this version of the library does not know. */
    const uint8_t *message;
    size_t message_bytes;
    uint64_t reserved[6];
};

/** pinhole_frame.flags */
enum {
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
    /** The node has restarted with an empty log. `first` is the first record of the former log
     * (boot former_boot_id) that did not come, if there were more; 0 = not known. */
    PINHOLE_EVENT_BOOT = 6,
    /** These two come from the library, never over the wire. Text says why the link broke; the
     * library reconnects, unless that is off. */
    PINHOLE_EVENT_DISCONNECTED = 128,
    PINHOLE_EVENT_RECONNECTED = 129,
};

struct pinhole_event {
    enum pinhole_event_kind kind;
    uint64_t boot_id, sequence, monotonic_ns, realtime_ns;
    uint64_t first, last;
    uint64_t edge_ns;
    uint32_t sensor_sequence;
    uint8_t trigger_source, outcome, camera_state;
    const char *text;        /**< never NULL; no control characters but line feeds */
    uint64_t former_boot_id; /**< BOOT */
};

/** One record of the node's log. Borrowed: give it back with pinhole_release(). */
struct pinhole_record {
    enum pinhole_record_kind kind;
    struct pinhole_frame frame; /**< PINHOLE_FRAME */
    struct pinhole_event event; /**< PINHOLE_EVENT */
};

/** One feature of a node, as text. */
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

/** Connects. `address` is "host", "host:port", "[v6]:port", "unix:/path", or "id:NAME" for the node
 * whose DeviceUserID (or else whose DeviceSerialNumber) is NAME among those that
 * pinhole_enumerate() finds; NULL means $PINHOLE_NODE, or "127.0.0.1" without it. On failure *out
 * is a handle that only pinhole_error() and pinhole_close() take (or NULL on -ENOMEM). */
PINHOLE_API int pinhole_open(struct pinhole **out, const char *address,
                             const struct pinhole_options *options);
/** As pinhole_open(), over a connected stream socket of a node that has dialled out. Waits for the
 * node's greeting for connect_timeout_ms. Messages show `name` as the address. Such a handle is
 * never reconnected: a broken link is an error. The handle owns `fd` at once and closes it, after a
 * failure too (unless *out is NULL, on -ENOMEM). */
PINHOLE_API int pinhole_adopt(struct pinhole **out, int fd, const char *name,
                              const struct pinhole_options *options);
/** Asks a node that has dialled in to prove that it knows the secret of `bytes` bytes, which is not
 * sent (net/SPEC.md, PROVE). 0: it does. -EACCES: it does not. -EAGAIN: it has none, or has not
 * dialled this connection. -ENOSYS: its software is too old. */
PINHOLE_API int pinhole_check_secret(struct pinhole *p, const void *secret, size_t bytes);
/** Frees everything, borrowed records too. NULL is allowed. Waits for a callback that is running.
 * Called from within the callback, it takes effect when the callback returns. The record given to
 * the callback stays valid until then. */
PINHOLE_API void pinhole_close(struct pinhole *p);
/** The last failure of a call with this handle, by any thread, as a sentence; "" when there was
 * none. Any thread may ask. The text is valid until the same thread asks again. */
PINHOLE_API const char *pinhole_error(const struct pinhole *p);
/** What is known of the node; changes only when the link is made again (in callback mode: before
 * the RECONNECTED event). */
PINHOLE_API const struct pinhole_info *pinhole_info(const struct pinhole *p);
/** Descriptor to poll for POLLIN; it changes when the link is made again; -1 while it is down. Poll
 * only after pinhole_next(p, 0, ...) returned 0. */
PINHOLE_API int pinhole_fd(const struct pinhole *p);

/** Starts (or changes) the flow of records; NULL = latest frames. Sequences, skipped counts and
 * resuming are per subscription: records of a former one that were not taken yet are dropped. */
PINHOLE_API int pinhole_subscribe(struct pinhole *p, const struct pinhole_subscription *wish);
/** Stops the flow; the connection stays. */
PINHOLE_API int pinhole_unsubscribe(struct pinhole *p);
/** Holds the flow (on) and lets it go on where it stopped (off): no event that the node still has
 * is missed, under policy `every` no frame either. Records received already can still be taken. */
PINHOLE_API int pinhole_pause(struct pinhole *p, int on);

/** The next record. 1: *out is borrowed. 0: nothing within timeout_ms (-1 waits for ever, 0 does
 * not wait); never "the end". -ENOBUFS: records_max are borrowed. -ENOTCONN and others: the link is
 * broken and reconnecting is switched off. With reconnecting on, a broken link is a DISCONNECTED
 * event, then silence, then a RECONNECTED event. The flow then resumes with the events that were
 * missed, and with the frames (policy `every`) or the newest one (`latest`). */
PINHOLE_API int pinhole_next(struct pinhole *p, int timeout_ms, struct pinhole_record **out);
/** Reads a message that was kept or passed on, as pinhole_frame.message or from a stream of
 * pinhole-relay. *out borrows from it, and the text of an event from `text`, which it is cut to.
 * Needs no handle, any thread. 0, or -EBADMSG: it is no FRAME and no EVENT of the protocol. */
PINHOLE_API int pinhole_read_message(const void *message, size_t bytes, struct pinhole_record *out,
                                     char *text, size_t text_size);
/** Gives a record back. Any order. */
PINHOLE_API void pinhole_release(struct pinhole *p, struct pinhole_record *record);

/** pinhole_next() into the caller's memory: the JPEG or the event's text (0-terminated) goes to
 * `buffer`, all else to *out, whose pointers point into `buffer`. *bytes is the buffer's size on
 * entry and what is used on return. -ENOSPC: *bytes is the size needed, and the record stays the
 * next (except that the strategy may put a newer one in its place). Otherwise as pinhole_next(). */
PINHOLE_API int pinhole_copy_next_sized(struct pinhole *p, int timeout_ms, void *buffer,
                                        size_t *bytes, struct pinhole_record *out,
                                        size_t out_bytes);
/** pinhole_copy_next_sized() with the size of the caller's struct. */
static inline int pinhole_copy_next(struct pinhole *p, int timeout_ms, void *buffer, size_t *bytes,
                                    struct pinhole_record *out)
{
    return pinhole_copy_next_sized(p, timeout_ms, buffer, bytes, out, sizeof *out);
}

/** Gets a record, which is valid until it returns, in a thread of the library's own. It may call
 * anything here, pinhole_stop(), pinhole_start() and pinhole_close() too, except the functions that
 * pull. While it runs nothing is received. */
typedef void (*pinhole_callback)(struct pinhole *p, const struct pinhole_record *record,
                                 void *user);
/** pinhole_subscribe() with the records given to a callback, one after the other, until
 * pinhole_stop() or pinhole_close(). A link that breaks for good is a last DISCONNECTED event.
 * Called again it changes subscription and callback. Requests from other threads and records take
 * turns: while a reply is awaited no record is handed out. */
PINHOLE_API int pinhole_start(struct pinhole *p, const struct pinhole_subscription *wish,
                              pinhole_callback callback, void *user);
/** Stops the flow. After it no callback is called; one that is running is waited for, unless this
 * is called from within it. The connection stays, and may be pulled from. */
PINHOLE_API int pinhole_stop(struct pinhole *p);

// Requests wait up to request_timeout_ms: for the reply, and before that for the link when it is
// just being made again. -ETIMEDOUT and -ENOTCONN leave open whether the node carried a request
// out.

/** Lists the node's features. Returns how many there are (may exceed max), or -errno. */
PINHOLE_API int pinhole_features_sized(struct pinhole *p, void *out, size_t each_bytes, int max);
/** pinhole_features_sized() with the size of the caller's elements. */
static inline int pinhole_features(struct pinhole *p, struct pinhole_feature *out, int max)
{
    return pinhole_features_sized(p, out, sizeof *out, max);
}
/** One feature with its type, range and choices; its value is the one of when it was listed. The
 * list is kept while a subscription with events is there to say when it changes. -ENOENT: no such
 * feature. */
PINHOLE_API int pinhole_find_feature_sized(struct pinhole *p, const char *name, void *out,
                                           size_t out_bytes);
/** pinhole_find_feature_sized() with the size of the caller's struct. */
static inline int pinhole_find_feature(struct pinhole *p, const char *name,
                                       struct pinhole_feature *out)
{
    return pinhole_find_feature_sized(p, name, out, sizeof *out);
}
/** Value of one feature as text. -ENOENT unknown feature, -ENOSPC value_size too small. */
PINHOLE_API int pinhole_get(struct pinhole *p, const char *name, char *value, size_t value_size);
/** Sets one feature from text. -ENOENT unknown, -EACCES read only, -ERANGE bad value, -EAGAIN not
 * now; pinhole_error() has the node's own sentence. */
PINHOLE_API int pinhole_set(struct pinhole *p, const char *name, const char *value);
/** Sets several features from "Name=value" lines: all of them, or none when one is refused. Errors
 * as pinhole_set(). */
PINHOLE_API int pinhole_set_lines(struct pinhole *p, const char *lines);
/** Typed values, whatever the locale; errors as pinhole_get() and pinhole_set(), and -EINVAL for a
 * value that is not of the type. An enumeration is read by pinhole_get(): "Off", "Once". */
PINHOLE_API int pinhole_get_int(struct pinhole *p, const char *name, int64_t *value);
PINHOLE_API int pinhole_get_float(struct pinhole *p, const char *name, double *value);
PINHOLE_API int pinhole_get_bool(struct pinhole *p, const char *name, int *value);
PINHOLE_API int pinhole_set_int(struct pinhole *p, const char *name, int64_t value);
PINHOLE_API int pinhole_set_float(struct pinhole *p, const char *name, double value);
PINHOLE_API int pinhole_set_bool(struct pinhole *p, const char *name, int value);
/** -ERANGE, without asking the node, when `value` is none of the feature's choices. */
PINHOLE_API int pinhole_set_enum(struct pinhole *p, const char *name, const char *value);
/** The range of an Integer or Float feature; each pointer may be NULL. *increment is 0 where there
 * is none. -ENODATA: the feature has no range. */
PINHOLE_API int pinhole_range_int(struct pinhole *p, const char *name, int64_t *min, int64_t *max,
                                  int64_t *increment);
PINHOLE_API int pinhole_range_float(struct pinhole *p, const char *name, double *min, double *max,
                                    double *increment);

/** Software trigger; *id (may be NULL) is the trigger's id, which its frame or event will carry.
 * -EAGAIN when TriggerMode is Off or no frames are coming; pinhole_error() says which. */
PINHOLE_API int pinhole_trigger(struct pinhole *p, uint64_t *id);
/** Software trigger answered by `frames` frames, whose burst_index counts from 0. Sets the node's
 * AcquisitionBurstFrameCount when that is another; it stays so. */
PINHOLE_API int pinhole_trigger_burst(struct pinhole *p, unsigned frames, uint64_t *id);
/** The node's counters in Prometheus text exposition format, 0-terminated. Returns the length (may
 * exceed size - 1: cut), or -errno. */
PINHOLE_API int pinhole_stats(struct pinhole *p, char *text, size_t size);
/** Round trip in nanoseconds, or -errno. */
PINHOLE_API int64_t pinhole_ping(struct pinhole *p);

/** A node that was found. Strings are "" when the node did not say. */
struct pinhole_node {
    char address[256]; /**< for pinhole_open(): as given, or "host:port" as announced */
    char id[128];      /**< DeviceUserID */
    char serial[128];  /**< DeviceSerialNumber: the configured camera's id, else the board's serial
                            number, else 16 hexadecimal digits made from the machine id, else
                            DeviceUserID */
    char model[128];   /**< DeviceModelName */
    char version[64];  /**< DeviceFirmwareVersion */
    uint64_t boot_id;
    int is_announced; /**< found by DNS-SD, not by an address given */
    int is_full;      /**< it takes no more clients now; only `address` is known */
};

/** Finds nodes: those at `addresses` (a NULL-terminated array, or NULL), those of $PINHOLE_NODES
 * (addresses separated by commas or spaces), and those that announce `_pinhole._tcp` by DNS-SD if
 * the library was built with Avahi and its daemon runs. All are asked at the same time, until
 * timeout_ms is over (0: 1000). Returns how many answered (may exceed max), each once however many
 * addresses it has, in that order; -errno. */
PINHOLE_API int pinhole_enumerate_sized(void *out, size_t each_bytes, int max,
                                        const char *const *addresses, int timeout_ms);
/** pinhole_enumerate_sized() with the size of the caller's elements. */
static inline int pinhole_enumerate(struct pinhole_node *out, int max, const char *const *addresses,
                                    int timeout_ms)
{
    return pinhole_enumerate_sized(out, sizeof *out, max, addresses, timeout_ms);
}

/** Order of the bytes of a pixel in memory. */
enum pinhole_pixels {
    PINHOLE_GREY = 1,
    PINHOLE_RGB = 2,
    PINHOLE_BGR = 3,
    PINHOLE_RGBA = 4, /**< A is 255 */
    PINHOLE_BGRA = 5,
};

/** A picture as it is to be decoded. */
struct pinhole_picture {
    size_t size;                /**< sizeof(struct pinhole_picture) */
    enum pinhole_pixels pixels; /**< default PINHOLE_RGB */
    unsigned scale_num;         /**< size as a fraction of the JPEG's, one of libjpeg's n/8 in */
    unsigned scale_denom;       /**< lowest or any terms, 1/8 to 2; 0 and 0 = 1/1 */
    size_t row_bytes;           /**< from one row to the next; 0 = no gap. On return what it is */
    unsigned width, height;     /**< on return, scaled */
};

/** Size of a frame's picture: fills `width`, `height` and `row_bytes`. Returns the bytes that
 * pinhole_decode() will need, or a negative errno as that does. */
PINHOLE_API int64_t pinhole_decode_size(const void *jpeg, size_t jpeg_bytes,
                                        struct pinhole_picture *picture);
/** Decodes a JPEG through libjpeg-turbo into `pixels`, first row first. Returns the bytes from the
 * first pixel's to the last row's end. -EBADMSG: not a whole JPEG; -ENOSPC: pixels_bytes is too
 * small; -EINVAL: no such scale or byte order, or row_bytes is shorter than a row; -ENOTSUP: the
 * library was built without TurboJPEG. Any thread. */
PINHOLE_API int64_t pinhole_decode(const void *jpeg, size_t jpeg_bytes,
                                   struct pinhole_picture *picture, void *pixels,
                                   size_t pixels_bytes);

/** Names of the enumerations, as on the wire: "MATCHED", "Software", "GAP"; "?" when unknown. */
PINHOLE_API const char *pinhole_outcome_name(unsigned outcome);
PINHOLE_API const char *pinhole_source_name(unsigned source);
PINHOLE_API const char *pinhole_event_name(unsigned kind);
PINHOLE_API const char *pinhole_camera_state_name(unsigned state);

#ifdef __cplusplus
}
#endif
#endif
