// SPDX-License-Identifier: MIT
// HTTP connections and their places. A connection without a place is told so, except that /healthz
// and /metrics always answer.
//
// One address cannot take all places. Some are kept for this host, where supervision and reverse
// proxies run; its own connections are not limited by address.
#ifndef PINHOLE_TOOLS_WEB_CONNECTION_H
#define PINHOLE_TOOLS_WEB_CONNECTION_H

#include <microhttpd.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define WEB_SURPLUS        8u /**< connections beyond the places that are told so */
#define WEB_SURPLUS_OF_ONE 2u /**< of them, from one address */
#define WEB_KEPT_FOR_LOCAL 4u /**< places, but no more than a quarter */

struct web;
struct web_options;

/** Guarded by the gateway's lock. */
struct web_connection {
    struct web_connection *previous, *next;
    struct in6_addr address; /**< of the peer; an IPv4 address is mapped */
    int fd;
    uint64_t since_ns; /**< accepted, or its last answer was complete */
    bool is_local;     /**< the peer is on this host */
    bool has_place;
    bool is_answering; /**< its request is complete */
};

/** May this peer connect? libmicrohttpd's accept policy; `context` is the gateway. */
enum MHD_Result web_connection_accepts(void *context, const struct sockaddr *peer, socklen_t bytes);
/** Follows the start and the end of connections, for libmicrohttpd. It is called before the
 * descriptor is closed, so the table never names one that is somebody else's. */
void web_connection_notify(void *context, struct MHD_Connection *connection, void **state,
                           enum MHD_ConnectionNotificationCode code);
/** The entry of a connection, or NULL: memory ran out when it came. */
struct web_connection *web_connection_of(struct MHD_Connection *connection);
/** An address as IPv6; IPv4 is mapped. NULL is allowed. */
struct in6_addr web_connection_address(const struct sockaddr *peer);
/** Is it this host's own, by loopback? */
bool web_connection_is_local(const struct in6_addr *address);
/** How many places a peer can choose from, on this host or elsewhere. */
unsigned web_connection_places(const struct web_options *options, bool is_local);
/** A place for a connection that had none, if there is one now. False: none. The lock is held. */
bool web_connection_seat(struct web *web, struct web_connection *link);

#endif
