// SPDX-License-Identifier: MIT
// Reaches: net/client/avahi.c net/client/address.c net/address.c
// A node's announcement as the Avahi daemon resolved it, and the address that the client makes of
// it. The daemon is not there: its answers are calls of the resolver's function.
#include "net/client/client.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_AVAHI
#include <avahi-client/lookup.h>

static void forget_resolver(AvahiServiceResolver *resolver)
{
    (void)resolver;
}
#define avahi_service_resolver_free(resolver) forget_resolver(resolver)
#include "net/client/avahi.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static unsigned found_count;

static void require(bool is_right)
{
    if (!is_right)
        abort();
}

/** Whatever was announced, what comes of it is an address that can be dialled. */
static void on_found(void *user, const char *address)
{
    static struct client_found found;
    (void)user;
    found_count++;
    require(strlen(address) < 128 && strchr(address, ':') != NULL);
    for (const char *c = address; *c != '\0'; c++)
        require(*c > ' ' && *c < 0x7f);
    // Never a name to look up: what was announced is a number.
    int result = client_resolve(address, false, &found);
    require(result < 0 || (result == 0 && found.address.is_numeric));
}

/** Takes `count` bytes off the input, zeros when it is too short. */
static void take(const uint8_t **data, size_t *bytes, void *out, size_t count)
{
    memset(out, 0, count);
    size_t have = *bytes < count ? *bytes : count;
    memcpy(out, *data, have);
    *data += have;
    *bytes -= have;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct browse browse = {.found = on_found};
    uint8_t choice;
    uint16_t port;
    int32_t interface;
    AvahiAddress address = {.proto = AVAHI_PROTO_INET};
    take(&data, &bytes, &choice, sizeof choice);
    take(&data, &bytes, &port, sizeof port);
    take(&data, &bytes, &interface, sizeof interface);
    if (choice & 1)
        address.proto = AVAHI_PROTO_INET6;
    take(&data, &bytes, &address.data, sizeof address.data);
    if (choice & 8)
        interface = 1; // the loopback's, which has a name
    // The rest is names: of the service, its type, domain and host.
    char *name = malloc(bytes + 1);
    require(name != NULL);
    memcpy(name, data, bytes);
    name[bytes] = '\0';
    found_count = 0;
    AvahiResolverEvent event = choice & 2 ? AVAHI_RESOLVER_FAILURE : AVAHI_RESOLVER_FOUND;
    resolved(NULL, interface, address.proto, event, name, name, name, name, &address, port, NULL, 0,
             &browse);
    require(found_count <= (event == AVAHI_RESOLVER_FOUND));
    browsed(NULL, interface, address.proto,
            choice & 4 ? AVAHI_BROWSER_FAILURE : AVAHI_BROWSER_REMOVE, name, name, name, 0,
            &browse);
    client_changed(NULL, choice & 4 ? AVAHI_CLIENT_FAILURE : AVAHI_CLIENT_S_RUNNING, &browse);
    require(browse.is_over == !!(choice & 4));
    // What a user or an identity file gives for an address is text of the same kind.
    static struct client_found found;
    (void)client_resolve(name, false, &found);
    free(name);
    return 0;
}
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    (void)data, (void)bytes;
    return 0;
}
#endif
