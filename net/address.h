// SPDX-License-Identifier: MIT
// ADDRESS:PORT as text. Node, libpinhole and tools take it apart here.
// Pure functions: no heap, no name lookup, any thread.
#ifndef PINHOLE_NET_ADDRESS_H
#define PINHOLE_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NET_HOST_BYTES 256

/** Host and port of an address. */
struct net_address {
    char host[NET_HOST_BYTES]; /**< a name or a number, without brackets; "" in ":PORT" */
    bool is_ipv6;              /**< written as an IPv6 address */
    uint16_t port;
};

/** Splits "HOST:PORT", "[IPV6]:PORT" or ":PORT". A negative `default_port` means that the port must
 * be there. Otherwise it may be left out, and an IPv6 address without a port needs no brackets.
 * Returns NULL, or the reason why `text` is no address: "the port must be 0 to 65535". */
const char *net_address_split(const char *text, int default_port, struct net_address *out);

/** Whether `host` is a host's name that can be looked up: letters, digits, '-', '_' and dots, a
 * letter or digit in front, and not only digits behind its last dot, which would be a number.
 * "localhost" is a number here, see below. */
bool net_address_is_name(const char *host);

/** Makes a socket address of a numeric host. "localhost" means 127.0.0.1. Returns the length of the
 * socket address; 0: the host is empty, a name or a wrong number. */
socklen_t net_address_numeric(const struct net_address *address, struct sockaddr_storage *out);

#endif
