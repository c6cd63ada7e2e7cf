// SPDX-License-Identifier: MIT
// A camera: one node, its connection to the broker, and what flows between them.
//
// Each camera has a thread of its own, because asking a node and looking a name up can block. They
// share the settings, what is known of the broker (struct mqtt_broker), and nothing else.
#ifndef PINHOLE_TOOLS_MQTT_CAMERA_H
#define PINHOLE_TOOLS_MQTT_CAMERA_H

#include "net/client/pinhole.h"
#include "tools/common/level.h"
#include "tools/mqtt/client.h"
#include "tools/mqtt/settings.h"
#include "tools/mqtt/topic.h"
#include "tools/mqtt/window.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** What a message is, for when it has left. */
enum mqtt_tag { MQTT_OTHER, MQTT_PICTURE, MQTT_META, MQTT_RECORD, MQTT_PREVIEW, MQTT_POSITION };

/** The camera's side of the node. */
struct mqtt_link {
    struct pinhole *node; /**< NULL: not open */
    bool is_subscribed, is_paused, is_up, said_why;
    uint64_t retry_ns, full_since_ns;
};

/** Where policy `every` is. */
struct mqtt_progress {
    bool said_weak;          /**< that 3.1.1 proves little */
    bool is_asked, is_known; /**< the position that the broker remembers */
    uint64_t asked_ns;
    struct mqtt_place remembered; /**< last published */
    uint64_t next_ns;
    struct mqtt_place suspect; /**< the oldest record on its way when connections were lost */
    unsigned losses;           /**< connections lost over it in a row */
    char why[300];             /**< how the last one ended */
};

/** What policy `latest` holds and has left out. */
struct mqtt_live {
    struct pinhole_record *waiting;         /**< the newest picture, or NULL */
    unsigned on_the_way;                    /**< pictures handed over, not left */
    uint32_t left_out;                      /**< pictures since the last one published */
    uint64_t boot_id, first, last, records; /**< of events left out; records is 0: none */
};

/** How many frames a second the node makes. */
struct mqtt_rate {
    uint64_t frame_id, since_frame_id, since_ns;
};

/** Whether pictures come back, see echo.h. */
struct mqtt_echo {
    bool is_waiting, is_over;
    uint64_t sent_ns; /**< when the first picture was sent; 0: none yet */
    unsigned long long frames_before;
};

/** What was said of the connection to the broker. */
struct mqtt_troubles {
    uint32_t said[4];     /**< hashes of the last reasons that were said */
    unsigned next;        /**< the oldest of them */
    bool is_repeating;    /**< the connection fails for one of them again: nothing is said */
    unsigned short_lives; /**< connections in a row that the broker ended soon */
};

struct mqtt_counters {
#define COUNTER(member, metric, help) atomic_ullong member;
#include "tools/mqtt/counters.def"
};

struct mqtt_camera {
    const struct mqtt_node_settings *settings;
    const struct mqtt_bridge_settings *bridge;
    const struct mqtt_settings *all; /**< to know which nodes there are */
    const atomic_bool *is_stopping;
    int wake_fd; /**< an eventfd, readable when is_stopping was set */
    pthread_t thread;
    char level[LEVEL_BYTES];
    char frame_topic[MQTT_TOPIC_BYTES], meta_topic[MQTT_TOPIC_BYTES];
    struct mqtt_client client;
    struct mqtt_link link;
    struct mqtt_window window;
    struct mqtt_progress progress;
    struct mqtt_live live;
    struct mqtt_rate rate;
    struct mqtt_echo echo;
    uint8_t *scratch; /**< header and JPEG in one piece */
    size_t scratch_bytes;
    uint64_t picture_ns, preview_ns, state_ns; /**< when the last was published */
    bool has_preview_on_the_way;
    bool is_announced;        /**< Home Assistant was told what is no longer there */
    unsigned said_reasons[2]; /**< bits of refusals that were said, of messages and of pictures */
    struct mqtt_troubles troubles;
    bool wants_records; /**< there is room for what the node may send */
    bool has_more;      /**< records wait inside libpinhole */
    atomic_bool is_connected, is_node_up;
    struct mqtt_counters counters;
};

/** Prepares a camera. Its thread is mqtt_camera_run(). */
void mqtt_camera_init(struct mqtt_camera *camera, const struct mqtt_settings *settings,
                      unsigned index, struct mqtt_broker *broker, const atomic_bool *is_stopping,
                      int wake_fd);
/** The camera's thread: until *is_stopping. */
void *mqtt_camera_run(void *camera);
/** Ends the connection as lost, for the reason given: everything not settled comes again. */
void mqtt_camera_drop(struct mqtt_camera *camera, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// --- publish.c ---

/** Publishes `object` (freed) with QoS 1 on PREFIX/NODE/rest, a literal. False: it was not handed
 * over. */
bool mqtt_publish(struct mqtt_camera *camera, const char *rest, json_t *object, bool is_retained,
                  int slot, enum mqtt_tag tag);
/** The same with response properties (freed). */
bool mqtt_publish_with(struct mqtt_camera *camera, const char *rest, json_t *object,
                       mosquitto_property *properties);
/** Publishes a text, not freed, on a whole topic. `what`, a literal, names it in messages. */
bool mqtt_publish_text(struct mqtt_camera *camera, const char *topic, const char *text,
                       bool is_retained, const char *what);
/** Publishes a picture with its meta message and its trigger, or the event that it is too large. */
void mqtt_publish_frame(struct mqtt_camera *camera, const struct pinhole_frame *frame, int slot);
/** Publishes the smaller picture, if it is time and the last one has left. */
void mqtt_publish_preview(struct mqtt_camera *camera, const struct pinhole_frame *frame);
/** Takes note of all messages that have left. */
void mqtt_publish_settle(struct mqtt_camera *camera);
/** Largest payload that the broker takes on PREFIX/NODE/frame. */
size_t mqtt_publish_max(const struct mqtt_camera *camera);

// --- records.c ---

/** Opens the link, subscribes, pauses, takes records and publishes them as the policy says. */
void mqtt_records_step(struct mqtt_camera *camera);
/** The connection to the broker was made or lost. */
void mqtt_records_connected(struct mqtt_camera *camera);
void mqtt_records_lost(struct mqtt_camera *camera);
/** What the broker remembers came. */
void mqtt_records_remembered(struct mqtt_camera *camera, const char *text);
/** Leaves the position with the broker. */
void mqtt_records_remember(struct mqtt_camera *camera, bool is_now);
/** Closes the link. */
void mqtt_records_end(struct mqtt_camera *camera);

// --- state.c ---

/** Publishes state; `reason` "" when all is well. */
void mqtt_state_publish(struct mqtt_camera *camera, const char *reason);
/** Publishes it again when it is time. */
void mqtt_state_step(struct mqtt_camera *camera);
/** Publishes the values of all features, and what Home Assistant makes of them. */
void mqtt_state_features(struct mqtt_camera *camera);

// --- control.c ---

/** Subscribes to the commands that are allowed. */
void mqtt_control_subscribe(struct mqtt_camera *camera);
/** Carries out what came. */
void mqtt_control_step(struct mqtt_camera *camera);

#endif
