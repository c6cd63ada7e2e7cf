// SPDX-License-Identifier: MIT
#include "tools/mqtt/client.h"

#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/say.h"
#include "tools/common/secret.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
    BACKOFF_MIN_MS = 250,
    CONNECT_TIMEOUT_S = 10,  /**< from connect() to CONNACK */
    REFUSED_311_VERSION = 1, /**< CONNACK return code of 3.1.1 */
    GOOD_AFTER_S = 5,        /**< a connection that lasted this long resets the pauses */
};

// --- the broker ---------------------------------------------------------------------------------

int mqtt_broker_init(struct mqtt_broker *broker, const struct mqtt_broker_settings *settings,
                     struct mqtt_settings_error *error)
{
    memset(broker, 0, sizeof *broker);
    broker->settings = settings;
    pthread_mutex_init(&broker->lock, NULL);
    snprintf(broker->host, sizeof broker->host, "%s", settings->host);
    const bool has_tls = settings->ca_file[0] != '\0' || settings->psk_identity[0] != '\0';
    broker->port = settings->port != 0 ? (int)settings->port : has_tls ? 8883 : 1883;
    if (settings->mqtt_version != MQTT_VERSION_AUTO)
        broker->version.state =
            settings->mqtt_version == MQTT_VERSION_5 ? MQTT_KEEP_5 : MQTT_KEEP_311;
    broker->said_version = settings->mqtt_version != MQTT_VERSION_AUTO;
    int result = secret_read(settings->password_file, "mqtt-password", broker->password,
                             sizeof broker->password, error->text, sizeof error->text);
    broker->has_password = result == 0;
    if (result == 0 || result == -ENOENT)
        result = secret_read(settings->psk_file, "mqtt-psk", broker->psk, sizeof broker->psk,
                             error->text, sizeof error->text);
    broker->has_psk = result == 0;
    return result == -ENOENT ? 0 : result;
}

static int next_version(struct mqtt_broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    const int version = mqtt_version_next(&broker->version);
    pthread_mutex_unlock(&broker->lock);
    return version;
}

/** Notes how an attempt ended. True: connect again at once. */
static bool note_version(struct mqtt_broker *broker, int spoken, enum mqtt_attempt attempt)
{
    pthread_mutex_lock(&broker->lock);
    const bool is_again = mqtt_version_note(&broker->version, spoken, attempt);
    const bool says = broker->version.state == MQTT_KEEP_311 && !broker->said_version;
    broker->said_version = broker->said_version || says;
    pthread_mutex_unlock(&broker->lock);
    if (says)
        say("%s:%d: the broker has no MQTT 5; speaking 3.1.1, which has no user properties, no "
            "expiry, and no word on refused messages",
            broker->host, broker->port);
    return is_again;
}

// --- callbacks ----------------------------------------------------------------------------------

static void on_connect(struct mosquitto *mosq, void *user, int reason, int flags,
                       const mosquitto_property *properties)
{
    struct mqtt_client *client = user;
    uint8_t can_retain = 1;
    (void)mosq;
    (void)flags;
    client->is_answered = true;
    client->connack = reason;
    client->packet_max = 0;
    mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &client->packet_max,
                                  false);
    mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &can_retain, false);
    client->can_retain = client->can_retain && can_retain != 0;
}

static void on_disconnect(struct mosquitto *mosq, void *user, int reason,
                          const mosquitto_property *properties)
{
    struct mqtt_client *client = user;
    (void)mosq;
    (void)properties;
    // Codes from 128 on are the broker's; the library's own are explained by what it returns.
    if (!client->is_ended && reason >= MQTT_RC_UNSPECIFIED)
        snprintf(client->why, sizeof client->why, "%s", mosquitto_reason_string(reason));
    client->is_ended = true;
}

static void on_publish(struct mosquitto *mosq, void *user, int mid, int reason,
                       const mosquitto_property *properties)
{
    struct mqtt_client *client = user;
    (void)mosq;
    (void)properties;
    struct mqtt_sent *sent = client->sent;
    for (unsigned left = client->sent_count; left > 0; left -= sent++->is_used)
        if (sent->is_used && !sent->is_done && sent->mid == mid) {
            sent->is_done = true;
            sent->reason = reason;
            return;
        }
}

static void take_properties(struct mqtt_received *out, const mosquitto_property *properties)
{
    void *data = NULL;
    uint16_t bytes = 0;
    if (mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &data, &bytes,
                                       false) != NULL &&
        bytes <= sizeof out->correlation) {
        memcpy(out->correlation, data, bytes);
        out->correlation_bytes = bytes;
    }
    free(data);
}

static void on_message(struct mosquitto *mosq, void *user, const struct mosquitto_message *message,
                       const mosquitto_property *properties)
{
    struct mqtt_client *client = user;
    (void)mosq;
    if (client->inbox_count == MQTT_CLIENT_INBOX_MAX || message->payloadlen < 0 ||
        strlen(message->topic) >= sizeof client->inbox[0].topic) {
        client->inbox_dropped++;
        return;
    }
    struct mqtt_received *out = &client->inbox[client->inbox_count++];
    memset(out, 0, sizeof *out);
    snprintf(out->topic, sizeof out->topic, "%s", message->topic);
    const size_t bytes = (size_t)message->payloadlen;
    out->is_cut = bytes >= sizeof out->payload;
    if (bytes > 0)
        memcpy(out->payload, message->payload, out->is_cut ? sizeof out->payload - 1 : bytes);
    out->is_retained = message->retain;
    take_properties(out, properties);
}

static void on_subscribe(struct mosquitto *mosq, void *user, int mid, int count, const int *granted,
                         const mosquitto_property *properties)
{
    struct mqtt_client *client = user;
    (void)mosq;
    (void)properties;
    if (mid != client->subscribe_mid)
        return;
    client->is_subscribe_answered = true;
    client->is_subscribe_refused = count < 1 || granted[0] >= 128;
}

static void on_log(struct mosquitto *mosq, void *user, int level, const char *text)
{
    struct mqtt_client *client = user;
    (void)mosq;
    if (level == MOSQ_LOG_ERR || level == MOSQ_LOG_WARNING)
        snprintf(client->log, sizeof client->log, "%s", text);
}

// --- a connection's life ------------------------------------------------------------------------

void mqtt_client_init(struct mqtt_client *client, struct mqtt_broker *broker, const char *level,
                      const char *will_topic, const char *will)
{
    memset(client, 0, sizeof *client);
    client->broker = broker;
    snprintf(client->id, sizeof client->id, "%s-%s", broker->settings->client_id, level);
    snprintf(client->will_topic, sizeof client->will_topic, "%s", will_topic);
    client->will = will;
}

static void forget(struct mqtt_client *client)
{
    if (client->mosq != NULL)
        mosquitto_destroy(client->mosq);
    client->mosq = NULL;
    client->state = MQTT_AWAY;
    client->sent_count = client->inbox_count = 0;
    memset(client->sent, 0, sizeof client->sent);
}

/** Uniform in half to all of 0.25 s, 0.5 s, 1 s ... up to the setting. */
static uint64_t pause_ns(const struct mqtt_client *client)
{
    uint32_t random = 0;
    const unsigned doublings = client->attempts < 16 ? client->attempts : 16;
    uint64_t top_ms = (uint64_t)BACKOFF_MIN_MS << doublings;
    const uint64_t max_ms = client->broker->settings->reconnect_max_s * UINT64_C(1000);
    top_ms = top_ms < max_ms ? top_ms : max_ms;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint32_t)clock_now_ns();
    return (top_ms / 2 + random % (top_ms / 2 + 1)) * NS_PER_MS;
}

/** The connection is over, or was not made; `why` says it. False: it was a question of the version,
 * and the other one is tried at once. */
static bool end(struct mqtt_client *client, enum mqtt_attempt attempt)
{
    const bool was_up = client->state == MQTT_UP;
    client->lasted_ns = clock_now_ns() - client->since_ns;
    if (was_up && client->lasted_ns > GOOD_AFTER_S * NS_PER_S)
        client->attempts = 0;
    forget(client);
    if (!was_up)
        note_version(client->broker, client->spoken, attempt);
    if (!was_up && client->spoken != 5 && attempt == MQTT_NO_CONNACK)
        client->silent_ends++;
    client->since_ns = client->retry_ns = clock_now_ns();
    if (!was_up && client->spoken == 5 && next_version(client->broker) != 5)
        return false;
    client->retry_ns += pause_ns(client);
    client->attempts++;
    return true;
}

static int set_tls(struct mqtt_client *client)
{
    const struct mqtt_broker *broker = client->broker;
    const struct mqtt_broker_settings *s = broker->settings;
    if (s->psk_identity[0] != '\0')
        return mosquitto_tls_psk_set(client->mosq, broker->psk, s->psk_identity, NULL);
    if (s->ca_file[0] == '\0')
        return MOSQ_ERR_SUCCESS;
    const bool has_cert = s->cert_file[0] != '\0';
    return mosquitto_tls_set(client->mosq, s->ca_file, NULL, has_cert ? s->cert_file : NULL,
                             has_cert ? s->key_file : NULL, NULL);
}

static int configure(struct mqtt_client *client)
{
    struct mosquitto *mosq = client->mosq;
    const struct mqtt_broker *broker = client->broker;
    mosquitto_connect_v5_callback_set(mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
    mosquitto_publish_v5_callback_set(mosq, on_publish);
    mosquitto_message_v5_callback_set(mosq, on_message);
    mosquitto_subscribe_v5_callback_set(mosq, on_subscribe);
    mosquitto_log_callback_set(mosq, on_log);
    mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION,
                         client->spoken == 5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(mosq, MOSQ_OPT_SEND_MAXIMUM, 0);
    mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
    int result = set_tls(client);
    if (result == MOSQ_ERR_SUCCESS && broker->settings->username[0] != '\0')
        result = mosquitto_username_pw_set(mosq, broker->settings->username,
                                           broker->has_password ? broker->password : NULL);
    if (result == MOSQ_ERR_SUCCESS)
        result = mosquitto_will_set(mosq, client->will_topic, (int)strlen(client->will),
                                    client->will, 1, client->can_retain);
    return result;
}

/** What the library's code means, with the line that it logged, if any. */
static void explain(struct mqtt_client *client, int code)
{
    const char *meaning = mosquitto_strerror(code);
    if (code == MOSQ_ERR_ERRNO) // EPROTO is OpenSSL's failure, without OpenSSL's words
        meaning = errno == EPROTO ? "the broker ended TLS" : strerror(errno);
    snprintf(client->why, sizeof client->why, "%s%s%s", meaning, client->log[0] != '\0' ? ": " : "",
             client->log);
}

/** Brokers can be set to refuse retained messages. The last will is one. Under 3.1.1 such a broker
 * closes the connection without a word, so each other attempt goes without. */
static bool should_retain(const struct mqtt_client *client)
{
    pthread_mutex_lock(&client->broker->lock);
    const bool is_refused = client->broker->has_no_retain;
    pthread_mutex_unlock(&client->broker->lock);
    return !is_refused && (client->spoken == 5 || client->silent_ends % 2 == 0);
}

static void note_no_retain(struct mqtt_broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    const bool was_known = broker->has_no_retain;
    broker->has_no_retain = true;
    pthread_mutex_unlock(&broker->lock);
    if (!was_known)
        say("%s:%d: the broker takes no retained messages: state and features are not kept for "
            "later subscribers, and policy every starts anew after a restart of the bridge",
            broker->host, broker->port);
}

static void begin(struct mqtt_client *client)
{
    const struct mqtt_broker *broker = client->broker;
    client->log[0] = client->why[0] = '\0';
    client->is_answered = client->is_ended = client->is_dropped = false;
    client->is_subscribe_answered = client->is_subscribe_refused = false;
    client->spoken = next_version(client->broker);
    client->can_retain = should_retain(client);
    client->state = MQTT_CONNECTING;
    client->since_ns = clock_now_ns();
    client->mosq = mosquitto_new(client->id, true, client);
    int result = client->mosq != NULL ? configure(client) : MOSQ_ERR_NOMEM;
    if (result == MOSQ_ERR_SUCCESS)
        result = mosquitto_connect_async(client->mosq, broker->host, broker->port,
                                         (int)broker->settings->keepalive_s);
    if (result == MOSQ_ERR_SUCCESS)
        return;
    explain(client, result);
    end(client, MQTT_UNREACHABLE);
}

int mqtt_client_poll(const struct mqtt_client *client, short *events)
{
    *events = POLLIN;
    if (client->mosq == NULL)
        return -1;
    if (mosquitto_want_write(client->mosq) ||
        (client->state == MQTT_CONNECTING && !client->is_answered))
        *events |= POLLOUT;
    return mosquitto_socket(client->mosq);
}

/** Reads and writes. libmosquitto's code; its callbacks have filled *client. */
static int work(struct mqtt_client *client, short revents)
{
    int result = MOSQ_ERR_SUCCESS;
    // Reading goes first: the broker's last word may say why it closes.
    if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0)
        result = mosquitto_loop_read(client->mosq, 1);
    if (result == MOSQ_ERR_SUCCESS && !client->is_ended && (revents & POLLOUT) != 0)
        result = mosquitto_loop_write(client->mosq, 1);
    if (result == MOSQ_ERR_SUCCESS)
        result = mosquitto_loop_misc(client->mosq);
    return result;
}

/** How an attempt that came to nothing ended. */
static enum mqtt_attempt judge(const struct mqtt_client *client, int code)
{
    if (client->is_answered)
        return client->connack == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION ||
                       client->connack == REFUSED_311_VERSION
                   ? MQTT_NO_VERSION
                   : MQTT_REFUSED;
    if (strstr(client->log, "OpenSSL") != NULL) // a closed connection, but of TLS
        return MQTT_UNREACHABLE;
    switch (code) {
    case MOSQ_ERR_CONN_LOST:
    case MOSQ_ERR_PROTOCOL:
    case MOSQ_ERR_MALFORMED_PACKET: return MQTT_NO_CONNACK;
    default: return MQTT_UNREACHABLE;
    }
}

static bool accept_connack(struct mqtt_client *client)
{
    if (client->connack == MQTT_RC_RETAIN_NOT_SUPPORTED && client->spoken == 5 &&
        !client->broker->has_no_retain) {
        note_no_retain(client->broker);
        note_version(client->broker, client->spoken, MQTT_REFUSED);
        mqtt_client_close(client);
        client->retry_ns = 0;
        return false;
    }
    if (client->connack != 0) {
        snprintf(client->why, sizeof client->why, "the broker refuses the connection: %s",
                 client->spoken == 5 ? mosquitto_reason_string(client->connack)
                                     : mosquitto_connack_string(client->connack));
        return end(client, judge(client, 0));
    }
    if (note_version(client->broker, client->spoken, MQTT_ACCEPTED)) {
        mqtt_client_close(client);
        client->retry_ns = 0;
        return false;
    }
    if (!client->can_retain)
        note_no_retain(client->broker);
    client->silent_ends = 0;
    // From now on the library would put each packet into words for it.
    mosquitto_log_callback_set(client->mosq, NULL);
    client->state = MQTT_UP;
    client->since_ns = clock_now_ns();
    return true;
}

bool mqtt_client_step(struct mqtt_client *client, short revents)
{
    if (client->state == MQTT_AWAY) {
        if (clock_now_ns() < client->retry_ns)
            return false;
        begin(client);
        return client->state == MQTT_AWAY;
    }
    const int code = client->is_ended ? MOSQ_ERR_CONN_LOST : work(client, revents);
    if (client->state == MQTT_CONNECTING && client->is_answered)
        return accept_connack(client);
    if (code != MOSQ_ERR_SUCCESS || client->is_ended) {
        if (!client->is_dropped && (client->why[0] == '\0' || client->log[0] != '\0'))
            explain(client, code);
        return end(client, judge(client, code));
    }
    if (client->state == MQTT_CONNECTING &&
        clock_now_ns() - client->since_ns > CONNECT_TIMEOUT_S * NS_PER_S) {
        snprintf(client->why, sizeof client->why, "no answer within %d s", CONNECT_TIMEOUT_S);
        return end(client, MQTT_UNREACHABLE);
    }
    return false;
}

int mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publication *publication,
                        int slot, uint64_t number, int tag, const char *what)
{
    struct mqtt_sent *sent = client->sent;
    if (client->state != MQTT_UP || !mqtt_client_has_room(client, 1))
        return MOSQ_ERR_NO_CONN;
    while (sent->is_used)
        sent++;
    *sent = (struct mqtt_sent){
        .slot = slot, .number = number, .tag = tag, .what = what, .is_used = true};
    client->sent_count++;
    // The mid is there before anything can come back: at QoS 0 the callback runs within this call.
    const int result = mosquitto_publish_v5(
        client->mosq, &sent->mid, publication->topic, (int)publication->bytes, publication->payload,
        publication->qos, publication->is_retained && client->can_retain,
        client->spoken == 5 ? publication->properties : NULL);
    // The library took the message in these cases; the connection's end comes with the next step.
    if (result == MOSQ_ERR_SUCCESS || result == MOSQ_ERR_NO_CONN || result == MOSQ_ERR_CONN_LOST ||
        result == MOSQ_ERR_ERRNO)
        return MOSQ_ERR_SUCCESS;
    sent->is_used = false;
    client->sent_count--;
    return result;
}

bool mqtt_client_take_sent(struct mqtt_client *client, struct mqtt_sent *out)
{
    struct mqtt_sent *sent = client->sent;
    for (unsigned left = client->sent_count; left > 0; left -= sent++->is_used)
        if (sent->is_used && sent->is_done) {
            *out = *sent;
            sent->is_used = false;
            client->sent_count--;
            return true;
        }
    return false;
}

bool mqtt_client_has_room(const struct mqtt_client *client, unsigned count)
{
    return client->sent_count + count <= MQTT_CLIENT_SENT_MAX;
}

bool mqtt_client_is_idle(const struct mqtt_client *client)
{
    return client->mosq != NULL && !mosquitto_want_write(client->mosq);
}

void mqtt_client_subscribe(struct mqtt_client *client, const char *filter)
{
    client->is_subscribe_answered = client->is_subscribe_refused = false;
    mosquitto_subscribe(client->mosq, &client->subscribe_mid, filter, 1);
}

void mqtt_client_unsubscribe(struct mqtt_client *client, const char *filter)
{
    mosquitto_unsubscribe(client->mosq, NULL, filter);
}

struct mqtt_received *mqtt_client_received(struct mqtt_client *client)
{
    return client->inbox_count > 0 ? &client->inbox[0] : NULL;
}

void mqtt_client_drop_received(struct mqtt_client *client)
{
    client->inbox_count--;
    memmove(client->inbox, client->inbox + 1, client->inbox_count * sizeof client->inbox[0]);
}

void mqtt_client_drop(struct mqtt_client *client, const char *format, va_list arguments)
{
    if (client->state == MQTT_AWAY || client->is_ended)
        return;
    vsnprintf(client->why, sizeof client->why, format, arguments);
    client->is_ended = client->is_dropped = true;
}

void mqtt_client_close(struct mqtt_client *client)
{
    if (client->mosq != NULL)
        mosquitto_disconnect(client->mosq);
    forget(client);
}
