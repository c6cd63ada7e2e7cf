// SPDX-License-Identifier: MIT
// Which MQTT version to speak to a broker. Pure.
//
// Brokers without MQTT 5 refuse it in three ways: CONNACK with the reason "unsupported protocol
// version", a connection closed without a CONNACK, or a CONNACK that is none of MQTT 5. The last
// two also come from a broker that is just ending. So 3.1.1 counts as settled only when MQTT 5
// fails in that way, 3.1.1 is accepted, and MQTT 5 fails once more.
#ifndef PINHOLE_TOOLS_MQTT_VERSION_H
#define PINHOLE_TOOLS_MQTT_VERSION_H

#include <stdbool.h>

/** How an attempt to connect ended. */
enum mqtt_attempt {
    MQTT_ACCEPTED,    /**< CONNACK, success */
    MQTT_NO_CONNACK,  /**< connected, then closed or answered with what is no CONNACK */
    MQTT_NO_VERSION,  /**< CONNACK: unsupported protocol version */
    MQTT_REFUSED,     /**< CONNACK with another refusal: the version is understood */
    MQTT_UNREACHABLE, /**< nothing heard of MQTT: no address, no connection, TLS */
};

/** What is known of a broker. Starts zeroed. */
struct mqtt_version {
    enum { MQTT_TRY_5, MQTT_TRY_311, MQTT_CONFIRM_5, MQTT_KEEP_5, MQTT_KEEP_311 } state;
};

/** The version to speak in the next attempt: 5 or 3 (which is 3.1.1). */
int mqtt_version_next(const struct mqtt_version *version);
/** Notes how an attempt with `spoken` ended. True: the connection, though accepted, is to be given
 * up and made again at once, to see whether MQTT 5 works now. */
bool mqtt_version_note(struct mqtt_version *version, int spoken, enum mqtt_attempt attempt);

#endif
