// SPDX-License-Identifier: MIT
// One connection to the broker, through libmosquitto, driven by its owner's poll loop.
//
// A connection has a libmosquitto client of its own, which is freed when the connection ends for
// whatever reason: the library then repeats nothing by itself and keeps nothing, and an error after
// which it would not connect again does not matter. What was on its way is the owner's to repeat.
//
// Belongs to one thread. Only connecting can block: while the resolver looks the name up.
#ifndef PINHOLE_TOOLS_MQTT_CLIENT_H
#define PINHOLE_TOOLS_MQTT_CLIENT_H

#include "tools/common/level.h"
#include "tools/mqtt/settings.h"
#include "tools/mqtt/topic.h"
#include "tools/mqtt/version.h"

#include <mosquitto.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Messages on their way at a time, and messages received that wait to be taken. */
#define MQTT_CLIENT_SENT_MAX  192
#define MQTT_CLIENT_INBOX_MAX 16
/** The longest command taken. */
#define MQTT_COMMAND_BYTES 512

/** What all connections of the process know of the broker. */
struct mqtt_broker {
    const struct mqtt_broker_settings *settings;
    char host[MQTT_TEXT_BYTES];
    int port;
    bool has_password, has_psk;
    char password[1024], psk[256];
    pthread_mutex_t lock; /**< of the rest */
    struct mqtt_version version;
    bool said_version;
    bool has_no_retain; /**< it takes no retained messages */
};

/** A message to publish. */
struct mqtt_publication {
    const char *topic;
    const void *payload;
    size_t bytes;
    int qos;
    bool is_retained;
    const mosquitto_property *properties; /**< MQTT 5 only; ignored under 3.1.1 */
};

/** A message that left: at QoS 0 its last byte was written, at QoS 1 it was acknowledged. */
struct mqtt_sent {
    int mid;
    int slot;         /**< as given to mqtt_client_publish() */
    uint64_t number;  /**< the same */
    int tag;          /**< the same */
    const char *what; /**< the same */
    int reason;       /**< MQTT 5's: 128 and above is a refusal */
    bool is_used, is_done;
};

/** A command that came. */
struct mqtt_received {
    char topic[MQTT_TOPIC_BYTES];
    char payload[MQTT_COMMAND_BYTES]; /**< 0-terminated */
    bool is_retained;
    bool is_cut; /**< the payload is longer */
    uint8_t correlation[64];
    uint16_t correlation_bytes;
};

enum mqtt_client_state { MQTT_AWAY, MQTT_CONNECTING, MQTT_UP };

/** Starts zeroed, then mqtt_client_init(). */
struct mqtt_client {
    struct mqtt_broker *broker;
    char id[MQTT_TEXT_BYTES + LEVEL_BYTES];
    char will_topic[MQTT_TOPIC_BYTES];
    const char *will;
    struct mosquitto *mosq; /**< NULL unless connecting or up */
    enum mqtt_client_state state;
    int spoken;           /**< 5 or 3 */
    bool is_answered;     /**< a CONNACK came */
    int connack;          /**< its reason */
    bool is_ended;        /**< the library has noticed the end, or it was dropped */
    bool is_dropped;      /**< its owner has given it up */
    uint64_t retry_ns;    /**< CLOCK_MONOTONIC */
    uint64_t since_ns;    /**< when this state began */
    uint64_t lasted_ns;   /**< how long the state before it lasted */
    unsigned attempts;    /**< in vain, in a row */
    unsigned silent_ends; /**< attempts with 3.1.1 that were closed without a CONNACK */
    uint32_t packet_max;  /**< the broker's; 0 = not known */
    bool can_retain;      /**< this connection may; its will is retained then */
    char why[384];        /**< why the last connection ended, or was not made */
    char log[256];        /**< the library's last error line */
    unsigned sent_count;
    struct mqtt_sent sent[MQTT_CLIENT_SENT_MAX];
    unsigned inbox_count, inbox_dropped;
    struct mqtt_received inbox[MQTT_CLIENT_INBOX_MAX];
    int subscribe_mid; /**< of the last subscription */
    bool is_subscribe_answered, is_subscribe_refused;
};

/** Reads secrets and fills *broker. -EINVAL with *error. */
int mqtt_broker_init(struct mqtt_broker *broker, const struct mqtt_broker_settings *settings,
                     struct mqtt_settings_error *error);

/** `will` must outlive the client. */
void mqtt_client_init(struct mqtt_client *client, struct mqtt_broker *broker, const char *level,
                      const char *will_topic, const char *will);
/** Descriptor and poll events to wait for; -1 when there is nothing to wait for. */
int mqtt_client_poll(const struct mqtt_client *client, short *events);
/** Reads, writes, keeps alive, connects when it is time. Returns true when the connection was made
 * or lost in this call (see state). After a loss `why` says what happened. */
bool mqtt_client_step(struct mqtt_client *client, short revents);
/** Hands a message over. `what`, a literal, names it in messages. 0, or libmosquitto's error code;
 * nothing is on its way then, except after an error that ends the connection, which
 * mqtt_client_step() reports. MOSQ_ERR_OVERSIZE_PACKET: the broker takes no packet this large. */
int mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publication *publication,
                        int slot, uint64_t number, int tag, const char *what);
/** Takes a message that left. */
bool mqtt_client_take_sent(struct mqtt_client *client, struct mqtt_sent *out);
/** Is there room for `count` more messages on their way? */
bool mqtt_client_has_room(const struct mqtt_client *client, unsigned count);
/** Has the library nothing left to write? */
bool mqtt_client_is_idle(const struct mqtt_client *client);
/** Subscribes with QoS 1. */
void mqtt_client_subscribe(struct mqtt_client *client, const char *filter);
void mqtt_client_unsubscribe(struct mqtt_client *client, const char *filter);
/** The oldest command, or NULL. It stays until mqtt_client_drop_received(). */
struct mqtt_received *mqtt_client_received(struct mqtt_client *client);
void mqtt_client_drop_received(struct mqtt_client *client);
/** Gives the connection up as lost; the next mqtt_client_step() reports it with this reason. */
void mqtt_client_drop(struct mqtt_client *client, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
/** Says goodbye; the broker does not publish the will. */
void mqtt_client_close(struct mqtt_client *client);

#endif
