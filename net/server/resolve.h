// SPDX-License-Identifier: MIT
// Looks a host's name up without blocking the loop and without heap: a helper process, getent(1) of
// libc, asks the system's resolver and writes the addresses to a pipe.
#ifndef PINHOLE_NET_SERVER_RESOLVE_H
#define PINHOLE_NET_SERVER_RESOLVE_H

#include <sys/types.h>

#include "net/server/state.h"

/** Prepares a resolver that is not asking. */
void server_resolve_init(struct server_resolver *resolver, struct loop *loop);
/** Asks for the addresses of `host` (net_address_is_name()). done(user) is called from the loop
 * when the helper has ended, whatever it found. 0 or -errno; -EBUSY: the last helper has not ended.
 */
int server_resolve_start(struct server_resolver *resolver, const char *host, loop_timer_fn *done,
                         void *user);
/** True from start until done() is called. */
bool server_resolve_is_on(const struct server_resolver *resolver);
/** Ends the helper if it still runs; done() is not called. */
void server_resolve_stop(struct server_resolver *resolver);
/** How many addresses were found. */
unsigned server_resolve_count(const struct server_resolver *resolver);
/** Copies an address as text, index below the count. */
void server_resolve_get(const struct server_resolver *resolver, unsigned index, char *out,
                        size_t size);

#endif
