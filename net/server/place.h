// SPDX-License-Identifier: MIT
// Which connection may have a place among clients_max, and which one gives its place up. A decision
// on the connections' state alone: nothing is opened or closed here.
#ifndef PINHOLE_NET_SERVER_PLACE_H
#define PINHOLE_NET_SERVER_PLACE_H

#include "net/server/state.h"

/** Places that only connections from this host, and the uplink, may take. */
#define SERVER_PLACES_KEPT 2u
/** With fewer places than this, none is kept and one address may hold all. */
#define SERVER_PLACES_SHARED_MIN 4u
/** A connection without a subscription that sent nothing for this long is idle. */
#define SERVER_IDLE_NS (2 * NS_PER_S)
/** A connection that has never sent anything valid goes before idle ones from this age on. */
#define SERVER_SILENT_NS (1 * NS_PER_S)

/** Answers of server_place_find(). */
enum server_place { SERVER_PLACE_FOUND, SERVER_PLACE_FULL, SERVER_PLACE_ADDRESS_FULL };

/** Where a peer is. NULL (an uplink), a Unix socket and loopback are this host. */
struct server_origin server_origin_of(const struct sockaddr_storage *address);
/** Most connections of one address outside this host. */
unsigned server_places_per_address(const struct server *server);

/** Finds a place for a newcomer: a free one, else that of a connection which the newcomer may
 * replace. *out is that connection; SERVER_CONN_FREE means a free one. Connections are replaced
 * only when the newcomer finds no free place, and only those without a subscription and, if they
 * have a role, without output to send: first one that is ending, then those with the role none,
 * then silent ones, then idle ones; of equals one whose address holds most places, then the one
 * that was heard of longest ago. */
enum server_place server_place_find(struct server *server, const struct server_origin *origin,
                                    uint64_t now_ns, struct server_conn **out);

#endif
